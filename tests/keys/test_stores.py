"""The key stores of pinned keys."""

from pathlib import Path

import pytest
from support.passphrases import Given
from support.registries import NOW

from polygent_issuer.errors import KeyUnavailable
from polygent_issuer.home.settings import Settings
from polygent_issuer.keys import signer
from polygent_issuer.keys.lifecycle import KeyLifecycle, StoredKey
from polygent_issuer.keys.signer import Presence
from polygent_issuer.keys.stores import place_of, presence, require_usable, signer_for


@pytest.fixture
def stored(key_lifecycle: KeyLifecycle, tmp_path: Path) -> StoredKey:
    """A key in a file."""
    return key_lifecycle.generate(label="Main", store_uri=f"file:{tmp_path}/main.key", backup=None)


def test_the_settings_name_the_store(stored: StoredKey, passphrase: Given) -> None:
    """The store of a key takes precedence over the default store."""
    named = Settings(stores={stored.key.kid: stored.uri}, store="file:/nowhere/")
    default = Settings(store=stored.uri)
    for chosen in (named, default):
        assert place_of(chosen, stored.key.kid) == stored.uri
        assert presence(chosen, stored.key.kid) is Presence.PRESENT
        signer = signer_for(chosen, stored.key, passphrase=passphrase, warn=pytest.fail)
        assert stored.key.public_key.verifies(signer.sign(b"data"), b"data")


def test_a_key_in_another_store_is_absent(stored: StoredKey) -> None:
    """`presence` uses only the operator's settings, and never raises."""
    assert presence(Settings(store="file:/nowhere/"), stored.key.kid) is Presence.ABSENT
    assert presence(Settings(store="nonsense"), stored.key.kid) is Presence.UNAVAILABLE


def test_the_store_must_return_the_pinned_key(
    key_lifecycle: KeyLifecycle, stored: StoredKey, passphrase: Given, tmp_path: Path
) -> None:
    """A file that was replaced by that of another pinned key does not sign."""
    other = key_lifecycle.generate(label="Two", store_uri=f"file:{tmp_path}/two.key", backup=None)
    exchanged = Settings(stores={stored.key.kid: other.uri})
    with pytest.raises(KeyUnavailable) as raised:
        signer_for(exchanged, stored.key, passphrase=passphrase, warn=pytest.fail)
    assert raised.value.code == "key_mismatch"
    assert presence(exchanged, stored.key.kid) is Presence.ABSENT


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"retired_at": NOW}, "key_retired"),
        ({"compromised": True}, "key_compromised"),
        ({"compromised": True, "retired_at": NOW}, "key_compromised"),
    ],
)
def test_a_retired_or_compromised_key_is_refused(
    change: dict[str, object], code: str, stored: StoredKey, passphrase: Given
) -> None:
    """The key is refused before the passphrase prompt."""
    passphrase.asked.clear()
    marked = stored.key._replace(**change)  # type: ignore[arg-type]
    with pytest.raises(KeyUnavailable) as raised:
        signer_for(Settings(store=stored.uri), marked, passphrase=passphrase, warn=pytest.fail)
    assert raised.value.code == code
    assert "Main" in raised.value.message
    assert "key list" in str(raised.value.hint)
    assert passphrase.asked == []


def test_the_example_key_is_refused(
    stored: StoredKey, passphrase: Given, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The example key, simulated by another key here, is refused even if the registry has it."""
    require_usable(stored.key)
    monkeypatch.setattr(signer, "EXAMPLE_KID", stored.key.kid)
    with pytest.raises(KeyUnavailable) as raised:
        signer_for(Settings(store=stored.uri), stored.key, passphrase=passphrase, warn=pytest.fail)
    assert raised.value.code == "example_key"
