"""Dates, instants and terms in UTC: format them, and compute the end of a term (FORMAT §6)."""

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from polygent_issuer.errors import InvalidTerms
from polygent_issuer.text import did_you_mean, escape_short

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo


ASSUMED_UPLOAD_WINDOW: Final = timedelta(days=7)
"""The upload window of a server if the settings do not have it."""

ALERT_DAYS: Final = (1, 7, 14, 30)
"""The product warns its admins this many days before the expiry (`enforcement.alerts`)."""

TOO_LATE: Final = "licenses cannot contain dates after the year 9999"

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_LAST: Final = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)
_SECOND: Final = timedelta(seconds=1)
_DAY: Final = timedelta(days=1)
_MONTHS: Final = 12
_ZONE: Final = re.compile(r"(?!posix/|right/)[A-Za-z0-9_+-]+(?:/[A-Za-z0-9_+-]+){0,2}")
_ZONE_HINT: Final = "write it like Europe/Berlin (without a zone database: pip install tzdata)"
# The meaning of these depends on the machine.
_NO_ZONES: Final = frozenset({"localtime", "posixrules", "factory"})


def parse_zone(name: str) -> "ZoneInfo":
    """Return a time zone by its IANA name; `invalid_terms` if it is unknown on this machine."""
    # Imported here, because few commands need zones.
    from zoneinfo import ZoneInfo, available_timezones  # noqa: PLC0415

    if name.casefold() in _NO_ZONES:
        raise InvalidTerms(
            f"invalid time zone: {escape_short(name)} depends on the machine",
            hint="write the zone of the customer, such as Europe/Berlin",
        )
    if _ZONE.fullmatch(name):
        try:
            return ZoneInfo(name)
        except (LookupError, ValueError, OSError):
            pass  # raised below
    zones = {zone for zone in available_timezones() if zone.casefold() not in _NO_ZONES}
    hint = did_you_mean(name, zones, _ZONE_HINT)
    raise InvalidTerms(f"unknown time zone: {escape_short(name)}", hint=hint)


def known_zone(name: str | None) -> "ZoneInfo | None":
    """Return a time zone by its name; None without a name, or if it is unknown on this machine."""
    try:
        return None if name is None else parse_zone(name)
    except InvalidTerms:
        return None


@lru_cache(maxsize=1024)  # many licenses share few instants
def instant(moment: datetime) -> str:
    """Format an instant as RFC 3339 in UTC, in whole seconds: `2027-12-01T00:00:00Z`."""
    return f"{in_utc(moment).isoformat(timespec='seconds').removesuffix('+00:00')}Z"


def optional_instant(moment: datetime | None) -> str | None:
    """Format an instant as `instant` does; None stays None."""
    return None if moment is None else instant(moment)


def to_seconds(moment: datetime) -> int:
    """Convert an instant to a NumericDate in whole seconds; `invalid_terms` before 1970."""
    seconds = (in_utc(moment) - _EPOCH) // _SECOND
    if seconds < 0:
        raise InvalidTerms(f"licenses cannot contain dates before 1970: {instant(moment)}")
    return seconds


def in_utc(moment: datetime) -> datetime:
    """Convert an aware datetime to UTC; `invalid_terms` outside the years 1 to 9999."""
    if moment.tzinfo is UTC:
        return moment
    if moment.utcoffset() is None:
        raise ValueError("datetime must be timezone-aware")
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise InvalidTerms("the instant is outside the years 1 to 9999 in UTC") from None


def midnight(day: date) -> datetime:
    """Return 00:00 UTC of a day."""
    return datetime.combine(day, time(), UTC)


def end_of_day(day: date, zone: "ZoneInfo | None" = None) -> datetime:
    """Return the end of a day in UTC or in a customer's zone; `invalid_terms` after 9999."""
    try:
        return in_utc(datetime.combine(day + _DAY, time(), zone or UTC))
    except OverflowError:
        raise InvalidTerms(f"{day} is too late", hint="give an earlier day") from None


