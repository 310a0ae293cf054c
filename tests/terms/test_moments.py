"""Instants, dates, zones, seconds."""

import re
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polygent_issuer.errors import InvalidTerms
from polygent_issuer.terms.dates import (
    in_utc,
    instant,
    known_zone,
    parse_zone,
    to_seconds,
)
from polygent_issuer.terms.parsing import parse_instant
from polygent_issuer.verifier.license import MAX_EXP


@given(st.integers(0, MAX_EXP))
def test_seconds_read_back(seconds: int) -> None:
    """Every NumericDate of FORMAT §1 is a moment, and written with seconds and Z."""
    moment = datetime.fromtimestamp(seconds, UTC)
    assert to_seconds(moment) == seconds
    assert parse_instant(instant(moment)) == moment
    assert instant(moment).endswith("Z")


def test_seconds_at_their_ends() -> None:
    """1970, 2038, the year 9999, and nothing beyond; parts of a second are dropped."""
    assert instant(datetime.fromtimestamp(0, UTC)) == "1970-01-01T00:00:00Z"
    assert instant(datetime.fromtimestamp(2**31, UTC)) == "2038-01-19T03:14:08Z"
    assert instant(datetime.fromtimestamp(MAX_EXP, UTC)) == "9999-12-31T23:59:59Z"
    assert to_seconds(datetime(2038, 1, 19, 3, 14, 8, 999_999, tzinfo=UTC)) == 2**31
    with pytest.raises(InvalidTerms, match="1970"):
        to_seconds(datetime(1969, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC))


def test_instant_is_utc_with_four_digits() -> None:
    """Whatever the offset and the year."""
    moment = datetime(476, 9, 4, 1, 0, 0, 7, tzinfo=timezone(timedelta(hours=2)))
    assert instant(moment) == "0476-09-03T23:00:00Z"


def test_in_utc_refuses_what_utc_has_not() -> None:
    """An offset may push a moment out of the calendar: our error."""
    east, west = timezone(timedelta(hours=14)), timezone(timedelta(hours=-14))
    for moment in (datetime(1, 1, 1, tzinfo=east), datetime(9999, 12, 31, 23, tzinfo=west)):
        with pytest.raises(InvalidTerms):
            in_utc(moment)


@pytest.mark.parametrize(
    "name", ["Europe/Berlin", "UTC", "America/Argentina/Buenos_Aires", "Etc/GMT+3"]
)
def test_zones(name: str) -> None:
    """IANA names are found."""
    assert str(parse_zone(name)) == name


@pytest.mark.parametrize(
    "name",
    [
        "",
        ".",
        "..",
        "Europe",
        "Europe/Berln",
        "../../etc/passwd",
        "/etc/localtime",
        "Mars/Base",
        "localtime",
        "posixrules",
        "Factory",
        "LOCALTIME",
        "right/Europe/Berlin",
        "posix/Europe/Berlin",
        "CEST+2\0",
        "\x1b[",
        "Europe/Berlin\n",
        "a" * 300,
        "\udc80",
        "日本",
    ],
)
def test_other_zones_are_refused(name: str) -> None:
    """No path, folder, machine-dependent or unknown name; the hint helps."""
    with pytest.raises(InvalidTerms, match="no such time zone") as caught:
        parse_zone(name)
    assert caught.value.hint
    assert caught.value.message.isprintable()
    assert not {"localtime", "posixrules", "Factory"} & set(
        re.split("[^A-Za-z]", caught.value.hint)
    )


def test_a_zone_that_may_be_unknown() -> None:
    """None when none is set, and where this machine does not know it."""
    assert str(known_zone("Europe/Berlin")) == "Europe/Berlin"
    assert known_zone(None) is None
    assert known_zone("Mars/Base") is None


def test_mistyped_zone_finds_the_near_one() -> None:
    """`did you mean`."""
    with pytest.raises(InvalidTerms) as caught:
        parse_zone("Europe/Berln")
    assert caught.value.hint == "did you mean Europe/Berlin?"
