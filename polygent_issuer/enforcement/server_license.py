"""The license of one server: its installation, its state at each instant, and its decisions."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from threading import Lock
from typing import Final, Self, TypeVar

from ..verifier import CheckCode, License, Verifier
from ..verifier.license import canonical_fingerprint
from . import alerts, refusals
from .alerts import Admin, Alert, AlertRun, AlertRuns, Banner, deliver
from .events import Events, Pausable, Services
from .live import Claims, Connection, HostCaps, HostKind
from .paths import JUDGED, Route
from .refusals import InstallRefused, Refusal, Refused, Standing, State, shown
from .status import Status, status
from .store import ProcessBound, Store, StoreFailed, utc
from .stored_state import SharedStore, StateCache
from .threads import Forked, take_part_in_forks

S = TypeVar("S")

_STATE_OF: Final = {
    CheckCode.EXPIRED: State.EXPIRED,
    CheckCode.NOT_YET_VALID: State.NOT_YET_VALID,
    CheckCode.MACHINE_MISMATCH: State.MACHINE_CHANGED,
    CheckCode.CLOCK_TAMPERED: State.CLOCK_TAMPERED,
}
"""The state of a server whose license fails a check of FORMAT §5 after its installation."""


class ServerLicense(ProcessBound, Forked):
    """The license of a server; all threads of a process share one.

    Every method takes `now`, aware, and raises `ValueError` for a naive one. While the store fails,
    `active`, `judge`, `feature`, `may_…_user` and `connect` refuse (`license_store_failed`), the
    others raise `StoreFailed`, and background services pause. `hosts` has the live connections of
    agents. As a context manager it closes its store at the end.
    """

    def __init__(
        self,
        verifier: Verifier,
        store: Store,
        *,
        fingerprint: str | Callable[[], str],
        freshness_window: timedelta = timedelta(days=7),
    ) -> None:
        """Read the store.

        Args:
            fingerprint: that of the server's machine. A callable is called at every check, so it
                must be quick and must not use the license.
            freshness_window: the time after `iat` in which a file may be installed.

        Raises:
            StoreFailed: the store cannot be read.
        """
        self._fixed = not callable(fingerprint)
        self._fingerprint = fingerprint if callable(fingerprint) else lambda: fingerprint
        self._lock = Lock()
        self._services = Services()
        self._events = Events()
        self._memory = StateCache(verifier, store)
        self._memory.read()
        self._window = freshness_window
        self._seen: datetime | None = None
        # Active from and until (excluded), and the machine; the guard need not be stored meanwhile.
        self._cached: tuple[datetime, datetime, str, License] | None = None
        self._why_not: Refusal | None = refusals.OF_STATE[State.NONE]
        self.hosts, claims = HostCaps(), Claims()
        take_part_in_forks(self)
        if isinstance(store, SharedStore):
            self.hosts, claims = store.hosts, store.claims
            store.watch(self._look)
        self._alert_runs = AlertRuns(self._memory, self._lock, claims)

    @property
    def fingerprint(self) -> str:
        """The fingerprint of the server's machine, in canonical form if it has one."""
        machine = self._fingerprint()
        return canonical_fingerprint(machine) or shown(machine)

    def close(self) -> None:
        """Close the store, after the last request; a second call changes nothing."""
        self._memory.store.close()

    def __enter__(self) -> Self:
        """Return the license."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close it."""
        self.close()

    def install(self, data: bytes, *, now: datetime, by: str) -> License:
        """Install a license file, effective at once; after a failure the previous license stays.

        Args:
            data: the uploaded bytes, or another buffer of them.
            by: the user who uploads it, for the log.

        Raises:
            InstallRefused: with the code of the first check that fails: FORMAT §5 with machine and
                freshness window and without a host, then `superseded`, then the clock.
            StoreFailed: it cannot be stored.
        """
        at, who = utc(now), shown(by)
        try:
            with self._lock:
                try:
                    installed = self._memory.install(
                        data, fingerprint=self._fingerprint(), window=self._window, now=at, by=who
                    )
                finally:
                    self._cached = None
        except (InstallRefused, StoreFailed) as error:
            self._events.upload_failed(error, at, who)
            raise
        self._events.installed(installed, who)
        self.tick(at)
        return installed

    def standing(self, now: datetime) -> Standing:
        """Return the license and its state; services pause or resume if that has changed."""
        at = utc(now)
        with self._lock:
            self._seen = at
            before = self._why_not
            result = self._judged(at)
            if isinstance(result, StoreFailed):
                self._why_not = refusals.STORE_FAILED
            else:
                self._why_not = refusals.OF_STATE.get(result.state)
            changed = self._why_not is not before
        self._events.judged(result)
        if changed:
            self._services.notify(lambda: self._why_not)
        try:
            if isinstance(result, StoreFailed):
                raise result
            return result
        finally:
            del result  # else the error would keep the request in memory by its own traceback

    def active(self, now: datetime) -> License | Refusal:
        """Return the license if it is active, else the refusal of requests that need one."""
        if (cached := self._cached) is not None:
            since, until, machine, active = cached
            try:
                if since <= now < until and (self._fixed or machine == self._fingerprint()):
                    self._seen = now
                    return active
            except TypeError:  # a naive `now`: `standing` raises ValueError
                pass
        try:
            standing = self.standing(now)
        except StoreFailed:
            return self.refused(refusals.STORE_FAILED, now)
        if standing.active and standing.license is not None:
            return standing.license
        return self.refused(refusals.OF_STATE[standing.state], now)

    def refused(self, refusal: Refusal, now: datetime, *, host: str | None = None) -> Refusal:
        """Log a refusal that no other method returned, and return it; `host` is the Host header."""
        self._events.refused(refusal, utc(now), host)
        return refusal

    def tick(self, now: datetime) -> Standing:
        """Check the clock and notify the services; call it every minute."""
        try:
            return self.standing(now)
        finally:
            self._services.notify(lambda: self._why_not)

    def listen(self, service: Pausable, now: datetime) -> None:
        """Add a background service; it is paused or resumed now and at each transition."""
        self._services.add(service)
        self.tick(now)

    def judge(self, route: Route, *, now: datetime, host: str | None = None) -> Refusal | None:
        """Return the refusal of a request; None if the license allows it.

        `host` is the Host header, "" if it is missing or repeated; with None no host is checked. A
        host that does not match refuses only this request (FORMAT §3).
        """
        if route not in JUDGED:
            return None
        licensed = self._licensed(now, host)
        return licensed if isinstance(licensed, Refusal) else None

    def feature(self, name: str, now: datetime) -> Refusal | None:
        """Return a 403 if the license lacks the feature, a 503 if no license is active."""
        active = self.active(now)
        if isinstance(active, Refusal):
            return active
        missing = refusals.missing_feature(active, name)
        return None if missing is None else self.refused(missing, now)

    def features(self, now: datetime) -> tuple[str, ...]:
        """Return the features for a UI; none unless the license is active."""
        active = self._active_license(now)
        return () if active is None else active.features

    def may_add_user(self, active: int, now: datetime) -> Refusal | None:
        """Return a 400 at the user limit, or above it after a renewal lowered it; else None.

        Active users above the limit stay active. Call this in the transaction that counts the
        `active` users and adds one, under its lock. Otherwise two requests that count at the same
        time would both be allowed.
        """
        return self._one_more_user(active, now, activation=False)

    def may_activate_user(self, active: int, now: datetime) -> Refusal | None:
        """Return the refusal to activate a deactivated user, as `may_add_user` does for a new one.

        `active` is the number of active users without that user.
        """
        return self._one_more_user(active, now, activation=True)

    def sessions_to_revoke(self, others: Sequence[S], now: datetime) -> tuple[S, ...]:
        """Return those of a user's other sessions that end at a sign-in: all, or none.

        The installed license decides, even if it is expired: its expiry signs out no user.
        """
        installed = self.standing(now).license
        several = installed is not None and "multiple-active-sessions" in installed.features
        return () if several else tuple(others)

    def connect(
        self, kind: HostKind, host: str, now: datetime, *, request_host: str | None = None
    ) -> Connection | Refusal:
        """Count an agent host, unless the license or its limit forbids it.

        `request_host` is the Host header of its request, as for `judge`.
        """
        licensed = self._licensed(now, request_host)
        if isinstance(licensed, Refusal):
            return licensed
        limits = licensed.limits
        cap = limits.session_hosts if kind is HostKind.SESSION else limits.deploy_hosts
        made = self.hosts.connect(kind, host, cap=cap)
        return self.refused(made, now) if isinstance(made, Refusal) else made

    @contextmanager
    def connected(
        self, kind: HostKind, host: str, now: datetime, *, request_host: str | None = None
    ) -> Iterator[Connection]:
        """Count an agent host while the block runs; arguments are those of `connect`.

        Raises:
            Refused: (503) the license or its limit forbids it; the block does not run.
        """
        made = self.connect(kind, host, now, request_host=request_host)
        if isinstance(made, Refusal):
            raise Refused(made)
        try:
            yield made
        finally:
            self.hosts.disconnect(made)

    def alerts_due(self, now: datetime) -> bool:
        """Return whether a 09:00 in the time zone of `now` has passed since the last run.

        It is due again if the process that ran it ended before it confirmed its alert.
        """
        return self._alert_runs.due(now)

    def alerts(self, now: datetime, admins: Sequence[Admin]) -> AlertRun:
        """Run the daily alerts: return the milestone to send now.

        Send it, then call `alert_sent`. Until then it stays due: not again in this run, but at the
        next one, unless a later milestone has taken its place. Of several processes or threads one
        gets it. It also stays due while no admin has an address, which is logged.

        Raises:
            StoreFailed: the run cannot be stored; it stays due.
        """
        return self._alert_runs.run(self._active_license(now), now, admins)

    def alert_sent(self, alert: Alert) -> None:
        """Store that the mail of an alert was sent; a second call changes nothing.

        Raises:
            StoreFailed: it cannot be stored, so the milestone stays due.
        """
        self._alert_runs.confirm(alert)

    def run_daily(
        self,
        now: datetime,
        admins: Sequence[Admin] | Callable[[], Sequence[Admin]],
        *,
        send: Callable[[Alert], object],
    ) -> AlertRun | None:
        """Call `tick`, run the daily alerts if they are due, and send; call it every minute.

        Args:
            admins: a callable is called only when a run is due.
            send: sends the mail before it returns, to all of `to`. An exception is logged by its
                type alone, since its text may have addresses. The mail is tried again at the next
                run.

        Returns:
            The run; None if none is due.

        Raises:
            StoreFailed: the store cannot be read or written.
        """
        self.tick(now)
        if not self.alerts_due(now):
            return None
        run = self.alerts(now, admins() if callable(admins) else admins)
        if run.alert is not None and deliver(run.alert, send):
            self.alert_sent(run.alert)
        return run

    def banner(self, now: datetime) -> Banner | None:
        """Return the banner from 30 days before the expiry; None if the license is not active."""
        active = self._active_license(now)
        return None if active is None else alerts.banner(active, now)

    def status(self, now: datetime, *, users_active: int) -> Status:
        """Return the status view for admins."""
        return status(
            self.standing(now),
            now=now,
            users_active=users_active,
            hosts=self.hosts,
            machine_id=self.fingerprint,
            install_log=self._memory.store.install_log(),
        )

    def _active_license(self, now: datetime) -> License | None:
        standing = self.standing(now)
        return standing.license if standing.active else None

    def _licensed(self, now: datetime, host: str | None) -> License | Refusal:
        active = self.active(now)
        if isinstance(active, Refusal) or active.allowed_domain is None or host is None:
            return active
        if active.allowed_domain.matches(host):
            return active
        return self.refused(refusals.DOMAIN_MISMATCH, now, host=host)

    def _one_more_user(self, active: int, now: datetime, *, activation: bool) -> Refusal | None:
        licensed = self.active(now)
        if isinstance(licensed, Refusal):
            return licensed
        limit = licensed.limits.users
        if active < limit:
            return None
        return self.refused(refusals.user_limit(limit, active, activation=activation), now)

    def _judged(self, now: datetime) -> Standing | StoreFailed:
        self._cached = None
        try:
            guard = self._memory.observe(now)
        except StoreFailed as failed:
            return failed
        (_, installed), fingerprint = self._memory.read(), self._fingerprint()
        if isinstance(installed, Standing):
            return installed
        verifier = self._memory.verifier
        why_not = verifier.acceptance(installed, now=now, fingerprint=fingerprint, clock=guard)
        if why_not is not None:
            state = _STATE_OF[why_not.code]
            return Standing(state=state, license=installed, message=why_not.message)
        self._cached = *self._memory.unchanging(installed), fingerprint, installed
        return Standing(state=State.ACTIVE, license=installed, message="the license is active")

    def _look(self, changed: bool) -> None:  # noqa: FBT001 - called by the store's thread
        """Judge what another process has stored, and store the time before a request has to."""
        at = self._seen
        with suppress(StoreFailed), self._lock:  # `tick` finds an error, too
            if changed:
                self._memory.forget()
            guard = self._memory.read()[0].guard
            if changed:
                at = max(filter(None, (at, self._memory.last_change())), default=None)
            elif at is None or self._memory.observe(utc(at), early=True) is guard:
                return
        if at is not None:
            with suppress(StoreFailed):
                self.tick(at)

    def lock_before_fork(self) -> None:
        """Let no other thread hold the locks."""
        self._services.lock.acquire()
        self._lock.acquire()

    def go_on_after_fork(self, *, child: bool) -> None:
        """Release the locks; the child reads the store again."""
        if child:
            self._memory.forget()
        self._lock.release()
        self._services.lock.release()
