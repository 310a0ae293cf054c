"""The state of the store in memory, and decisions on what is stored.

A store that several processes share is read again when another one has written. What changes the
state is decided and written in one transaction.

The clock guard (FORMAT §5) is stored before it takes effect: `tampered` at once, `last_seen` after
a minute, since a commit takes longer than a request. So a clock that is set back by at most a day
and a minute may go unnoticed.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final, Protocol, runtime_checkable

from ..verifier import ClockGuard, License, LicenseError, Verifier
from ..verifier.errors import quoted
from ..verifier.policy import SECOND, SET_BACK, SKEW, microseconds, moment
from .live import Claims, HostCaps
from .refusals import Standing, State
from .store import Kept, Store, from_moment

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
