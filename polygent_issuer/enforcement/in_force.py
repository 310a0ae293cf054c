"""The license in force on one server: installed, judged at each moment, told to services."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from threading import Lock
from typing import Final

from ..verifier import CheckCode, License, LicenseError, Verifier
from . import refusals, succession
from .instants import utc
from .memory import Memory
from .refusals import InstallRefused, Refusal
from .services import Pausable, Services
from .shown import shown
from .states import Standing, State
from .store import INSTALLED, Installation, LogEntry, ProcessBound, Store, StoreFailed

STATE_OF: Final = {
    CheckCode.EXPIRED: State.EXPIRED,
    CheckCode.NOT_YET_VALID: State.NOT_YET_VALID,
    CheckCode.MACHINE_MISMATCH: State.MACHINE_CHANGED,
    CheckCode.CLOCK_TAMPERED: State.CLOCK_TAMPERED,
}
"""The state of a server whose license fails a check of FORMAT §5 after its installation."""


@dataclass(frozen=True, slots=True)
class _Calm:
    """From when to when, excluded, the license is active and the guard need not be kept."""

    since: datetime
    until: datetime
    fingerprint: str
    held: License


class InForce(ProcessBound):
    """What `ServerLicense` answers everything else from."""

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
        self._verifier = verifier
        self._store = store
        self._constant = not callable(fingerprint)
        self._fingerprint = fingerprint if callable(fingerprint) else lambda: fingerprint
        self._freshness_window = freshness_window
        self._lock = Lock()
        self._services = Services()
        self._memory = Memory(verifier, store)
        self._memory.read()
        self._calm: _Calm | None = None
        self._why_not: Refusal | None = refusals.OF_STATE[State.NONE]

    def install(self, data: bytes, *, now: datetime, by: str) -> License:
        """Put a license file in force, at once; a failure leaves the present one.

        Args:
            data: the file's bytes as they were uploaded (or another buffer of them).
            by: who uploads it, for the log.

        Raises:
            InstallRefused: with the code of the first check that fails: FORMAT §5 with machine
                and freshness window and without a host, then `superseded`, then the clock.
            StoreFailed: when it cannot be kept.
        """
        at, who = utc(now), shown(by)
        with self._lock:
            self._calm = None
            try:
                held = self._admit(data, at, who)
            except InstallRefused as refused:
                self._store.log_refusal(_entry(at, who, refused.license, refused.code))
                raise
        self.tick(at)
        return held

    def standing(self, now: datetime) -> Standing:
        """What is in force; the services are told when that has changed.

        Raises:
            StoreFailed: when a transition of the clock guard cannot be kept; services pause then.
        """
        at = utc(now)
        with self._lock:
            before = self._why_not
            found = self._judged(at)
            if isinstance(found, StoreFailed):
                self._why_not = refusals.STORE_FAILED
            else:
                self._why_not = refusals.OF_STATE.get(found.state)
            changed = self._why_not is not before
        if changed:
            self._services.tell(lambda: self._why_not)
        if isinstance(found, StoreFailed):
            raise found
        return found

    def active(self, now: datetime) -> License | Refusal:
        """The license if it is active, else what a request that needs one is answered."""
        calm = self._calm
        try:
            if (
                calm is not None
                and calm.since <= now < calm.until
                and (self._constant or calm.fingerprint == self._fingerprint())
            ):
                return calm.held
        except TypeError:  # a naive `now`: `standing` says so
            pass
        try:
            standing = self.standing(now)
        except StoreFailed:
            return refusals.STORE_FAILED
        if standing.state is State.ACTIVE and standing.license is not None:
            return standing.license
        return refusals.OF_STATE[standing.state]

    def tick(self, now: datetime) -> Standing:
        """Look at the clock, and tell the services; call it every minute.

        Raises:
            StoreFailed: as `standing` does.
        """
        try:
            return self.standing(now)
        finally:
            self._services.tell(lambda: self._why_not)

    def listen(self, service: Pausable, now: datetime) -> None:
        """Tell a background service to pause or resume: now, and at each transition.

        Raises:
            StoreFailed: as `standing` does; the service is told to pause then.
        """
        self._services.add(service)
        self.tick(now)

    def _judged(self, now: datetime) -> Standing | StoreFailed:
        self._calm = None
        try:
            guard = self._memory.observe(now)
        except StoreFailed as failed:
            return failed
        held, fingerprint = self._memory.read().held, self._fingerprint()
        if isinstance(held, Standing):
            return held
        failure = self._verifier.acceptance(held, now=now, fingerprint=fingerprint, clock=guard)
        if failure is not None:
            return Standing(state=STATE_OF[failure.code], license=held, message=failure.message)
        self._calm = _Calm(*self._memory.calm(held), fingerprint, held)
        return Standing(state=State.ACTIVE, license=held, message="the license is active")

    def _admit(self, data: bytes, now: datetime, by: str) -> License:
        guard = self._memory.observe(now)
        try:
            held = self._verifier.verify(
                data,
                now=now,
                fingerprint=self._fingerprint(),
                freshness_window=self._freshness_window,
            )
        except LicenseError as error:
            raise InstallRefused(
                str(error.code), error.message, hint=error.hint, license=error.license
            ) from error
        installed = self._memory.read().kept.installations
        succession.require_not_superseded(held, installed)
        guard = succession.guard_after(held, installed, guard, now)
        made = Installation(
            license_id=held.jti,
            file=data,
            sub=held.sub,
            scope=succession.scope(held),
            iat=held.iat,
            replaces=held.replaces,
            at=now,
            by=by,
        )
        self._memory.install(made, guard, _entry(now, by, held, INSTALLED))
        return held


def _entry(at: datetime, by: str, held: License | None, outcome: str) -> LogEntry:
    return LogEntry(
        at=at,
        by=by,
        license_id=None if held is None else held.jti,
        customer=None if held is None else held.customer,
        outcome=outcome,
    )
