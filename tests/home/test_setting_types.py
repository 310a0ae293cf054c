"""Types of settings: one spelling each way; whole paths; nothing that a calendar could not hold."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polygent_issuer import store_uri
from polygent_issuer.errors import InvalidSettings, InvalidStore, InvalidTerms
from polygent_issuer.home.setting_types import STORE, duration_text, parse_duration, parse_store


@pytest.mark.parametrize(
    ("text", "length"),
    [
        ("20s", timedelta(seconds=20)),
        ("15m", timedelta(minutes=15)),
        ("36h", timedelta(hours=36)),
        ("7d", timedelta(days=7)),
        ("2w", timedelta(days=14)),
        ("36525d", timedelta(days=36_525)),
    ],
)
def test_each_unit_is_read(text: str, length: timedelta) -> None:
    """Seconds, minutes, hours, days and weeks."""
    assert parse_duration(text) == length


@pytest.mark.parametrize(
    "text",
    [
        "",
        "7",
        "d",
        "0d",
        "-1d",
        "1.5d",
        "7 d",
        "7D",
        "07d",
        "1d\n",
        "1y",
        "6mo",
        "1d12h",
        "\u0667d",
    ],
)  # fmt: skip - one line reads best
def test_any_other_spelling_is_refused(text: str) -> None:
    """A length that could be misread is no length; months and years have none."""
    with pytest.raises(InvalidTerms, match="not a length of time") as caught:
        parse_duration(text)
    assert caught.value.hint == "write it as 7d, 36h or 20s"


@pytest.mark.parametrize("text", ["36526d", "9999999999w", "9999999999s"])
def test_over_a_hundred_years_is_refused(text: str) -> None:
    """No later sum with a date can overflow."""
    with pytest.raises(InvalidTerms, match="longer than a hundred years"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("length", "text"),
    [
        (timedelta(days=14), "14d"),
        (timedelta(hours=25), "25h"),
        (timedelta(minutes=61), "61m"),
        (timedelta(seconds=61), "61s"),
        (timedelta(0), "0d"),
    ],
)
def test_the_largest_unit_that_fits_is_written(length: timedelta, text: str) -> None:
    """14 days are not 336 hours."""
    assert duration_text(length) == text


@given(st.integers(1, 36_525 * 86_400))
def test_what_is_written_reads_back(seconds: int) -> None:
    """Every length has a spelling that means it."""
    length = timedelta(seconds=seconds)
    assert parse_duration(duration_text(length)) == length


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
    with pytest.raises(InvalidStore, match="the token is missing"):
        parse_store("pkcs11:id=%01?module-path=/m.so")
    with pytest.raises(InvalidSettings, match=r"store: .*the token is missing") as caught:
        STORE.read("pkcs11:id=%01?module-path=/m.so", "store")
    assert caught.value.hint == "add token=LABEL or serial=NUMBER"
