"""The lifecycle of keys in tokens: no backup, and a PIN that is not a passphrase."""

import dataclasses
from pathlib import Path

import pytest
from support.passphrases import Given, ignore, new
from support.softhsm import PIN, SoftHsm

from polygent_issuer.errors import IssuerError, UsageProblem
from polygent_issuer.home import settings
from polygent_issuer.home.settings import Settings
from polygent_issuer.keys import passphrases, signer
from polygent_issuer.keys.lifecycle import KeyLifecycle
from polygent_issuer.keys.pkcs11_store import require_secret_for_token
from polygent_issuer.keys.remote import check_new_key_uri
from polygent_issuer.keys.signer import Presence
from polygent_issuer.keys.stores import presence, signer_for
from polygent_issuer.store_uri import stays
from polygent_issuer.store_uri.token import parse_token_uri


@pytest.fixture
def token_lifecycle(key_lifecycle: KeyLifecycle, hsm: SoftHsm) -> KeyLifecycle:
    """The key lifecycle with a token as the default store."""
    return dataclasses.replace(
        key_lifecycle,
        passphrase=new(Given(PIN.encode())),
        settings=settings_of(key_lifecycle, store=hsm.uri),
    )


def settings_of(key_lifecycle: KeyLifecycle, **changes: object) -> Settings:
    """Return the settings of a lifecycle with changes."""
    return dataclasses.replace(key_lifecycle.settings, **changes)  # type: ignore[arg-type]


def test_a_key_is_generated_in_the_token_of_the_settings(token_lifecycle: KeyLifecycle) -> None:
    """The key is pinned, found again by the recorded URI, and signs."""
    stored = token_lifecycle.generate(label="Main", store_uri=None, backup=None)
    assert stored.is_new
    loaded = settings.load(token_lifecycle.home, {}).settings
    assert loaded.stores == {stored.key.kid: stored.uri}
    assert presence(loaded, stored.key.kid) is Presence.PRESENT
    signer = signer_for(loaded, stored.key, passphrase=token_lifecycle.passphrase, warn=pytest.fail)
    assert stored.key.public_key.verifies(signer.sign(b"x"), b"x")
    signer.close()


def test_a_key_without_a_recorded_store_is_found(token_lifecycle: KeyLifecycle) -> None:
    """A key without a store in the settings is found in the default token by its public key."""
    stored = token_lifecycle.generate(label="Main", store_uri=None, backup=None)
    assert presence(token_lifecycle.settings, stored.key.kid) is Presence.PRESENT
    signer = signer_for(
        token_lifecycle.settings,
        stored.key,
        passphrase=token_lifecycle.passphrase,
        warn=pytest.fail,
    )
    signer.close()


def test_a_key_in_a_token_has_no_backup(
    token_lifecycle: KeyLifecycle, hsm: SoftHsm, tmp_path: Path
) -> None:
    """A backup is refused at generation and later, without a prompt and without changes."""
    with pytest.raises(IssuerError) as raised:
        token_lifecycle.generate(label="Main", store_uri=None, backup=tmp_path / "b")
    assert raised.value.code == "not_extractable"
    assert hsm.objects() == []
    stored = token_lifecycle.generate(label="Main", store_uri=None, backup=None)
    unattended = dataclasses.replace(token_lifecycle, passphrase=new(passphrases.NoPassphrase()))
    with pytest.raises(IssuerError) as raised:
        unattended.back_up(stored.key, tmp_path / "b")
    assert raised.value.code == "not_extractable"
    assert not (tmp_path / "b").exists()


def test_the_example_key_is_not_adopted(
    token_lifecycle: KeyLifecycle, hsm: SoftHsm, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The example key in a token, simulated by another key here, is refused."""
    stored = token_lifecycle.generate(label="Main", store_uri=None, backup=None)
    monkeypatch.setattr(signer, "EXAMPLE_KID", stored.key.kid)
    with pytest.raises(IssuerError) as raised:
        token_lifecycle.adopt(parse_token_uri(hsm.uri), label=None)
    assert raised.value.code == "example_key"


def test_the_store_of_a_new_key_names_no_existing_key() -> None:
    """Every store is accepted except the URI of one key in a token."""
    token = "pkcs11:token=t?module-path=/m"
    for store in ("keyring:", "file:/x", token):
        check_new_key_uri(store)
        assert stays(store) is (store == token)
    with pytest.raises(IssuerError) as raised:
        check_new_key_uri("pkcs11:token=t;object=it's?module-path=/m")
    assert raised.value.code == "invalid_store"
    assert str(raised.value.hint).endswith(
        "polygent-issue key import 'pkcs11:token=t;object=it%27s?module-path=/m'"
    )


def test_a_pin_and_a_passphrase_need_two_sources(tmp_path: Path) -> None:
    """A source with one secret may supply the PIN only if nothing else needs a passphrase."""
    (tmp_path / "secret").write_text("x")
    one = passphrases.from_file(tmp_path / "secret", warn=ignore)
    require_secret_for_token(one, [])
    require_secret_for_token(passphrases.TerminalPassphrase(), ["file", "backup"])
    for others in (["file", "backup"], ["backup"]):
        with pytest.raises(UsageProblem, match=f"^the passphrase of the {others[0]} and the PIN"):
            require_secret_for_token(one, others)
