"""Alerts before a license expires: the milestone that is due, its mail, the daily run, the banner.

A milestone of N days is due at the last daily run that leaves at least N days: the next one would
leave less. If the server did not run then, it is due at the first run after that.
"""

import logging
from collections.abc import Callable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from enum import StrEnum
from threading import Lock
from typing import Final

from ..verifier import License, Tier
from .live import Claims
from .store import FIRST, LAST, from_moment, utc
from .stored_state import StateCache

MILESTONES: Final = (1, 7, 14, 30)
"""Days before the expiry."""
HOUR: Final = 9
"""Hour of the daily run, in the server's time zone."""
_DAY: Final = timedelta(days=1)
_MINUTE: Final = timedelta(minutes=1)
_LOG: Final = logging.getLogger(__name__)


class Level(StrEnum):
    """The urgency of a banner: from 30, 14, 7 and 1 days before the expiry."""

    NOTICE = "notice"
    WARNING = "warning"
    URGENT = "urgent"
    CRITICAL = "critical"


_LEVELS: Final[dict[int, Level]] = dict(zip(MILESTONES, reversed(Level), strict=True))


@dataclass(frozen=True, kw_only=True, slots=True)
class Admin:
    """A recipient of alerts; `address` may be None or empty."""

    name: str
    address: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Alert:
    """A milestone of 30, 14, 7 or 1 days, as a mail to send now.

    Confirm it with `ServerLicense.alert_sent`. It is due again at the next run otherwise.

    Attributes:
        expires_at: UTC.
        days_left: a started day counts.
        run: the 09:00 of the run, UTC.
        to: the admins with an address, at least one.
        subject: one line without control characters.
        text: the body, plain text in lines that end with a newline.
    """

    license_id: str
    customer: str
    milestone: int
    expires_at: datetime
    days_left: int
    run: datetime
    to: tuple[Admin, ...]
    subject: str
    text: str


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


