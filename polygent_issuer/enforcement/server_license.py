"""The license of one server: what an integrator holds."""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import TypeVar

from ..verifier import License, Verifier
from ..verifier.names import canonical_fingerprint
from . import alerts, features, refusals, users
from .alerts import Admin, AlertRun, Banner
from .hosts import Connection, HostCaps, HostKind
from .in_force import InForce
from .instants import utc
from .refusals import Refusal
from .routes import JUDGED, Route
from .shown import shown
from .status import Status, status
from .store import Store

S = TypeVar("S")


class ServerLicense(InForce):
    """What a server does with its license; share one among all threads of a process.

    Every method takes `now`, aware, and raises `ValueError` for a naive one. `active`, `judge`,
    `feature`, `may_add_user` and `connect` refuse while the store fails (`license_store_failed`),
    the others raise `StoreFailed`.

    Attributes:
        hosts: the live connections of agents.
    """

    def __init__(
        self,
        verifier: Verifier,
        store: Store,
        *,
        fingerprint: str | Callable[[], str],
        freshness_window: timedelta = timedelta(days=7),
    ) -> None:
        """Read what the store has kept.

        Args:
            fingerprint: of the server's machine; a callable is asked at every judgment, so it
                must be quick, and must not ask the license.
            freshness_window: how long after `iat` a file may be installed.

        Raises:
            StoreFailed: when the store cannot be read.
        """
        super().__init__(
            verifier, store, fingerprint=fingerprint, freshness_window=freshness_window
        )
        self.hosts = HostCaps()

    def judge(self, route: Route, *, now: datetime, host: str | None = None) -> Refusal | None:
        """Whether the license allows a request; None when it does.

        Args:
            host: the Host header, "" when it is missing or repeated; None judges no host. One that
                does not match is refused on this request alone (FORMAT §3).
        """
        if route not in JUDGED:
            return None
        held = self._licensed(now, host)
        return held if isinstance(held, Refusal) else None

    def feature(self, name: str, now: datetime) -> Refusal | None:
        """403 with its name when the license lacks a feature, 503 when none is active."""
        held = self.active(now)
        return held if isinstance(held, Refusal) else features.missing(held, name)

    def features(self, now: datetime) -> tuple[str, ...]:
        """The features that a UI shows; none unless the license is active."""
        standing = self.standing(now)
        held = standing.license
        return held.features if standing.active and held is not None else ()

    def may_add_user(self, active: int, now: datetime) -> Refusal | None:
        """Whether one more user may be created or activated beside the `active` ones."""
        held = self.active(now)
        return held if isinstance(held, Refusal) else users.may_add_user(held, active)

    def sessions_to_revoke(self, others: Sequence[S], now: datetime) -> tuple[S, ...]:
        """Which of a user's other sessions end as the user signs in.

        The installed license decides, also an expired one: its end signs nobody out.
        """
        return features.sessions_to_revoke(self.standing(now).license, others)

    def connect(
        self, kind: HostKind, host: str, now: datetime, *, request_host: str | None = None
    ) -> Connection | Refusal:
        """Count a host of agents, unless the license or its cap forbids it.

        Args:
            host: what the server knows the agent's host by.
            request_host: the Host header of its request, as `judge` takes it.
        """
        held = self._licensed(now, request_host)
        if isinstance(held, Refusal):
            return held
        limits = held.limits
        cap = limits.session_hosts if kind is HostKind.SESSION else limits.deploy_hosts
        return self.hosts.connect(kind, host, cap=cap)

    def alerts_due(self, now: datetime) -> bool:
        """Whether a 09:00 in the time zone of `now` has passed since the last run."""
        with self._lock:
            return alerts.is_run_due(now, self._memory.read().kept.last_run)

    def alerts(self, now: datetime, admins: Sequence[Admin]) -> AlertRun:
        """The daily run: the milestone to be sent now, once per license.

        It is kept as sent before it is handed out, so a crash loses it rather than doubling it;
        while no admin has an address, it stays due.
        """
        standing = self.standing(now)
        without = tuple(admin for admin in admins if not admin.address)
        with self._lock:
            days, held = None, standing.license
            if standing.active and held is not None and len(without) < len(admins):
                days = alerts.due(held, now, self._memory.read().kept.sent)
            sent = None if held is None or days is None else (held.jti, days)
            self._memory.keep_run(utc(now), sent)
        if held is None or days is None:
            return AlertRun(alert=None, without_address=without)
        return AlertRun(alert=alerts.alert(held, days, now, admins), without_address=without)

    def banner(self, now: datetime) -> Banner | None:
        """What admins see from 30 days before the expiry; None when the license is not active."""
        standing = self.standing(now)
        held = standing.license
        return alerts.banner(held, now) if standing.active and held is not None else None

    def status(self, now: datetime, *, users_active: int) -> Status:
        """The status view, for admins."""
        machine = self._fingerprint()
        return status(
            self.standing(now),
            now=now,
            users_active=users_active,
            hosts=self.hosts,
            machine_id=canonical_fingerprint(machine) or shown(machine),
            install_log=self._store.install_log(),
        )

    def _licensed(self, now: datetime, host: str | None) -> License | Refusal:
        held = self.active(now)
        if isinstance(held, Refusal) or held.allowed_domain is None or host is None:
            return held
        return held if held.allowed_domain.matches(host) else refusals.DOMAIN_MISMATCH