def last_full_day(expires: datetime, zone: "ZoneInfo | None" = None) -> date:
    """Return the last day that a license covers completely, in UTC or in a customer's zone.

    A day outside the calendar is `invalid_terms`.
    """
    try:
        return in_utc(expires).astimezone(zone or UTC).date() - _DAY
    except OverflowError:
        raise InvalidTerms(f"no day before {instant(expires)} in the calendar") from None


def describe_expiry(expires: datetime, zone: "ZoneInfo | None" = None) -> str:
    """Format an expiry for display: the instant and the last full day, in UTC and in a zone."""
    text = f"{instant(expires)}, last full day {last_full_day(expires)}"
    if zone is None:
        return text
    try:
        day = last_full_day(expires, zone)
    except InvalidTerms:  # the last hours of 9999, east of Greenwich
        return text
    there = expires.astimezone(zone).isoformat(timespec="seconds")
    return f"{text}; in {zone} {there}, last full day {day}"


def describe_instant(moment: datetime, zone: "ZoneInfo | None" = None) -> str:
    """Format an instant for display, in UTC and in a customer's zone if there is one."""
    text = instant(moment)
    if zone is None:
        return text
    try:
        there = moment.astimezone(zone)
    except OverflowError:  # the last hours of 9999, east of Greenwich
        return text
    return f"{text} (in {zone} {there.isoformat(timespec='seconds')})"


def days_left(expires: datetime, now: datetime) -> int:
    """Return the number of days until an expiry; a part of a day counts as a day.

    It is 1 within the last 24 hours, and 0 or less once expired. Every display uses this function.
    `enforcement.alerts.days_left` counts the same.
    """
    return -((now - expires) // _DAY)


def days(number: int) -> str:
    """Format a number of days: `1 day`, `14 days`."""
    return f"{number} day" if number == 1 else f"{number} days"


def upload_deadline(issued_at: datetime, window: timedelta) -> datetime:
    """Return the last instant at which a server accepts the file: issued at plus its window.

    It is at most the latest `exp` of FORMAT §1, since no file is accepted after that.
    """
    issued = in_utc(issued_at)
    return issued + min(window, _LAST - issued)


@dataclass(frozen=True, kw_only=True, slots=True)
class Term:
    """The duration of a license: a number of calendar years, or of calendar months, or of days."""

    years: int = 0
    months: int = 0
    days: int = 0

    def __post_init__(self) -> None:
        """Check that exactly one unit is used, with a positive number."""
        used = [number for number in (self.years, self.months, self.days) if number]
        if len(used) != 1 or used[0] < 0:
            raise InvalidTerms("a term is a number of years, of months or of days")

    def __str__(self) -> str:
        """Format the term as `terms.parsing` reads it."""
        if self.years:
            return f"{self.years}y"
        return f"{self.months}mo" if self.months else f"{self.days}d"


@lru_cache(maxsize=1024)  # as `instant`
def term_end(base: datetime, term: Term) -> datetime:
    """Add a term to an instant and round up to midnight in UTC (FORMAT §6).

    Years and months are calendar units. A day that does not exist becomes the first of the next
    month, at the same time of day. The sum is rounded up to 00:00 UTC, and 00:00 itself stays. An
    end after the year 9999 is `invalid_terms`.
    """
    start = in_utc(base)
    try:
        end = start + timedelta(days=term.days) if term.days else _months_later(start, term)
        begun = midnight(end.date())
        return begun if begun == end else begun + _DAY
    except OverflowError:
        raise InvalidTerms(
            f"the term {term} ends too late: {TOO_LATE}", hint="choose a shorter term"
        ) from None


def _months_later(start: datetime, term: Term) -> datetime:
    months = start.year * _MONTHS + (start.month - 1) + term.years * _MONTHS + term.months
    try:
        return start.replace(year=months // _MONTHS, month=months % _MONTHS + 1)
    except ValueError:  # no such day, or no such year
        months += 1
    try:
        return start.replace(year=months // _MONTHS, month=months % _MONTHS + 1, day=1)
    except ValueError:
        raise OverflowError from None
