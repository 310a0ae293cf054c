"""Expiries, as every display says them (FORMAT §6)."""

from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Final

from polygent_issuer.dates.moments import TOO_LATE, in_utc, instant
from polygent_issuer.errors import InvalidTerms

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

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
