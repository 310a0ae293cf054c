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
    end_of_day,
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
    """Every NumericDate of FORMAT §1 is an instant, which is formatted with seconds and Z."""
    moment = datetime.fromtimestamp(seconds, UTC)
    assert to_seconds(moment) == seconds
    assert parse_instant(instant(moment)) == moment
    assert instant(moment).endswith("Z")


def test_seconds_at_their_ends() -> None:
    """NumericDates reach from 1970 to the year 9999; parts of a second are dropped."""
    assert instant(datetime.fromtimestamp(0, UTC)) == "1970-01-01T00:00:00Z"
    assert instant(datetime.fromtimestamp(2**31, UTC)) == "2038-01-19T03:14:08Z"
    assert instant(datetime.fromtimestamp(MAX_EXP, UTC)) == "9999-12-31T23:59:59Z"
    assert to_seconds(datetime(2038, 1, 19, 3, 14, 8, 999_999, tzinfo=UTC)) == 2**31
    with pytest.raises(InvalidTerms, match="1970"):
        to_seconds(datetime(1969, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC))


def test_instant_is_utc_with_four_digits() -> None:
    """An instant of any offset and year is formatted in UTC, with four digits for the year."""
    moment = datetime(476, 9, 4, 1, 0, 0, 7, tzinfo=timezone(timedelta(hours=2)))
    assert instant(moment) == "0476-09-03T23:00:00Z"


def test_in_utc_refuses_instants_outside_the_calendar() -> None:
    """A datetime whose offset moves it out of the calendar is `invalid_terms`."""
    east, west = timezone(timedelta(hours=14)), timezone(timedelta(hours=-14))
    for moment in (datetime(1, 1, 1, tzinfo=east), datetime(9999, 12, 31, 23, tzinfo=west)):
        with pytest.raises(InvalidTerms):
            in_utc(moment)


@pytest.mark.parametrize(
    "name", ["Europe/Berlin", "UTC", "America/Argentina/Buenos_Aires", "Etc/GMT+3"]
)
def test_zones(name: str) -> None:
    """IANA names are accepted."""
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
    """A path, a folder, a name that depends on the machine and an unknown name are refused."""
    with pytest.raises(InvalidTerms, match=r"^(unknown|invalid) time zone") as caught:
        parse_zone(name)
    assert caught.value.hint
    assert caught.value.message.isprintable()
    assert not {"localtime", "posixrules", "Factory"} & set(
        re.split("[^A-Za-z]", caught.value.hint)
    )


def test_a_zone_that_may_be_unknown() -> None:
    """`known_zone` returns None without a name, and for an unknown one."""
    assert str(known_zone("Europe/Berlin")) == "Europe/Berlin"
    assert known_zone(None) is None
    assert known_zone("Mars/Base") is None


def test_the_hint_for_a_mistyped_zone_names_a_similar_one() -> None:
    """The hint for a mistyped zone names the most similar one."""
    with pytest.raises(InvalidTerms) as caught:
        parse_zone("Europe/Berln")
    assert caught.value.hint == "did you mean Europe/Berlin?"


