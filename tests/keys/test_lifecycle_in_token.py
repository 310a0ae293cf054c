"""What is special about keys in a token: no copy, and a PIN that is not a passphrase."""

import dataclasses
from pathlib import Path

import pytest
from support.passphrases import Given, ignore
from support.softhsm import PIN, SoftHsm

from polygent_issuer.errors import IssuerError, UsageProblem
from polygent_issuer.home import settings
from polygent_issuer.home.settings import Settings
from polygent_issuer.keys import passphrases, signing
from polygent_issuer.keys.lifecycle import KeyLifecycle
from polygent_issuer.keys.pkcs11_store import (
    check_new_key_uri,
    is_in_token,
    require_secret_for_token,
)
from polygent_issuer.keys.signer import Presence
from polygent_issuer.keys.signing import presence, signer_for
from polygent_issuer.store_uri import parse_token_uri


@pytest.fixture
def holder(custodian: KeyLifecycle, hsm: SoftHsm) -> KeyLifecycle:
    """Whoever makes keys in that token."""
    return dataclasses.replace(
        custodian, passphrase=Given(PIN.encode()), settings=settings_of(custodian, store=hsm.uri)
    )


def settings_of(custodian: KeyLifecycle, **changes: object) -> Settings:
    """The custodian's settings with changes."""
    return dataclasses.replace(custodian.settings, **changes)  # type: ignore[arg-type]


def test_the_store_of_the_settings(holder: KeyLifecycle) -> None:
    """Made in the token that they name, pinned, found again by what was recorded, and signing."""
    kept = holder.generate(label="Main", store_uri=None, backup=None)
    assert kept.is_new
    loaded = settings.load(holder.home, {}).settings
    assert loaded.stores == {kept.key.kid: kept.uri}
    assert presence(loaded, kept.key.kid) is Presence.PRESENT
    signer = signer_for(loaded, kept.key, passphrase=holder.passphrase, warn=pytest.fail)
    assert kept.key.public_key.verifies(signer.sign(b"x"), b"x")
    signer.close()


def test_a_key_that_no_entry_names_is_looked_for(holder: KeyLifecycle) -> None:
    """In the default token, by its public half."""
    kept = holder.generate(label="Main", store_uri=None, backup=None)
    assert presence(holder.settings, kept.key.kid) is Presence.PRESENT
    signer = signer_for(holder.settings, kept.key, passphrase=holder.passphrase, warn=pytest.fail)
    signer.close()


def test_no_backup(holder: KeyLifecycle, hsm: SoftHsm, tmp_path: Path) -> None:
    """Neither with the key nor later; nothing is made, nobody asked."""
    with pytest.raises(IssuerError) as raised:
        holder.generate(label="Main", store_uri=None, backup=tmp_path / "b")
    assert raised.value.code == "not_extractable"
    assert hsm.objects() == []
    kept = holder.generate(label="Main", store_uri=None, backup=None)
    nobody = dataclasses.replace(holder, passphrase=passphrases.NoPassphrase())
    with pytest.raises(IssuerError) as raised:
        nobody.back_up(kept.key, tmp_path / "b")
    assert raised.value.code == "not_extractable"
    assert not (tmp_path / "b").exists()


def test_the_example_key_is_not_adopted(
    holder: KeyLifecycle, hsm: SoftHsm, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever a token holds; a key of our own plays its part here."""
    kept = holder.generate(label="Main", store_uri=None, backup=None)
    monkeypatch.setattr(signing, "EXAMPLE_KID", kept.key.kid)
    with pytest.raises(IssuerError) as raised:
        holder.adopt(parse_token_uri(hsm.uri), label=None)
    assert raised.value.code == "example_key"


def test_room_for_a_new_key() -> None:
    """Any store but the place of one key in a token."""
    token = "pkcs11:token=t?module-path=/m"
    for store in ("keyring:", "file:/x", token):
        check_new_key_uri(store)
        assert is_in_token(store) is (store == token)
    with pytest.raises(IssuerError) as raised:
        check_new_key_uri("pkcs11:token=t;object=it's?module-path=/m")
    assert raised.value.code == "invalid_store"
    assert str(raised.value.hint).endswith(
        "polygent-issue key import 'pkcs11:token=t;object=it%27s?module-path=/m'"
    )


def test_two_secrets_need_two_answers(tmp_path: Path) -> None:
    """A source that gives one secret for all may give the PIN, and nothing beside it."""
    (tmp_path / "secret").write_text("x")
    one = passphrases.from_file(tmp_path / "secret", warn=ignore)
    require_secret_for_token(one, [])
    require_secret_for_token(passphrases.TerminalPassphrase(), ["file", "backup"])
    for others in (["file", "backup"], ["backup"]):
        with pytest.raises(UsageProblem, match=f"^the passphrase of the {others[0]} and the PIN"):
            require_secret_for_token(one, others)
