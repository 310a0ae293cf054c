"""Key stores: the keyring or a whole path, never what depends on where one stands."""

import pytest

from polygent_issuer import store_uri
from polygent_issuer.errors import InvalidSettings
from polygent_issuer.home.setting_types import parse_store


@pytest.mark.parametrize(
    ("text", "store"),
    [
        ("keyring", "keyring:"),
        ("keyring:", "keyring:"),
        ("file:/keys/one.key", "file:/keys/one.key"),
        ("file:/keys/", "file:/keys/"),
        ("file:///keys/one.key", "file:/keys/one.key"),
        ("file:/keys/ä b.key", "file:/keys/ä b.key"),
        ("file:~/one.key", "file:/home/jane/one.key"),
        ("file:~/", "file:/home/jane/"),
        ("file:/", "file:/"),
        ("pkcs11:id=%aB;token=t?module-path=/m.so", "pkcs11:token=t;id=%AB?module-path=/m.so"),
    ],
)
def test_a_store_has_one_spelling(monkeypatch: pytest.MonkeyPatch, text: str, store: str) -> None:
    """Shorthands are written out; a slash at the end still means a folder."""
    monkeypatch.setenv("HOME", "/home/jane")
    assert parse_store(text) == store
    assert parse_store(store) == store


@pytest.mark.parametrize(
    "text",
    [
        "",
        ":",
        "file",
        "file:",
        "keyring:x",
        "KEYRING:",
        "PKCS11:token=x?module-path=/m",
        "/keys/one",
        " keyring:",
    ],
)
def test_other_schemes_are_refused(text: str) -> None:
    """Nothing is guessed about where a key goes."""
    with pytest.raises(InvalidSettings, match="not a key store") as caught:
        parse_store(text)
    assert caught.value.hint == f"write it as keyring:, file:/PATH or {store_uri.EXAMPLE}"


@pytest.mark.parametrize(
    "text",
    [
        "file:keys/one",
        "file:./one",
        "file://host/one",
        "file:/a\x1b[31m",
    ],
)
def test_a_path_that_is_not_whole_is_refused(text: str) -> None:
    """Relative, of another host, or not to be shown: no place for a key."""
    with pytest.raises(InvalidSettings, match="not the whole path of a file") as caught:
        parse_store(text)
    assert "\x1b" not in caught.value.message


def test_a_home_folder_that_is_unknown_is_refused() -> None:
    """A `~` of a user that does not exist names no place."""
    with pytest.raises(InvalidSettings, match="for ~ is unknown: ~nobody-at-all/one"):
        parse_store("file:~nobody-at-all/one")


def test_a_token_is_named_exactly_or_refused() -> None:
    """As everywhere, and with the same hint; the setting's own name stands before it."""
    with pytest.raises(InvalidSettings, match="does not say which token") as caught:
        parse_store("pkcs11:id=%01?module-path=/m.so")
    assert caught.value.hint == "add token=LABEL or serial=NUMBER"
