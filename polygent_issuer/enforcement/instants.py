"""Instants in UTC, as microseconds since 1970 and back, and never out of range."""

from datetime import UTC, datetime, timedelta
from typing import Final

from ..verifier.clock import EPOCH, moment

FIRST: Final = datetime.min.replace(tzinfo=UTC)
LAST: Final = datetime.max.replace(tzinfo=UTC)

to_moment = moment
"""Microseconds since 1970 of an aware datetime; `ValueError` of a naive one."""


def from_moment(microseconds: int) -> datetime:
    """The instant in UTC; one before the year 1 or after 9999 is the first or the last of them."""
    within = max(moment(FIRST), min(microseconds, moment(LAST)))
    return EPOCH + timedelta(microseconds=within)


def utc(now: datetime) -> datetime:
    """The same instant in UTC.

    Raises:
        ValueError: `now` is naive.
    """
    return from_moment(moment(now))
