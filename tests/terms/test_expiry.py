"""Expiries as written and as said; the upload deadline (FORMAT §6)."""

import os
import subprocess
import sys
from datetime import UTC, date, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from vectors.signing import STANDARD

from polygent_issuer.enforcement import alerts
from polygent_issuer.errors import InvalidTerms
from polygent_issuer.terms.dates import (
    days_left,
    describe_expiry,
    describe_instant,
    instant,
    last_full_day,
    to_seconds,
    upload_deadline,
)
from polygent_issuer.terms.parsing import parse_expires
from polygent_issuer.verifier import License
from polygent_issuer.verifier.license import MAX_EXP

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
