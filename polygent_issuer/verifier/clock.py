"""Exact moments, and a guard against a server's clock being set back (FORMAT §5)."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
SECOND: Final = 1_000_000
"""Microseconds in a second."""

SET_BACK: Final = 86_400 * SECOND
"""How far, in microseconds, a clock may fall behind the last time seen."""

_MICROSECOND: Final = timedelta(microseconds=1)


def microseconds(span: timedelta) -> int:
    """The length of `span`, exactly."""
    return span // _MICROSECOND


def moment(instant: datetime) -> int:
    """Microseconds since 1970-01-01T00:00:00Z, exactly; two of them compare in any time zones.

    Raises:
        ValueError: `instant` is naive: a mistake of the caller, whatever the license.
    """
    if instant.utcoffset() is None:
        raise ValueError("a naive datetime says no instant: give it a time zone")
    return (instant - EPOCH) // _MICROSECOND


@dataclass(frozen=True, slots=True)
class ClockGuard:
    """What a server remembers of the time, and whether its clock was set back.

    A server persists each guard that `observe` gives before it acts on it.

    Args:
        last_seen: the latest time seen, aware, or None before the first.
        tampered: the clock was found more than 86,400 s behind `last_seen`.

    Raises:
        ValueError: `last_seen` is naive.
    """

    last_seen: datetime | None = None
    tampered: bool = False

    def __post_init__(self) -> None:
        """Refuse a naive time at once, not at the first comparison."""
        if self.last_seen is not None:
            moment(self.last_seen)

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle and copy as the arguments, which are judged again."""
        return type(self), (self.last_seen, self.tampered)

    def observe(self, now: datetime) -> "ClockGuard":
        """The guard after the clock read `now`; this one, when nothing changes.

        Tampering ends only when the clock has passed the last time seen. A guard that says
        tampered without such a time stays so.

        Raises:
            ValueError: `now` is naive.
        """
        seen = moment(now)
        if self.last_seen is None:
            return self if self.tampered else ClockGuard(now)
        last = moment(self.last_seen)
        if self.tampered:
            return ClockGuard(now) if seen > last else self
        if seen < last - SET_BACK:
            return ClockGuard(self.last_seen, tampered=True)
        return ClockGuard(now) if seen > last else self
