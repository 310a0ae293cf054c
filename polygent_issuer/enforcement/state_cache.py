"""The state of the store in memory, always equal to what is stored.

The clock guard (FORMAT §5) is stored before it takes effect: `tampered` at once, `last_seen` after
a minute, since a commit takes longer than a request. So a clock that is set back by at most a day
and a minute may go unnoticed.
"""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from ..verifier import ClockGuard, License, LicenseError, Verifier
from ..verifier.errors import quoted
from ..verifier.policy import SECOND, SET_BACK, SKEW, microseconds, moment
from .refusals import Standing, State
from .store import Installation, Kept, LogEntry, Store, from_moment

_ADVANCE: Final = timedelta(seconds=60)
"""The progress of the clock after which `last_seen` is stored again."""


class StateCache:
    """The store, read once and written through; it needs the lock of its owner.

    Each method raises `StoreFailed` if the store cannot be read or written. After a failed write
    the stored state is unknown, so it is read again.
    """

    def __init__(self, verifier: Verifier, store: Store) -> None:
        """Read nothing until the first use."""
        self._verifier = verifier
        self._store = store
        self._known: tuple[Kept, License | Standing] | None = None

    def read(self) -> tuple[Kept, License | Standing]:
        """Return the stored state, and the installed license, or the standing without one."""
        if self._known is None:
            stored = self._store.load()
            self._known = stored, self._installed(stored)
        return self._known

    def observe(self, now: datetime) -> ClockGuard:
        """Return the guard after the clock showed `now` (UTC), stored if it changed."""
        stored, installed = self.read()
        seen = stored.guard.observe(now)
        if seen is stored.guard or not _worth_storing(stored.guard, seen):
            return stored.guard
        self._known = None
        self._store.keep_guard(seen)
        self._known = replace(stored, guard=seen), installed
        return seen

    def install(self, made: Installation, guard: ClockGuard, entry: LogEntry) -> None:
        """Install a license, with the resulting guard."""
        self._known = None
        self._store.install(made, guard, entry)

    def keep_run(self, at: datetime, sent: tuple[str, int] | None) -> None:
        """Store a daily run, with the milestone that it returns."""
        (stored, installed), self._known = self.read(), None
        self._store.keep_run(at, sent)
        milestones = stored.sent if sent is None else stored.sent | {sent}
        self._known = replace(stored, last_run=at, sent=milestones), installed

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
                    return self._verifier.authenticate(each.file)
                except LicenseError as error:
                    message = (
                        f"license {quoted(each.license_id)} is no longer authentic: {error.message}"
                    )
                    return Standing(state=State.NOT_AUTHENTIC, license=None, message=message)
        return Standing(state=State.NONE, license=None, message="no license is installed")


def _worth_storing(old: ClockGuard, new: ClockGuard) -> bool:
    if old.tampered != new.tampered or old.last_seen is None or new.last_seen is None:
        return True
    return new.last_seen - old.last_seen >= _ADVANCE
