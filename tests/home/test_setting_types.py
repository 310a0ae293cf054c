"""Types of settings: durations, absolute paths and store URIs."""

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
    """A duration is in seconds, minutes, hours, days or weeks."""
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
)
def test_any_other_spelling_is_refused(text: str) -> None:
    """Any other spelling is refused; months and years are not durations."""
    with pytest.raises(InvalidTerms, match="not a duration") as caught:
        parse_duration(text)
    assert caught.value.hint == "write it as 7d, 36h or 20s"


@pytest.mark.parametrize("text", ["36526d", "9999999999w", "9999999999s"])
def test_over_a_hundred_years_is_refused(text: str) -> None:
    """A duration above 100 years is refused, so that sums with dates do not overflow."""
    with pytest.raises(InvalidTerms, match="longer than 100 years"):
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
def test_a_duration_is_written_in_the_largest_unit(length: timedelta, text: str) -> None:
    """A duration is written in the largest unit that divides it, up to days."""
    assert duration_text(length) == text


@given(st.integers(1, 36_525 * 86_400))
def test_a_written_duration_is_read_back(seconds: int) -> None:
    """Every duration is written in a spelling that is read as the same duration."""
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
    """Other spellings are normalized; a slash at the end still means a folder."""
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
    """An unknown scheme, or a path without one, is refused."""
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
def test_a_path_that_is_not_absolute_is_refused(text: str) -> None:
    """A relative path, a path with a host and an unprintable one are refused."""
    with pytest.raises(InvalidSettings, match="not the absolute path of a file") as caught:
        parse_store(text)
    assert "\x1b" not in caught.value.message


def test_a_tilde_of_an_unknown_user_is_refused() -> None:
    """`~NAME` of an unknown user is refused."""
    with pytest.raises(InvalidSettings, match="unknown user in path: ~no-such-user/one"):
        parse_store("file:~no-such-user/one")


def test_an_invalid_token_uri_is_refused() -> None:
    """An invalid `pkcs11:` URI has the hint of the parser; the message begins with the setting."""
    with pytest.raises(InvalidStore, match="the token is missing"):
        parse_store("pkcs11:id=%01?module-path=/m.so")
    with pytest.raises(InvalidSettings, match=r"store: .*the token is missing") as caught:
        STORE.read("pkcs11:id=%01?module-path=/m.so", "store")
    assert caught.value.hint == "add token=LABEL or serial=NUMBER"