TERMS = st.one_of(
    st.builds(Term, years=st.integers(1, 100)),
    st.builds(Term, months=st.integers(1, 1200)),
    st.builds(Term, days=st.integers(1, 36525)),
)
BASES = st.datetimes(datetime(1970, 1, 1), datetime(9000, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - hypothesis requires naive bounds
MIDNIGHTS = BASES.map(lambda base: base.replace(hour=0, minute=0, second=0, microsecond=0))


def at(text: str) -> datetime:
    """Parse an instant, independently of the code under test."""
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
    """A term adds calendar units; a missing day is the first of the next month; rounded up."""
    assert term_end(at(base), parse_term(term)) == at(end)


def test_a_term_counts_in_utc() -> None:
    """A base in another zone is converted to UTC before the term is added."""
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
    """An end after the year 9999 is `invalid_terms` (FORMAT §1)."""
    with pytest.raises(InvalidTerms, match="9999") as caught:
        term_end(at(base), parse_term(term))
    assert caught.value.code == "invalid_terms"


@given(BASES, TERMS)
def test_end_is_a_later_midnight(base: datetime, term: Term) -> None:
    """The end of a term is 00:00 UTC of a later day."""
    end = term_end(base, term)
    assert end > base
    assert end.time() == time()
    assert end.tzinfo is UTC


@given(BASES, TERMS)
def test_no_day_is_lost(base: datetime, term: Term) -> None:
    """A term has at least its shortest calendar length, and at most two days more."""
    least = timedelta(days=term.days + 28 * term.months + 365 * term.years)
    most = timedelta(days=term.days + 31 * term.months + 366 * term.years + 2)
    assert least <= term_end(base, term) - base <= most


@given(MIDNIGHTS, MIDNIGHTS, TERMS)
def test_a_later_day_does_not_end_earlier(one: datetime, other: datetime, term: Term) -> None:
    """For renewals, which start at midnight, a later start does not end earlier."""
    first, second = sorted((one, other))
    assert term_end(first, term) <= term_end(second, term)


@given(BASES, st.timedeltas(timedelta(), timedelta(days=2)), TERMS)
def test_a_later_instant_ends_at_most_a_day_earlier(
    base: datetime, step: timedelta, term: Term
) -> None:
    """A later start ends at most one day earlier, at the end of short months."""
    assert term_end(base + step, term) >= term_end(base, term) - timedelta(days=1)


@given(MIDNIGHTS, TERMS)
def test_renewals_chain_at_midnight(base: datetime, term: Term) -> None:
    """A renewal from an expiry is not rounded: its end is exact for days and whole years."""
    end = term_end(base, term)
    if term.days:
        assert end - base == timedelta(days=term.days)
    elif base.day <= 28:
        assert end.day == base.day


@given(TERMS)
def test_a_formatted_term_is_read_back(term: Term) -> None:
    """The text of a term is parsed as the same term."""
    assert parse_term(str(term)) == term


@pytest.mark.parametrize(
    "units", [{}, {"years": 1, "days": 1}, {"years": 1, "months": 1}, {"days": -1}]
)
def test_a_term_has_exactly_one_unit(units: dict[str, int]) -> None:
    """A term with no unit, several units or a negative number is refused."""
    with pytest.raises(InvalidTerms):
        Term(**units)


def test_a_naive_base_is_a_value_error() -> None:
    """A datetime without a zone raises ValueError."""
    with pytest.raises(ValueError, match="timezone-aware"):
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
def test_a_part_of_a_day_counts_as_a_day(before: timedelta, left: int) -> None:
    """On the last day 1 day is left, after the expiry 0, and a day later -1."""
    assert days_left(END, END - before) == left


@given(st.timedeltas(min_value=timedelta(days=-800), max_value=timedelta(days=800)))
def test_the_product_counts_the_same_days(before: timedelta) -> None:
    """`enforcement.alerts` counts the same days, and 0 after the expiry."""
    installed = License.from_claims({**STANDARD, "exp": to_seconds(END)})
    assert alerts.days_left(installed, END - before) == max(0, days_left(END, END - before))


@given(SECONDS)
def test_last_full_day_is_covered(seconds: int) -> None:
    """The last full day ends before or with the license, and the next day after it."""
    expires = datetime.fromtimestamp(seconds, UTC)
    day = last_full_day(expires)
    end = to_seconds(datetime(day.year, day.month, day.day, tzinfo=UTC)) + 86_400
    assert end <= seconds < end + 86_400


@pytest.mark.parametrize(
    ("day", "zone", "end"),
    [
        (date(2026, 12, 31), None, "2027-01-01T00:00:00Z"),
        (date(2026, 12, 31), "Asia/Tokyo", "2026-12-31T15:00:00Z"),
        (date(2026, 10, 25), "Europe/Berlin", "2026-10-25T23:00:00Z"),
        # This day begins at 01:00 in summer time, and this one has 00:00 twice.
        (date(2018, 11, 3), "America/Sao_Paulo", "2018-11-04T03:00:00Z"),
        (date(2026, 10, 24), "Atlantic/Azores", "2026-10-25T00:00:00Z"),
    ],
)
def test_a_day_ends_at_midnight_in_a_zone(day: date, zone: str | None, end: str) -> None:
    """The end of a day is the first instant of the next one; the day is then fully covered."""
    there = known_zone(zone)
    moment = end_of_day(day, there)
    assert instant(moment) == end
    assert last_full_day(moment, there) == day


def test_a_day_that_ends_after_the_calendar() -> None:
    """The last day of the year 9999 ends in a year that does not exist."""
    with pytest.raises(InvalidTerms, match="9999-12-31 is too late"):
        end_of_day(date(9999, 12, 31))


def test_last_full_day_of_a_date_is_that_date() -> None:
    """The last full day of `--expires 2027-11-30` is 2027-11-30."""
    assert last_full_day(parse_expires("2027-11-30")) == date(2027, 11, 30)


def test_last_full_day_before_the_calendar() -> None:
    """The last full day before the first day of the calendar is `invalid_terms`."""
    with pytest.raises(InvalidTerms):
        last_full_day(datetime(1, 1, 1, tzinfo=UTC))


def test_an_expiry_is_formatted_with_instant_and_day() -> None:
    """An expiry is formatted as the instant in UTC and the last full day."""
    text = describe_expiry(parse_expires("2027-11-30"))
    assert text == "2027-12-01T00:00:00Z, last full day 2027-11-30"


@pytest.mark.parametrize(
    ("zone", "there"),
    [
        ("America/New_York", "2027-11-30T19:00:00-05:00, last full day 2027-11-29"),
        ("Pacific/Kiritimati", "2027-12-01T14:00:00+14:00, last full day 2027-11-30"),
        ("Asia/Kathmandu", "2027-12-01T05:45:00+05:45, last full day 2027-11-30"),
    ],
)
def test_an_expiry_is_formatted_in_a_zone(zone: str, there: str) -> None:
    """In a customer's zone the instant and the last full day are added."""
    text = describe_expiry(parse_expires("2027-11-30"), ZoneInfo(zone))
    assert text == f"2027-12-01T00:00:00Z, last full day 2027-11-30; in {zone} {there}"


def test_end_of_time_in_an_eastern_zone() -> None:
    """In the last hours of 9999 a zone ahead of UTC, where it is 10000, is left out."""
    text = describe_expiry(datetime.fromtimestamp(MAX_EXP, UTC), ZoneInfo("Pacific/Kiritimati"))
    assert text == "9999-12-31T23:59:59Z, last full day 9999-12-30"


def test_upload_deadline() -> None:
    """The deadline is the issue plus the window, in UTC; it is not after the latest `exp`."""
    issued = datetime(2026, 11, 23, 11, tzinfo=timezone(timedelta(hours=2)))
    assert instant(upload_deadline(issued, timedelta(days=7))) == "2026-11-30T09:00:00Z"
    last = datetime.fromtimestamp(MAX_EXP, UTC)
    assert upload_deadline(issued, timedelta(days=3_000_000)) == last
    for seconds, deadline in ((1, last), (0, last), (-1, last - timedelta(seconds=1))):
        issued = last - timedelta(days=7) + timedelta(seconds=seconds)
        assert upload_deadline(issued, timedelta(days=7)) == deadline


def test_an_instant_in_a_zone() -> None:
    """An instant is formatted in UTC and in the zone, unless the calendar ends there."""
    moment = datetime(2026, 12, 7, 9, 30, tzinfo=UTC)
    assert describe_instant(moment) == "2026-12-07T09:30:00Z"
    there = "2026-12-07T09:30:00Z (in Asia/Kathmandu 2026-12-07T15:15:00+05:45)"
    assert describe_instant(moment, ZoneInfo("Asia/Kathmandu")) == there
    last = datetime.fromtimestamp(MAX_EXP, UTC)
    assert describe_instant(last, ZoneInfo("Pacific/Kiritimati")) == "9999-12-31T23:59:59Z"


@pytest.mark.parametrize("expires", [last_full_day, describe_expiry, instant, to_seconds])
def test_a_naive_datetime_is_a_value_error(expires: object) -> None:
    """No function guesses the zone of a naive datetime."""
    assert callable(expires)
    with pytest.raises(ValueError, match="timezone-aware"):
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


def output_in(zone: str) -> str:
    """Run the script in a process with another local time zone; return its output."""
    environ = {**os.environ, "TZ": zone}
    return subprocess.run(
        [sys.executable, "-c", SCRIPT], env=environ, check=True, capture_output=True, text=True
    ).stdout


def test_local_time_zone_changes_nothing() -> None:
    """The results do not depend on the local time zone."""
    output = output_in("UTC")
    assert output.splitlines() == [
        "2027-12-01T00:00:00Z, last full day 2027-11-30",
        "['2027-03-30T00:00:00Z', '2026-09-30T00:00:00Z', '2026-06-28T00:00:00Z']",
        "1792886400 2026-03-28",
        "2026-03-29T01:30:00Z",
    ]
    zones = ("Pacific/Kiritimati", "America/St_Johns", "Asia/Kathmandu", "Europe/Berlin")
    for zone in (*zones, "America/New_York"):
        assert output_in(zone) == output
