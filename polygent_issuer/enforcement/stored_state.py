"""The stored state in memory, and what changes it: the clock, installations and daily runs.

A store that several processes share is read again when another one has written. What changes the
state is decided and written in one transaction.

The clock guard (FORMAT §5) is stored before it takes effect: `tampered` at once, `last_seen` after
a minute, since a commit takes longer than a request. So a clock that is set back by at most a day
and a minute may go unnoticed.

Without an order of licenses an older one with more rights could be installed again while its upload
window is open.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final, Protocol, runtime_checkable

from ..verifier import CheckCode, ClockGuard, License, LicenseError, Verifier
from ..verifier.errors import quoted
from ..verifier.policy import SECOND, SET_BACK, SKEW, microseconds, moment
from .live import Claims, HostCaps
from .refusals import InstallRefused, Standing, State
from .store import INSTALLED, Installation, Kept, LogEntry, Store, from_moment

_ADVANCE: Final = timedelta(seconds=60)
"""The progress of the clock after which `last_seen` is stored again before a decision."""
_EARLY: Final = timedelta(seconds=45)
"""The same for a thread that watches the store, so that no request has to wait for a commit."""


@runtime_checkable
class SharedStore(Store, Protocol):
    """A store that several processes open; `hosts` and `claims` are those of all of them."""

    hosts: HostCaps
    claims: Claims

    def transaction(self) -> AbstractContextManager[None]:
        """Make the reads and writes of a block one transaction, all or nothing."""
        ...

    def version(self) -> object:
        """Return a value that changes when another process has written."""

    def watch(self, look: Callable[[bool], None]) -> None:
        """Call a bound method several times a second, in a thread.

        Its argument is whether another process has written since the last call that returned.
        """


class StateCache:
    """The store, read once and written through; it needs the lock of its owner.

    Each method raises `StoreFailed` if the store cannot be read or written. After a failed write
    the stored state is unknown, so it is read again.
    """

    def __init__(self, verifier: Verifier, store: Store) -> None:
        """Read nothing until the first use."""
        self.verifier = verifier
        self.store = store
        self._shared = store if isinstance(store, SharedStore) else None
        self._known: tuple[Kept, License | Standing] | None = None
        self._version: object = None

    def read(self) -> tuple[Kept, License | Standing]:
        """Return the stored state, and the installed license, or the standing without one."""
        if self._known is None:
            self._version = self._shared.version() if self._shared else None
            stored = self.store.load()
            self._known = stored, self._installed(stored)
        return self._known

    def forget(self) -> None:
        """Read the store again at the next use."""
        self._known = None

    @contextmanager
    def deciding(self) -> Iterator[tuple[Kept, License | Standing]]:
        """Begin a transaction, and yield what is stored now, which no other process changes."""
        begun = False  # before that, an error has changed nothing
        try:
            with self._shared.transaction() if self._shared else nullcontext():
                begun = True
                if self._shared and self._shared.version() != self._version:
                    self.forget()
                yield self.read()
        except BaseException:
            if begun:
                self.forget()
            raise

    def observe(self, now: datetime, *, early: bool = False) -> ClockGuard:
        """Return the guard after the clock showed `now` (UTC), stored if it changed."""
        advance = _EARLY if early else _ADVANCE
        stored, _ = self.read()
        seen = stored.guard.observe(now)
        if not _worth_storing(stored.guard, seen, advance):
            return stored.guard
        with self.deciding() as (stored, installed):
            seen = stored.guard.observe(now)
            if not _worth_storing(stored.guard, seen, advance):
                return stored.guard
            self.store.keep_guard(seen)
            self._known = replace(stored, guard=seen), installed
        return seen

    def install(
        self, data: bytes, *, fingerprint: str, window: timedelta, now: datetime, by: str
    ) -> License:
        """Install a file for `ServerLicense.install`, under its lock; a refusal is logged.

        Raises:
            InstallRefused: as `ServerLicense.install`, whose arguments these are.
            StoreFailed: it cannot be stored.
        """
        try:
            self.observe(now)
            uploaded = self._accepted(data, fingerprint, window, now)
            with self.deciding() as (stored, _):
                require_not_superseded(uploaded, stored.installations)
                guard = stored.guard.observe(now)
                guard = _guard_after(uploaded, stored.installations, guard, now)
                installation = Installation(
                    license_id=uploaded.jti,
                    file=data,
                    sub=uploaded.sub,
                    scope=_scope(uploaded),
                    iat=uploaded.iat,
                    replaces=uploaded.replaces,
                    at=now,
                    by=by,
                )
                entry = _log_entry(now, by, uploaded, INSTALLED)
                self.store.install(installation, guard, entry)
                self.forget()
        except InstallRefused as refused:
            self.store.log_refusal(_log_entry(now, by, refused.license, refused.code))
            raise
        return uploaded

    def _accepted(self, data: bytes, fingerprint: str, window: timedelta, now: datetime) -> License:
        try:
            return self.verifier.verify(
                data, now=now, fingerprint=fingerprint, freshness_window=window
            )
        except LicenseError as error:
            raise InstallRefused(
                str(error.code), error.message, hint=error.hint, license=error.license
            ) from error

    def keep_run(self, at: datetime, sent: tuple[str, int] | None) -> None:
        """Store a daily run, with a milestone that was sent."""
        with self.deciding() as (stored, installed):
            self.store.keep_run(at, sent)
            milestones = stored.sent if sent is None else stored.sent | {sent}
            self._known = replace(stored, last_run=at, sent=milestones), installed

    def last_change(self) -> datetime | None:
        """Return the latest instant that the store knows of, UTC."""
        stored, _ = self.read()
        known = [each.at for each in stored.installations]
        known += [] if stored.guard.last_seen is None else [stored.guard.last_seen]
        return max(known, default=None)

    def unchanging(self, active: License) -> tuple[datetime, datetime]:
        """Return the interval, end excluded, without a change of state or a stored guard."""
        stored, _ = self.read()
        last = 0 if stored.guard.last_seen is None else moment(stored.guard.last_seen)
        since = max(last - SET_BACK, active.iat * SECOND - SKEW)
        until = min(last + microseconds(_ADVANCE), active.exp * SECOND)
        return from_moment(since), from_moment(until)

    def _installed(self, stored: Kept) -> License | Standing:
        for each in stored.installations:
            if each.license_id == stored.in_force:
                try:
                    return self.verifier.authenticate(each.file)
                except LicenseError as error:
                    message = (
                        f"license {quoted(each.license_id)} is no longer authentic: {error.message}"
                    )
                    return Standing(state=State.NOT_AUTHENTIC, license=None, message=message)
        return Standing(state=State.NONE, license=None, message="no license is installed")


def _worth_storing(old: ClockGuard, new: ClockGuard, advance: timedelta) -> bool:
    if new is old:
        return False
    if old.tampered != new.tampered or old.last_seen is None or new.last_seen is None:
        return True
    return new.last_seen - old.last_seen >= advance


def _scope(license_: License) -> str:
    """Return the scope of a license: its machine, its domain, or any."""
    if license_.machine_fingerprint is not None:
        return f"machine {license_.machine_fingerprint}"
    return "any" if license_.allowed_domain is None else f"domain {license_.allowed_domain}"


def require_not_superseded(uploaded: License, installed: Sequence[Installation]) -> None:
    """Check that no installed license supersedes this one.

    Raises:
        InstallRefused: (`superseded`) one of the same customer and scope was issued later, or an
            installed license replaces this one.
    """
    own = uploaded.sub, _scope(uploaded)
    if any(
        uploaded.jti in each.replaces or ((each.sub, each.scope) == own and each.iat > uploaded.iat)
        for each in installed
    ):
        raise InstallRefused(
            "superseded",
            "a newer license has replaced this one on this server",
            hint="upload the newest license that you received",
            license=uploaded,
        )


def _guard_after(
    uploaded: License, installed: Sequence[Installation], guard: ClockGuard, now: datetime
) -> ClockGuard:
    """Return the clock guard after the installation; `guard` has observed `now`.

    A license that was issued after all those installed here proves that the time is at least its
    `iat`. So it ends tampering, also for a server whose clock once was years ahead. It sets the
    guard back to its own `iat` at most, and only once. Any other license leaves the guard
    unchanged.

    Raises:
        InstallRefused: (`clock_tampered`) the guard stays tampered.
    """
    if all(uploaded.iat > each.iat for each in installed):
        return ClockGuard(from_moment(max(moment(now), uploaded.iat * SECOND)))
    if guard.tampered:
        raise InstallRefused(
            str(CheckCode.CLOCK_TAMPERED),
            "the clock was set back by more than a day and has not caught up since",
            hint="correct the server's clock, or upload a newly issued license",
            license=uploaded,
        )
    return guard


def _log_entry(at: datetime, by: str, uploaded: License | None, outcome: str) -> LogEntry:
    license_id, customer = (uploaded.jti, uploaded.customer) if uploaded else (None, None)
    return LogEntry(at=at, by=by, license_id=license_id, customer=customer, outcome=outcome)
