"""Instants in UTC, of microseconds since 1970, and never out of range."""

from datetime import UTC, datetime, timedelta
from typing import Final

from ..verifier.license import EPOCH
from ..verifier.policy import moment

FIRST: Final = moment(datetime.min.replace(tzinfo=UTC))
LAST: Final = moment(datetime.max.replace(tzinfo=UTC))


def from_moment(microseconds: int) -> datetime:
    """The instant in UTC; one before the year 1 or after 9999 is the first or the last of them."""
    return EPOCH + timedelta(microseconds=max(FIRST, min(microseconds, LAST)))


def utc(now: datetime) -> datetime:
    """The same instant in UTC; `ValueError` of a naive one."""
    return from_moment(moment(now))
