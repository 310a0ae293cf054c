"""What a server remembers of its licenses, behind a small protocol.

Every write is atomic and durable before it returns.
"""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final, NoReturn, Protocol

from ..verifier import ClockGuard
from ..verifier.license import EPOCH
from ..verifier.policy import moment

FIRST: Final = moment(datetime.min.replace(tzinfo=UTC))
LAST: Final = moment(datetime.max.replace(tzinfo=UTC))
INSTALLED: Final = "installed"
"""The outcome of an installation that succeeded."""
REFUSALS_KEPT: Final = 1_000
"""How many refused installations the log keeps: the newest ones."""


def from_moment(microseconds: int) -> datetime:
    """The instant in UTC; one before the year 1 or after 9999 is the first or the last of them."""
    return EPOCH + timedelta(microseconds=max(FIRST, min(microseconds, LAST)))


def utc(now: datetime) -> datetime:
    """The same instant in UTC; `ValueError` of a naive one."""
    return from_moment(moment(now))


class StoreFailed(Exception):
    """The store cannot be read or written, or is not this server's; `hint` puts it right."""

    code = "license_store_failed"

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        """Say what and why, and what puts it right, where one thing does."""
        super().__init__(message)
        self.message = message
        self.hint = hint


class ProcessBound:
    """An object with a lock, an open file or live connections: no other process may get a copy."""

    def __reduce__(self) -> NoReturn:
        """Refuse pickle and copy, by a `TypeError`."""
        raise TypeError(
            f"cannot pickle or copy a {type(self).__name__}: it belongs to one process; "
            "make one in each"
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Installation:
    """A license that was installed once, with what later ones are compared with.

    Attributes:
        file: the bytes as they were uploaded.
        scope: the machine or domain that it is for, as `supersession.scope` writes it.
        iat: seconds since 1970 UTC.
        at: when it was installed first, UTC.
        by: who did that.
    """

    license_id: str
    file: bytes
    sub: str
    scope: str
    iat: int
    replaces: tuple[str, ...]
    at: datetime
    by: str


@dataclass(frozen=True, kw_only=True, slots=True)
class LogEntry:
    """An attempt to install a license; `license_id` and `customer` of an authentic file.

    Attributes:
        at: UTC.
        by: who, without control characters.
        outcome: `installed`, or the code of the refusal.
    """

    at: datetime
    by: str
    license_id: str | None
    customer: str | None
    outcome: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Kept:
    """All that a server remembers, but the log.

    Attributes:
        installations: every license ever installed, in the order of their first time.
        in_force: the ID of the one installed last.
        sent: license ID and days of each milestone that was handed out.
        last_run: of the daily alerts, UTC.
    """

    installations: tuple[Installation, ...] = ()
    in_force: str | None = None
    guard: ClockGuard = field(default_factory=ClockGuard)
    sent: frozenset[tuple[str, int]] = frozenset()
    last_run: datetime | None = None


class Store(Protocol):
    """Where a server keeps it; one process at a time, any number of threads.

    Each method raises `StoreFailed` when it cannot do its work; a write that raises has left
    either what was before or what was to be.
    """

    def load(self) -> Kept:
        """What was kept last."""

    def keep_guard(self, guard: ClockGuard) -> None:
        """Keep the clock guard."""

    def install(self, installation: Installation, guard: ClockGuard, entry: LogEntry) -> None:
        """Put a license in force, with guard and log entry, all or nothing.

        One that was installed before keeps its first time, takes the new bytes, and replaces what
        it replaced and what it replaces now.
        """

    def log_refusal(self, entry: LogEntry) -> None:
        """Log a refused installation; of these the newest `REFUSALS_KEPT` are kept."""

    def install_log(self) -> tuple[LogEntry, ...]:
        """Every kept attempt, the newest first."""

    def keep_run(self, at: datetime, sent: tuple[str, int] | None) -> None:
        """Keep when the daily alerts ran last, with the milestone that is handed out now."""
