"""Instants, dates, zones, seconds."""

import re
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polygent_issuer.dates import (
    MAX_EXP,
    from_seconds,
    in_utc,
    instant,
    known_zone,
    parse_date_or_instant,
    parse_instant,
    parse_zone,
    to_seconds,
)
from polygent_issuer.errors import InvalidTerms


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-11-23T09:30:00Z", datetime(2026, 11, 23, 9, 30, tzinfo=UTC)),
        ("2026-11-23t09:30:00z", datetime(2026, 11, 23, 9, 30, tzinfo=UTC)),
        ("2026-11-23T09:30:00+05:45", datetime(2026, 11, 23, 3, 45, tzinfo=UTC)),
        ("2026-11-23T09:30:00-03:30", datetime(2026, 11, 23, 13, 0, tzinfo=UTC)),
        ("2026-11-23T23:30:00-23:59", datetime(2026, 11, 24, 23, 29, tzinfo=UTC)),
        ("2026-11-23T09:30:00-00:00", datetime(2026, 11, 23, 9, 30, tzinfo=UTC)),
        ("2026-11-23T09:30:00.5Z", datetime(2026, 11, 23, 9, 30, 0, 500_000, tzinfo=UTC)),
        ("2026-11-23T09:30:00.000001Z", datetime(2026, 11, 23, 9, 30, 0, 1, tzinfo=UTC)),
        ("2026-11-23T09:30:00.1234569Z", datetime(2026, 11, 23, 9, 30, 0, 123_456, tzinfo=UTC)),
        ("2028-02-29T00:00:00Z", datetime(2028, 2, 29, tzinfo=UTC)),
        ("0001-01-01T00:00:00Z", datetime(1, 1, 1, tzinfo=UTC)),
        ("9999-12-31T23:59:59Z", datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)),
    ],
)
def test_instants(text: str, moment: datetime) -> None:
    """RFC 3339 with its offset, in UTC; digits past the microsecond are dropped."""
    assert parse_instant(text) == moment
    assert parse_instant(text).tzinfo is UTC


@pytest.mark.parametrize(
    "text",
    [
        "2026-11-23T09:30:00",
        "2026-11-23 09:30:00Z",
        "2026-11-23T09:30Z",
        "2026-11-23T24:00:00Z",
        "2026-11-23T23:59:60Z",
        "2026-02-30T00:00:00Z",
        "2026-11-23T09:60:00Z",
        "2026-11-23",
        "2026-11-23T09:30:00+24:00",
        "2026-11-23T09:30:00+05:60",
        "2026-11-23T09:30:00+0545",
        "2026-11-23T09:30:00.Z",
        "2026-11-23T09:30:00,5Z",
        "2026-11-23T09:30:00Z\n",
        "now",
        "0000-01-01T00:00:00Z",
        "0001-01-01T00:00:00+00:01",
        "9999-12-31T23:59:59-00:01",
        "\uff12\uff10\uff12\uff16-11-23T09:30:00Z",
        "-2026-11-23T09:30:00Z",
        "\x1b]0;x\x07",
    ],
)
def test_other_instants_are_refused(text: str) -> None:
    """No offset, no such time, no ASCII, outside 1 to 9999: our error, printable."""
    with pytest.raises(InvalidTerms) as caught:
        parse_instant(text)
    assert caught.value.message.isprintable()
    assert "2027-11-30T18:00:00Z" in str(caught.value.hint)


@given(st.datetimes(timezones=st.timezones() | st.just(UTC)))
def test_instants_read_back(moment: datetime) -> None:
    """What Python writes as RFC 3339 is the same moment to us, unless UTC has no such year."""
    offset = moment.utcoffset()
    assert offset is not None
    if offset % timedelta(minutes=1):
        return  # local mean time: RFC 3339 cannot write it
    try:
        expected = moment.astimezone(UTC)
    except OverflowError:
        with pytest.raises(InvalidTerms):
            parse_instant(moment.isoformat())
    else:
        assert parse_instant(moment.isoformat()) == expected


def test_a_date_means_its_beginning() -> None:
    """`--since 2026-11-23` is from 00:00 UTC; an instant stays one."""
    assert parse_date_or_instant("2026-11-23") == datetime(2026, 11, 23, tzinfo=UTC)
    noon = datetime(2026, 11, 23, 12, tzinfo=UTC)
    assert parse_date_or_instant("2026-11-23T12:00:00Z") == noon
    for wrong in ("2026-11-31", "23.11.2026", ""):
        with pytest.raises(InvalidTerms):
            parse_date_or_instant(wrong)


@given(st.integers(0, MAX_EXP))
def test_seconds_read_back(seconds: int) -> None:
    """Every NumericDate of FORMAT §1 is a moment, and written with seconds and Z."""
    moment = from_seconds(seconds)
    assert to_seconds(moment) == seconds
    assert parse_instant(instant(moment)) == moment
    assert instant(moment).endswith("Z")


def test_seconds_at_their_ends() -> None:
    """1970, 2038, the year 9999, and nothing beyond; parts of a second are dropped."""
    assert instant(from_seconds(0)) == "1970-01-01T00:00:00Z"
    assert instant(from_seconds(2**31)) == "2038-01-19T03:14:08Z"
    assert instant(from_seconds(MAX_EXP)) == "9999-12-31T23:59:59Z"
    assert to_seconds(datetime(2038, 1, 19, 3, 14, 8, 999_999, tzinfo=UTC)) == 2**31
    for wrong in (-1, MAX_EXP + 1, 10**30):
        with pytest.raises(InvalidTerms):
            from_seconds(wrong)
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
