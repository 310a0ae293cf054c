"""Dates and instants: read as ISO 8601 and RFC 3339, kept in UTC; expiry dates (FORMAT §6)."""

import re
from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING, Final

from polygent_issuer.errors import InvalidTerms
from polygent_issuer.text import escape_short, nearest

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo


MAX_EXP: Final = 253_402_300_799
"""The last second of the year 9999, as FORMAT §1 limits `exp`."""

TOO_LATE: Final = "the year 9999 is the last that a license can name"

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_SECOND: Final = timedelta(seconds=1)
_ZONE: Final = re.compile(r"(?!posix/|right/)[A-Za-z0-9_+-]+(?:/[A-Za-z0-9_+-]+){0,2}")
_ZONE_HINT: Final = "write it like Europe/Berlin (without a zone database: pip install tzdata)"
# What these mean depends on the machine.
_NO_ZONES: Final = frozenset({"localtime", "posixrules", "factory"})


def parse_zone(name: str) -> "ZoneInfo":
    """Find a time zone by its IANA name.

    Raises:
        InvalidTerms: (`invalid_terms`) when there is none of that name on this machine.
    """
    # Few commands name a zone, and each pays for what it imports.
    from zoneinfo import ZoneInfo, available_timezones  # noqa: PLC0415

    if name.casefold() in _NO_ZONES:
        raise InvalidTerms(
            f"no such time zone: {escape_short(name)} depends on the machine",
            hint="write the zone of the customer, like Europe/Berlin",
        )
    if _ZONE.fullmatch(name):
        try:
            return ZoneInfo(name)
        except (LookupError, ValueError, OSError):
            pass  # the reason is always the same: said below
    near = nearest(
        name, {zone for zone in available_timezones() if zone.casefold() not in _NO_ZONES}
    )
    hint = f"did you mean {near}?" if near else _ZONE_HINT
    raise InvalidTerms(f"no such time zone: {escape_short(name)}", hint=hint)


def known_zone(name: str | None) -> "ZoneInfo | None":
    """Find a time zone that may not be set; None also where this machine does not know it."""
    try:
        return None if name is None else parse_zone(name)
    except InvalidTerms:
        return None


def instant(moment: datetime) -> str:
    """Write a moment as RFC 3339 in UTC, whole seconds: `2027-12-01T00:00:00Z`."""
    return f"{in_utc(moment).replace(tzinfo=None).isoformat(timespec='seconds')}Z"


def from_seconds(seconds: int) -> datetime:
    """Turn a NumericDate (RFC 7519 §2) into a moment.

    Raises:
        InvalidTerms: (`invalid_terms`) outside 1970 to 9999.
    """
    if not 0 <= seconds <= MAX_EXP:
        raise InvalidTerms(f"no such time: second {seconds}: {TOO_LATE}")
    return _EPOCH + timedelta(seconds=seconds)


def to_seconds(moment: datetime) -> int:
    """Turn a moment into a NumericDate; a part of a second is dropped.

    Raises:
        InvalidTerms: (`invalid_terms`) before 1970.
    """
    seconds = (in_utc(moment) - _EPOCH) // _SECOND
    if seconds < 0:
        raise InvalidTerms(f"no such time for a license: {instant(moment)} is before 1970")
    return seconds


def in_utc(moment: datetime) -> datetime:
    """Turn an aware moment into UTC.

    Raises:
        InvalidTerms: (`invalid_terms`) when UTC puts it outside the years 1 to 9999.
        ValueError: for a naive datetime.
    """
    if moment.tzinfo is UTC:
        return moment
    if moment.utcoffset() is None:
        raise ValueError("a naive datetime says no instant")
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise InvalidTerms("the moment lies outside the years 1 to 9999 in UTC") from None


def midnight(day: date) -> datetime:
    """Name the 00:00 UTC with which a day begins."""
    return datetime.combine(day, time(), UTC)


ASSUMED_UPLOAD_WINDOW: Final = timedelta(days=7)
"""What a server's upload window is taken for until somebody tells it."""

_DAY: Final = timedelta(days=1)


def last_full_day(expires: datetime, zone: "ZoneInfo | None" = None) -> date:
    """Name the last day that a license covers to its end, in UTC or in a customer's zone.

    Raises:
        InvalidTerms: (`invalid_terms`) when the calendar of that zone has no such day.
    """
    try:
        return in_utc(expires).astimezone(zone or UTC).date() - _DAY
    except OverflowError:
        raise InvalidTerms(f"no last day before {instant(expires)}") from None


def describe_expiry(expires: datetime, zone: "ZoneInfo | None" = None) -> str:
    """Say an expiry as every display does: the instant in UTC and the last full day covered.

    A customer's time zone adds the same two as they are there.
    """
    told = f"{instant(expires)}, last full day {last_full_day(expires)}"
    if zone is None:
        return told
    try:
        day = last_full_day(expires, zone)
    except InvalidTerms:  # the last hours of 9999, east of Greenwich
        return told
    there = expires.astimezone(zone).isoformat(timespec="seconds")
    return f"{told}; in {zone} {there}, last full day {day}"


def describe_instant(moment: datetime, zone: "ZoneInfo | None" = None) -> str:
    """Say an instant in UTC and, where a customer's time zone is known, as it is there."""
    told = instant(moment)
    if zone is None:
        return told
    try:
        there = moment.astimezone(zone)
    except OverflowError:  # the last hours of 9999, east of Greenwich
        return told
    return f"{told} (in {zone} {there.isoformat(timespec='seconds')})"


def days_left(expires: datetime, now: datetime) -> int:
    """Count the days until an expiry as the product does: a begun day is a whole one.

    Every display of this number uses this function. It is 1 within the last 24 hours, and 0 or
    less once expired. `enforcement.alerts.days_left` counts the same.
    """
    return -((now - expires) // _DAY)


def days(number: int) -> str:
    """Write a number of days: `1 day`, `14 days`."""
    return f"{number} day" if number == 1 else f"{number} days"


def upload_deadline(issued_at: datetime, window: timedelta) -> datetime:
    """Say until when a server installs a license: issued at + the server's window.

    Raises:
        InvalidTerms: (`invalid_terms`) when that is past the year 9999.
    """
    try:
        return in_utc(issued_at) + window
    except OverflowError:
        raise InvalidTerms(f"the upload window is too long: {TOO_LATE}") from None
