"""What the process knows of its store: always what is stored, never more.

The clock guard (FORMAT §5) is stored before anything acts on it. `tampered` is stored at once,
either way; `last_seen` alone moves on when a minute has passed, since a commit takes longer than a
request: an observation that was not made is no transition. A clock that was set back within that
minute is judged against the time that was stored, so a day and a minute may go unnoticed, no more.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from ..verifier import ClockGuard, License, LicenseError, Verifier
from ..verifier.errors import quoted
from ..verifier.policy import SECOND, SET_BACK, SKEW, microseconds, moment
from .refusals import Standing, State
from .store import Installation, Kept, LogEntry, Store, from_moment

_ADVANCE: Final = timedelta(seconds=60)
"""How far the clock runs on before `last_seen` is stored again."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CachedState:
    """What is stored, with the license in force decoded.

    Attributes:
        installed: the license in force; without one, and when it is not authentic any more, the
            standing that follows.
    """

    kept: Kept
    installed: License | Standing


class StateCache:
    """The store, read once and written through; not safe without the lock of its owner.

    Each method raises `StoreFailed` when the store cannot be read or written. After a write that
    failed nobody knows what is stored, so it is read again.
    """

    def __init__(self, verifier: Verifier, store: Store) -> None:
        """Read when first asked."""
        self._verifier = verifier
        self._store = store
        self._known: CachedState | None = None

    def read(self) -> CachedState:
        """What is stored."""
        if self._known is None:
            kept = self._store.load()
            self._known = CachedState(kept=kept, installed=self._installed(kept))
        return self._known

    def observe(self, now: datetime) -> ClockGuard:
        """The guard after the clock read `now` (UTC), stored."""
        known = self.read()
        guard = known.kept.guard
        seen = guard.observe(now)
        if seen is guard or not _worth_storing(guard, seen):
            return guard
        self._known = None
        self._store.keep_guard(seen)
        self._known = replace(known, kept=replace(known.kept, guard=seen))
        return seen

    def install(self, made: Installation, guard: ClockGuard, entry: LogEntry) -> None:
        """Put a license in force, with the guard that follows."""
        self._known = None
        self._store.install(made, guard, entry)

    def keep_run(self, at: datetime, sent: tuple[str, int] | None) -> None:
        """Store a daily run, with the milestone that it hands out."""
        known, self._known = self.read(), None
        self._store.keep_run(at, sent)
        milestones = known.kept.sent if sent is None else known.kept.sent | {sent}
        self._known = replace(known, kept=replace(known.kept, last_run=at, sent=milestones))

    def unchanging(self, active: License) -> tuple[datetime, datetime]:
        """From when to when, excluded, an active license stays so and the guard is not stored."""
        seen = self.read().kept.guard.last_seen
        last = 0 if seen is None else moment(seen)
        since = max(last - SET_BACK, active.iat * SECOND - SKEW)
        until = min(last + microseconds(_ADVANCE), active.exp * SECOND)
        return from_moment(since), from_moment(until)

    def _installed(self, kept: Kept) -> License | Standing:
        for each in kept.installations:
            if each.license_id == kept.in_force:
                try:
                    return self._verifier.authenticate(each.file)
                except LicenseError as error:
                    message = (
                        f"license {quoted(each.license_id)} is not authentic any more: "
                        f"{error.message}"
                    )
                    return Standing(state=State.NOT_AUTHENTIC, license=None, message=message)
        return Standing(state=State.NONE, license=None, message="no license is installed")


def _worth_storing(old: ClockGuard, new: ClockGuard) -> bool:
    if old.tampered != new.tampered or old.last_seen is None or new.last_seen is None:
        return True
    return new.last_seen - old.last_seen >= _ADVANCE
