"""Dates, instants, zones, terms and expiries (FORMAT §6)."""

import os
import re
import subprocess
import sys
from datetime import UTC, date, datetime, time, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from vectors.signing import STANDARD

from polygent_issuer.enforcement import alerts
from polygent_issuer.errors import InvalidTerms
from polygent_issuer.terms.dates import (
    Term,
    days_left,
    describe_expiry,
    describe_instant,
    in_utc,
    instant,
    known_zone,
    last_full_day,
    parse_zone,
    term_end,
    to_seconds,
    upload_deadline,
)
from polygent_issuer.terms.parsing import parse_expires, parse_instant, parse_term
from polygent_issuer.verifier import License
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


TERMS = st.one_of(
    st.builds(Term, years=st.integers(1, 100)),
    st.builds(Term, months=st.integers(1, 1200)),
    st.builds(Term, days=st.integers(1, 36525)),
)
BASES = st.datetimes(datetime(1970, 1, 1), datetime(9000, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - hypothesis wants naive bounds
MIDNIGHTS = BASES.map(lambda base: base.replace(hour=0, minute=0, second=0, microsecond=0))


def at(text: str) -> datetime:
    """Read a moment, independently of the code under test."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("base", "term", "end"),
    [
        ("2026-11-23T09:30:00", "1y", "2027-11-24"),
        ("2026-11-23T00:00:00", "1y", "2027-11-23"),
        ("2026-11-23T00:00:00.000001", "1y", "2027-11-24"),
        ("2026-11-23T23:59:59.999999", "1y", "2027-11-24"),
        ("2027-12-01T00:00:00", "6mo", "2028-06-01"),
        ("2026-11-23T09:30:00", "90d", "2027-02-22"),
        ("2026-12-31T00:00:00", "1d", "2027-01-01"),
        ("2028-02-29T00:00:00", "1y", "2029-03-01"),
        ("2028-02-29T00:00:00", "4y", "2032-02-29"),
        ("2096-02-29T00:00:00", "4y", "2100-03-01"),
        ("2028-02-29T12:00:00", "1y", "2029-03-02"),
        ("2027-01-31T00:00:00", "1mo", "2027-03-01"),
        ("2027-01-31T10:00:00", "1mo", "2027-03-02"),
        ("2027-01-28T00:00:00", "1mo", "2027-02-28"),
        ("2028-01-29T00:00:00", "1mo", "2028-02-29"),
        ("2027-03-31T00:00:00", "1mo", "2027-05-01"),
        ("2027-11-30T00:00:00", "1mo", "2027-12-30"),
        ("2027-12-31T00:00:00", "12mo", "2028-12-31"),
        ("2026-10-31T00:00:00", "13mo", "2027-12-01"),
        ("2037-01-19T03:14:08", "1y", "2038-01-20"),
        ("2099-03-01T00:00:00", "1y", "2100-03-01"),
        ("9998-12-31T00:00:00", "1y", "9999-12-31"),
    ],
)
def test_ends(base: str, term: str, end: str) -> None:
    """Calendar units; a day that does not exist is the next month's first; up to midnight."""
    assert term_end(at(base), parse_term(term)) == at(end)


def test_base_counts_in_utc() -> None:
    """A base in another zone means its instant: the day is UTC's."""
    base = datetime(2026, 3, 1, 1, 0, tzinfo=timezone(timedelta(hours=14)))
    assert term_end(base, Term(months=1)) == at("2026-03-29")
    assert term_end(base, Term(months=1)).tzinfo is UTC


@pytest.mark.parametrize(
    ("base", "term"),
    [
        ("9999-12-31T00:00:01", "1d"),
        ("9998-12-31T00:00:01", "1y"),
        ("9999-11-30T00:00:00", "2mo"),
        ("9999-01-01T00:00:00", "1y"),
        ("2026-01-01T00:00:00", "9999999y"),
        ("2026-01-01T00:00:00", "9999999mo"),
        ("2026-01-01T00:00:00", "9999999d"),
    ],
)
def test_past_9999_is_refused(base: str, term: str) -> None:
    """FORMAT §1: no license ends after the year 9999; the error is ours."""
    with pytest.raises(InvalidTerms, match="9999") as caught:
        term_end(at(base), parse_term(term))
    assert caught.value.code == "invalid_terms"


@given(BASES, TERMS)
def test_end_is_a_later_midnight(base: datetime, term: Term) -> None:
    """A license never ends in the middle of a day, nor before it began."""
    end = term_end(base, term)
    assert end > base
    assert end.time() == time()
    assert end.tzinfo is UTC


@given(BASES, TERMS)
def test_no_day_is_lost(base: datetime, term: Term) -> None:
    """Every term gives at least its shortest calendar length, and at most two days more."""
    least = timedelta(days=term.days + 28 * term.months + 365 * term.years)
    most = timedelta(days=term.days + 31 * term.months + 366 * term.years + 2)
    assert least <= term_end(base, term) - base <= most


@given(MIDNIGHTS, MIDNIGHTS, TERMS)
def test_later_days_end_no_earlier(one: datetime, other: datetime, term: Term) -> None:
    """Renewals, whose bases are midnights: who starts later does not end earlier."""
    first, second = sorted((one, other))
    assert term_end(first, term) <= term_end(second, term)


@given(BASES, st.timedeltas(timedelta(), timedelta(days=2)), TERMS)
def test_a_moment_later_ends_at_most_a_day_earlier(
    base: datetime, step: timedelta, term: Term
) -> None:
    """Any base: where short months fold together, the rounding up differs by a day at most."""
    assert term_end(base + step, term) >= term_end(base, term) - timedelta(days=1)


@given(MIDNIGHTS, TERMS)
def test_renewals_chain_at_midnight(base: datetime, term: Term) -> None:
    """A renewal from an expiry adds no rounding: its end is exact for days and full years."""
    end = term_end(base, term)
    if term.days:
        assert end - base == timedelta(days=term.days)
    elif base.day <= 28:
        assert end.day == base.day


@given(TERMS)
def test_spelling_is_read_back(term: Term) -> None:
    """What a term prints is what it parses."""
    assert parse_term(str(term)) == term


@pytest.mark.parametrize(
    "units", [{}, {"years": 1, "days": 1}, {"years": 1, "months": 1}, {"days": -1}]
)
def test_one_unit_exactly(units: dict[str, int]) -> None:
    """A term is years, or months, or days, and not backwards."""
    with pytest.raises(InvalidTerms):
        Term(**units)


def test_naive_base_is_the_callers_mistake() -> None:
    """A datetime without a zone says no instant."""
    with pytest.raises(ValueError, match="naive"):
        term_end(datetime(2026, 1, 1), Term(days=1))  # noqa: DTZ001 - the mistake under test


END = datetime(2027, 12, 1, tzinfo=UTC)
SECONDS = st.integers(86_400, MAX_EXP)


@pytest.mark.parametrize(
    ("before", "left"),
    [
        (timedelta(days=365, hours=14, minutes=30), 366),
        (timedelta(days=2, microseconds=1), 3),
        (timedelta(days=2), 2),
        (timedelta(microseconds=1), 1),
        (timedelta(0), 0),
        (timedelta(hours=-23), 0),
        (timedelta(days=-1), -1),
    ],
)
def test_a_begun_day_counts_as_a_whole_one(before: timedelta, left: int) -> None:
    """One on the last day, none once expired, and less than none from a day later."""
    assert days_left(END, END - before) == left


@given(st.timedeltas(min_value=timedelta(days=-800), max_value=timedelta(days=800)))
def test_the_product_counts_the_same_days(before: timedelta) -> None:
    """A server shows its admins the number that the operator sees, and 0 once expired."""
    installed = License.from_claims({**STANDARD, "exp": to_seconds(END)})
    assert alerts.days_left(installed, END - before) == max(0, days_left(END, END - before))


@given(SECONDS)
def test_last_full_day_is_covered(seconds: int) -> None:
    """The day that is named ends no later than the license, and the next one does not."""
    expires = datetime.fromtimestamp(seconds, UTC)
    day = last_full_day(expires)
    end = to_seconds(datetime(day.year, day.month, day.day, tzinfo=UTC)) + 86_400
    assert end <= seconds < end + 86_400


def test_last_full_day_of_a_date_is_that_date() -> None:
    """`--expires 2027-11-30` reads back as 2027-11-30."""
    assert last_full_day(parse_expires("2027-11-30")) == date(2027, 11, 30)


def test_last_full_day_before_the_calendar() -> None:
    """The first day of all has none before it: our error."""
    with pytest.raises(InvalidTerms):
        last_full_day(datetime(1, 1, 1, tzinfo=UTC))


def test_expiry_is_said_with_instant_and_day() -> None:
    """Every display says the instant in UTC and the last full day."""
    told = describe_expiry(parse_expires("2027-11-30"))
    assert told == "2027-12-01T00:00:00Z, last full day 2027-11-30"


@pytest.mark.parametrize(
    ("zone", "there"),
    [
        ("America/New_York", "2027-11-30T19:00:00-05:00, last full day 2027-11-29"),
        ("Pacific/Kiritimati", "2027-12-01T14:00:00+14:00, last full day 2027-11-30"),
        ("Asia/Kathmandu", "2027-12-01T05:45:00+05:45, last full day 2027-11-30"),
    ],
)
def test_customers_zone_is_said_too(zone: str, there: str) -> None:
    """In the customer's zone both differ: west of Greenwich the last day is one earlier."""
    told = describe_expiry(parse_expires("2027-11-30"), ZoneInfo(zone))
    assert told == f"2027-12-01T00:00:00Z, last full day 2027-11-30; in {zone} {there}"


def test_end_of_time_in_an_eastern_zone() -> None:
    """In the last hours of 9999 a zone ahead of UTC has no such year: it is left out."""
    told = describe_expiry(datetime.fromtimestamp(MAX_EXP, UTC), ZoneInfo("Pacific/Kiritimati"))
    assert told == "9999-12-31T23:59:59Z, last full day 9999-12-30"


def test_upload_deadline() -> None:
    """Issued at + window, in UTC; past 9999 is our error."""
    issued = datetime(2026, 11, 23, 11, tzinfo=timezone(timedelta(hours=2)))
    assert instant(upload_deadline(issued, timedelta(days=7))) == "2026-11-30T09:00:00Z"
    with pytest.raises(InvalidTerms, match="9999"):
        upload_deadline(issued, timedelta(days=3_000_000))


def test_an_instant_in_a_zone() -> None:
    """In UTC, and as it is there where the calendar has it."""
    moment = datetime(2026, 12, 7, 9, 30, tzinfo=UTC)
    assert describe_instant(moment) == "2026-12-07T09:30:00Z"
    there = "2026-12-07T09:30:00Z (in Asia/Kathmandu 2026-12-07T15:15:00+05:45)"
    assert describe_instant(moment, ZoneInfo("Asia/Kathmandu")) == there
    last = datetime.fromtimestamp(MAX_EXP, UTC)
    assert describe_instant(last, ZoneInfo("Pacific/Kiritimati")) == "9999-12-31T23:59:59Z"


@pytest.mark.parametrize("expires", [last_full_day, describe_expiry, instant, to_seconds])
def test_naive_moments_are_the_callers_mistake(expires: object) -> None:
    """No function guesses a zone."""
    assert callable(expires)
    with pytest.raises(ValueError, match="naive"):
        expires(datetime(2027, 1, 1))  # noqa: DTZ001 - the mistake under test


SCRIPT = """
from datetime import UTC, datetime
from polygent_issuer.terms.dates import *
from polygent_issuer.terms.parsing import *
base = datetime(2026, 3, 29, 1, 30, tzinfo=UTC)
print(describe_expiry(parse_expires("2027-11-30")))
print([instant(term_end(base, parse_term(t))) for t in ("1y", "6mo", "90d")])
print(to_seconds(parse_date_or_instant("2026-10-25")), last_full_day(base))
print(instant(parse_instant("2026-03-29T02:30:00+01:00")))
"""


def told_in(zone: str) -> str:
    """Run the script in a process whose local time zone is another."""
    environ = {**os.environ, "TZ": zone}
    return subprocess.run(
        [sys.executable, "-c", SCRIPT], env=environ, check=True, capture_output=True, text=True
    ).stdout


def test_local_time_zone_changes_nothing() -> None:
    """The same answers wherever the operator sits."""
    told = told_in("UTC")
    assert told.splitlines() == [
        "2027-12-01T00:00:00Z, last full day 2027-11-30",
        "['2027-03-30T00:00:00Z', '2026-09-30T00:00:00Z', '2026-06-28T00:00:00Z']",
        "1792886400 2026-03-28",
        "2026-03-29T01:30:00Z",
    ]
    zones = ("Pacific/Kiritimati", "America/St_Johns", "Asia/Kathmandu", "Europe/Berlin")
    for zone in (*zones, "America/New_York"):
        assert told_in(zone) == told
