"""The daily run of the alerts: which process sends a milestone, and when it counts as sent."""

import logging
from collections.abc import Callable, Sequence
from datetime import datetime
from threading import Lock
from typing import Final

from ..verifier import License
from . import alerts
from .alerts import Admin, Alert, AlertRun
from .live import Claims
from .state_cache import StateCache
from .store import utc

_LOG: Final = logging.getLogger(__name__)


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
        run = alerts.last_run(now)
        with self._lock:
            stored, _ = self._memory.read()
        if alerts.is_run_due(now, stored.last_run):
            return True
        lost = self._claims.lost()
        return stored.in_force is not None and any(
            _claim(stored.in_force, days, run) in lost
            for days in alerts.MILESTONES
            if (stored.in_force, days) not in stored.sent
        )

    def run(self, active: License | None, now: datetime, admins: Sequence[Admin]) -> AlertRun:
        """See `ServerLicense.alerts`; without an active license nothing is sent."""
        with self._lock:
            stored, _ = self._memory.read()
            alert = None if active is None else alerts.due(active, now, admins, stored.sent)
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