def time_left(license_: License, now: datetime) -> str:
    """Return the time until the expiry in words: "1 day and 15 hours", on the last day "5 hours".

    A started minute counts, which is the unit of the last hour; "0 minutes" once expired.
    """
    minutes = max(0, -((now - license_.expires_at) // _MINUTE))
    days, hours = minutes // (24 * 60), minutes // 60 % 24
    if not days:
        return _count(hours, "hour") if hours else _count(minutes, "minute")
    return _count(days, "day") + (f" and {_count(hours, 'hour')}" if hours else "")


def _count(number: int, unit: str) -> str:
    return f"{number} {unit}{'' if number == 1 else 's'}"


def milestone(license_: License, now: datetime) -> int | None:
    """Return the last milestone that has passed; None before the first."""
    left = license_.expires_at - now
    return next((days for days in MILESTONES if left <= days * _DAY), None)


def due_milestone(license_: License, now: datetime) -> int | None:
    """Return the smallest milestone that will have passed before the next daily run."""
    left_then = license_.expires_at - next_run(now)
    return next((days for days in MILESTONES if left_then < days * _DAY), None)


def due(
    active: License, now: datetime, admins: Sequence[Admin], sent: AbstractSet[tuple[str, int]]
) -> Alert | None:
    """Return the alert of a run at `now`; `to` may be empty.

    Return None if no milestone is due, or this or a later one was sent for this license.
    """
    present = due_milestone(active, now)
    if present is None:
        return None
    if any((active.jti, days) in sent for days in MILESTONES if days <= present):
        return None
    left = time_left(active, now)
    return Alert(
        license_id=active.jti,
        customer=active.customer,
        milestone=present,
        expires_at=active.expires_at,
        days_left=days_left(active, now),
        run=utc(last_run(now)),
        to=tuple(admin for admin in admins if admin.address),
        subject=f"The Polygent license of {active.customer} expires in {left}",
        text=_text(active, left, _local(active.expires_at, now)),
    )


def _text(active: License, left: str, expiry: str) -> str:
    where = "on every API server" if active.tier is Tier.ENTERPRISE else "on the server"
    return f"""\
The Polygent license of {active.customer} expires in {left},
at {expiry}.

To renew it, ask your Polygent vendor for a renewed license and give the
license ID below. A new machine info is not needed.

When you receive the license file (.lic), upload it {where}
under Settings, License. It takes effect at once, without a restart.

Once the license has expired, users see the page "License Expired", the
API refuses requests, agent hosts cannot connect, and background services
pause. They work again as soon as a renewed license is uploaded.

License ID: {active.jti}
"""


def _local(expires_at: datetime, now: datetime) -> str:
    """Return the time of an expiry in the time zone of `now`, with its offset from UTC."""
    try:
        local = expires_at.astimezone(now.tzinfo)
    except OverflowError:  # in the last hours of the year 9999
        local = expires_at
    offset = timezone(local.utcoffset() or timedelta()).tzname(None)
    return f"{local:%Y-%m-%d %H:%M} {offset}"


def banner(license_: License, now: datetime) -> Banner | None:
    """Return the banner of an active license; None more than 30 days before its expiry."""
    present = milestone(license_, now)
    if present is None:
        return None
    return Banner(
        level=_LEVELS[present],
        days_left=days_left(license_, now),
        expires_at=license_.expires_at,
        message=f"the license expires in {time_left(license_, now)}",
    )


def next_run(now: datetime) -> datetime:
    """Return the next 09:00 after `now`, in the time zone of `now`.

    After the last one of the year 9999 it is the last instant of that year, in UTC.

    Raises:
        ValueError: `now` is naive.
    """
    at = _nine(now)
    try:
        while utc(at) <= utc(now):
            at += _DAY  # a calendar day: 23 or 25 hours when the clocks change
    except OverflowError:
        return from_moment(LAST)
    return at


def last_run(now: datetime) -> datetime:
    """Return the last 09:00 up to `now`, in its time zone; else the first instant of the year 1."""
    at = _nine(now)
    try:
        while utc(at) > utc(now):
            at -= _DAY
    except OverflowError:
        return from_moment(FIRST)
    return at


def is_run_due(now: datetime, stored: datetime | None) -> bool:
    """Return whether a 09:00 has passed since the last stored run.

    A run in the future was stored by a clock that has been set back since, so another one is due.
    """
    return stored is None or utc(stored) > utc(now) or utc(last_run(now)) > utc(stored)


def _nine(now: datetime) -> datetime:
    return now.replace(hour=HOUR, minute=0, second=0, microsecond=0, fold=0)


class AlertRuns:
    """The runs of one license; of several processes that share claims, one sends a milestone.

    A process claims a milestone before it sends it. If it ends before it confirms that, the claim
    is lost, and the run is due again for the others. So a mail may be repeated, but is never lost.
    """

    def __init__(self, memory: StateCache, lock: Lock, claims: Claims) -> None:
        """Use the memory of a `ServerLicense`, under its lock."""
        self._memory = memory
        self._lock = lock
        self._claims = claims
        self._claimed: str | None = None

    def due(self, now: datetime) -> bool:
        """See `ServerLicense.alerts_due`."""
        run = last_run(now)
        with self._lock:
            stored, _ = self._memory.read()
        if is_run_due(now, stored.last_run):
            return True
        lost = self._claims.lost()
        return stored.in_force is not None and any(
            _claim(stored.in_force, days, run) in lost
            for days in MILESTONES
            if (stored.in_force, days) not in stored.sent
        )

    def run(self, active: License | None, now: datetime, admins: Sequence[Admin]) -> AlertRun:
        """See `ServerLicense.alerts`; without an active license nothing is sent."""
        with self._lock:
            stored, _ = self._memory.read()
            alert = None if active is None else due(active, now, admins, stored.sent)
            if alert is not None and not alert.to:
                _LOG.warning("a license alert is due, and no admin has an address")
                alert = None
            if alert is not None and not self._claim(alert):
                alert = None
            self._memory.keep_run(utc(now), None)
            self._claimed = None
        without = tuple(admin for admin in admins if not admin.address)
        return AlertRun(alert=alert, without_address=without)

    def confirm(self, alert: Alert) -> None:
        """See `ServerLicense.alert_sent`."""
        sent = alert.license_id, alert.milestone
        with self._lock:
            stored, _ = self._memory.read()
            self._memory.keep_run(stored.last_run or alert.run, sent)
        self._claims.done(_claim(*sent, alert.run))

    def _claim(self, alert: Alert) -> bool:
        what = _claim(alert.license_id, alert.milestone, alert.run)
        # Claimed here, but returned to no caller, if the run could not be stored.
        if what != self._claimed and not self._claims.claim(what):
            return False
        self._claimed = what
        return True


def deliver(alert: Alert, send: Callable[[Alert], object]) -> bool:
    """Send a mail; log a failure, without its text, which may have addresses or a password."""
    try:
        send(alert)
    except Exception as error:  # noqa: BLE001 - of any mail library
        _LOG.error(
            "the %s-day alert of license %s was not sent (%s); a later run tries again",
            *(alert.milestone, alert.license_id, type(error).__name__),
        )
        return False
    return True


def _claim(license_id: str, days: int, run: datetime) -> str:
    return f"alert {license_id} {days} {utc(run).isoformat()}"
