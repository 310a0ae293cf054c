"""From a pinned key to its signer."""

import dataclasses
from pathlib import Path

import pytest
from support.passphrases import Given
from support.registries import NOW

from polygent_issuer.errors import KeyUnavailable
from polygent_issuer.home.settings import Settings
from polygent_issuer.keys import signing
from polygent_issuer.keys.lifecycle import KeyLifecycle, StoredKey
from polygent_issuer.keys.signer import Presence
from polygent_issuer.keys.signing import place_of, presence, require_usable, signer_for


@pytest.fixture
def kept(custodian: KeyLifecycle, tmp_path: Path) -> StoredKey:
    """A key in a file."""
    return custodian.generate(label="Main", store_uri=f"file:{tmp_path}/main.key", backup=None)


def test_the_settings_name_the_place(kept: StoredKey, passphrase: Given) -> None:
    """A key's own place comes before the default one."""
    named = Settings(stores={kept.key.kid: kept.uri}, store="file:/nowhere/")
    default = Settings(store=kept.uri)
    for chosen in (named, default):
        assert place_of(chosen, kept.key.kid) == kept.uri
        assert presence(chosen, kept.key.kid) is Presence.PRESENT
        signer = signer_for(chosen, kept.key, passphrase=passphrase, warn=pytest.fail)
        assert kept.key.public_key.verifies(signer.sign(b"data"), b"data")


def test_a_key_of_another_place_is_absent(kept: StoredKey) -> None:
    """Presence speaks of this operator's settings, and never raises."""
    assert presence(Settings(store="file:/nowhere/"), kept.key.kid) is Presence.ABSENT
    assert presence(Settings(store="nonsense"), kept.key.kid) is Presence.UNAVAILABLE


def test_the_store_must_give_the_pinned_key(
    custodian: KeyLifecycle, kept: StoredKey, passphrase: Given, tmp_path: Path
) -> None:
    """A file that was exchanged for another key of the registry does not sign."""
    other = custodian.generate(label="Two", store_uri=f"file:{tmp_path}/two.key", backup=None)
    exchanged = Settings(stores={kept.key.kid: other.uri})
    with pytest.raises(KeyUnavailable) as raised:
        signer_for(exchanged, kept.key, passphrase=passphrase, warn=pytest.fail)
    assert raised.value.code == "key_mismatch"
    assert presence(exchanged, kept.key.kid) is Presence.ABSENT


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"retired_at": NOW}, "key_retired"),
        ({"compromised": True}, "key_compromised"),
        ({"compromised": True, "retired_at": NOW}, "key_compromised"),
    ],
)
def test_a_key_that_shall_not_sign_is_refused(
    change: dict[str, object], code: str, kept: StoredKey, passphrase: Given
) -> None:
    """Retired, compromised: refused before any passphrase is asked."""
    passphrase.asked.clear()
    marked = dataclasses.replace(kept.key, **change)  # type: ignore[arg-type]
    with pytest.raises(KeyUnavailable) as raised:
        signer_for(Settings(store=kept.uri), marked, passphrase=passphrase, warn=pytest.fail)
    assert raised.value.code == code
    assert "Main" in raised.value.message
    assert "key list" in str(raised.value.hint)
    assert passphrase.asked == []


def test_the_example_key_is_refused(
    kept: StoredKey, passphrase: Given, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the registry says of it; a key of our own plays its part here."""
    require_usable(kept.key)
    monkeypatch.setattr(signing, "EXAMPLE_KID", kept.key.kid)
    with pytest.raises(KeyUnavailable) as raised:
        signer_for(Settings(store=kept.uri), kept.key, passphrase=passphrase, warn=pytest.fail)
    assert raised.value.code == "example_key"
