"""Alerts before a license expires: the milestone that is due, its recipients, and the banner."""

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from ..verifier import License
from .store import utc

MILESTONES: Final = (1, 7, 14, 30)
"""Days before the expiry."""
HOUR: Final = 9
"""Hour of the daily run, in the server's time zone."""
_DAY: Final = timedelta(days=1)


class Level(StrEnum):
    """The urgency of a banner: from 30, 14, 7 and 1 days before the expiry."""

    NOTICE = "notice"
    WARNING = "warning"
    URGENT = "urgent"
    CRITICAL = "critical"


_LEVELS: Final = dict(zip(MILESTONES, reversed(Level), strict=True))


@dataclass(frozen=True, kw_only=True, slots=True)
class Admin:
    """A recipient of alerts; `address` may be None or empty."""

    name: str
    address: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Alert:
    """A milestone of 30, 14, 7 or 1 days to send now; it is returned once.

    Attributes:
        expires_at: UTC.
        to: the admins with an address.
    """

    license_id: str
    customer: str
    milestone: int
    expires_at: datetime
    days_left: int
    to: tuple[Admin, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class AlertRun:
    """The result of a daily run: the alert to send, and the admins without an address."""

    alert: Alert | None
    without_address: tuple[Admin, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Banner:
    """The banner that admins see on every page as the expiry approaches."""

    level: Level
    days_left: int
    expires_at: datetime
    message: str


def days_left(license_: License, now: datetime) -> int:
    """Return the days until the expiry; a started day counts: 1 on the last day, 0 once expired."""
    return max(0, -((now - license_.expires_at) // _DAY))


def milestone(license_: License, now: datetime) -> int | None:
    """Return the last milestone that has passed; None before the first."""
    left = license_.expires_at - now
    return next((days for days in MILESTONES if left <= days * _DAY), None)


def due(
    active: License, now: datetime, admins: Sequence[Admin], sent: AbstractSet[tuple[str, int]]
) -> Alert | None:
    """Return the alert of the current milestone.

    Return None if this or a later milestone was sent for this license, or no admin has an address.
    """
    present = milestone(active, now)
    to = tuple(admin for admin in admins if admin.address)
    if present is None or not to:
        return None
    if any((active.jti, days) in sent for days in MILESTONES if days <= present):
        return None
    return Alert(
        license_id=active.jti,
        customer=active.customer,
        milestone=present,
        expires_at=active.expires_at,
        days_left=days_left(active, now),
        to=to,
    )


def banner(license_: License, now: datetime) -> Banner | None:
    """Return the banner of an active license; None more than 30 days before its expiry."""
    present = milestone(license_, now)
    if present is None:
        return None
    left = days_left(license_, now)
    message = f"the license expires in {left} {'day' if left == 1 else 'days'}"
    level, ends = _LEVELS[present], license_.expires_at
    return Banner(level=level, days_left=left, expires_at=ends, message=message)


def next_run(now: datetime) -> datetime:
    """Return the next 09:00 after `now`, in the time zone of `now`.

    Raises:
        ValueError: `now` is naive.
    """
    at = _nine(now)
    while utc(at) <= utc(now):
        at += _DAY  # a calendar day: 23 or 25 hours when the clocks change
    return at


def last_run(now: datetime) -> datetime:
    """Return the last 09:00 up to `now`, in the time zone of `now`."""
    at = _nine(now)
    while utc(at) > utc(now):
        at -= _DAY
    return at


def is_run_due(now: datetime, stored: datetime | None) -> bool:
    """Return whether a 09:00 has passed since the last stored run.

    A run in the future was stored by a clock that has been set back since, so another one is due.
    """
    return stored is None or utc(stored) > utc(now) or utc(last_run(now)) > utc(stored)


def _nine(now: datetime) -> datetime:
    return now.replace(hour=HOUR, minute=0, second=0, microsecond=0, fold=0)
