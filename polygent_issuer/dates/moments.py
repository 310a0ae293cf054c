"""Instants in UTC, as RFC 3339 writes them, and time zones."""

import re
from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING, Final

from polygent_issuer.errors import InvalidTerms
from polygent_issuer.text import brief, nearest

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
            f"no such time zone: {brief(name)} depends on the machine",
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
    raise InvalidTerms(f"no such time zone: {brief(name)}", hint=hint)


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
