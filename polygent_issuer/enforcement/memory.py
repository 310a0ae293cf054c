"""What the process knows of its store: always what is stored, never more.

The clock guard (FORMAT §5) is kept before anything acts on it. `tampered` is kept at once, either
way; `last_seen` alone moves on when a minute has passed, since a commit takes longer than a
request: an observation that was not made is no transition. A clock that was set back within that
minute is judged against the time that was kept, so a day and a minute may go unnoticed, no more.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from ..verifier import ClockGuard, License, LicenseError, Verifier
from ..verifier.clock import SECOND, SET_BACK, microseconds, moment
from ..verifier.errors import quoted
from ..verifier.policy import SKEW
from .instants import from_moment
from .states import Standing, State
from .store import Installation, Kept, LogEntry, Store

ADVANCE: Final = timedelta(seconds=60)
"""How far the clock runs on before `last_seen` is kept again."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Known:
    """What is stored, with the license in force decoded.

    Attributes:
        held: the license in force; without one, and when it is not authentic any more, the
            standing that follows.
    """

    kept: Kept
    held: License | Standing


class Memory:
    """The store, read once and written through; not safe without the lock of its owner."""

    def __init__(self, verifier: Verifier, store: Store) -> None:
        """Read when first asked."""
        self._verifier = verifier
        self._store = store
        self._known: Known | None = None

    def read(self) -> Known:
        """What is stored; the store is asked once, and again after a write that failed.

        Raises:
            StoreFailed: when it cannot be read.
        """
        if self._known is None:
            self._known = self._decoded(self._store.load())
        return self._known

    def observe(self, now: datetime) -> ClockGuard:
        """The guard after the clock read `now` (UTC), kept.

        Raises:
            StoreFailed: when it cannot be kept; it is as it was then.
        """
        kept = self.read().kept
        seen = kept.guard.observe(now)
        if seen is kept.guard or not _worth_keeping(kept.guard, seen):
            return kept.guard
        self._write(lambda: self._store.keep_guard(seen), replace(kept, guard=seen))
        return seen

    def install(self, made: Installation, guard: ClockGuard, entry: LogEntry) -> None:
        """Put a license in force, with the guard that follows.

        Raises:
            StoreFailed: when it cannot be kept.
        """
        self._known = None
        self._store.install(made, guard, entry)

    def keep_run(self, at: datetime, sent: tuple[str, int] | None) -> None:
        """Keep a daily run, with the milestone that it hands out.

        Raises:
            StoreFailed: when it cannot be kept; nothing may be handed out then.
        """
        kept = self.read().kept
        gone = kept.sent if sent is None else kept.sent | {sent}
        self._write(lambda: self._store.keep_run(at, sent), replace(kept, last_run=at, sent=gone))

    def calm(self, held: License) -> tuple[datetime, datetime]:
        """From when to when, excluded, an active license stays so and the guard is not kept."""
        seen = self.read().kept.guard.last_seen
        last = 0 if seen is None else moment(seen)
        since = max(last - SET_BACK, held.iat * SECOND - SKEW)
        until = min(last + microseconds(ADVANCE), held.exp * SECOND)
        return from_moment(since), from_moment(until)

    def _write(self, write: Callable[[], None], changed: Kept) -> None:
        known, self._known = self.read(), None
        write()  # if it fails, nobody knows what is stored: that is read again
        self._known = Known(kept=changed, held=known.held)

    def _decoded(self, kept: Kept) -> Known:
        for each in kept.installations:
            if each.license_id == kept.in_force:
                try:
                    held = self._verifier.authenticate(each.file)
                except LicenseError as error:
                    return Known(kept=kept, held=_not_authentic(each, error))
                return Known(kept=kept, held=held)
        none = Standing(state=State.NONE, license=None, message="no license is installed")
        return Known(kept=kept, held=none)


def _worth_keeping(old: ClockGuard, new: ClockGuard) -> bool:
    if old.tampered != new.tampered or old.last_seen is None or new.last_seen is None:
        return True
    return new.last_seen - old.last_seen >= ADVANCE


def _not_authentic(installed: Installation, error: LicenseError) -> Standing:
    return Standing(
        state=State.NOT_AUTHENTIC,
        license=None,
        message=f"license {quoted(installed.license_id)} is not authentic any more: "
        f"{error.message}",
    )
