"""The stored state of a server's licenses, behind a small protocol.

Every write is atomic, and durable before it returns.
"""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final, NoReturn, Protocol

from ..verifier import ClockGuard
from ..verifier.license import EPOCH
from ..verifier.policy import moment
from .refusals import error_json

FIRST: Final = moment(datetime.min.replace(tzinfo=UTC))
LAST: Final = moment(datetime.max.replace(tzinfo=UTC))
INSTALLED: Final = "installed"
"""The outcome of an installation that succeeded."""
REFUSALS_KEPT: Final = 1_000
"""The number of refused installations that the log keeps; older ones are dropped."""
_HINT: Final = "check that its disk has space, and that this process may write its file and folder"


def from_moment(microseconds: int) -> datetime:
    """Return the instant in UTC, clamped to the years 1 to 9999."""
    return EPOCH + timedelta(microseconds=max(FIRST, min(microseconds, LAST)))


def utc(now: datetime) -> datetime:
    """Return the same instant in UTC; a naive one raises `ValueError`."""
    return from_moment(moment(now))


def instant(now: datetime) -> str:
    """Return an instant as RFC 3339 in UTC, in whole seconds; a naive one raises `ValueError`."""
    return utc(now).replace(tzinfo=None).isoformat(timespec="seconds") + "Z"


class StoreFailed(Exception):
    """The store cannot be read or written, or is not this server's.

    Attributes:
        status: 503.
        message, hint: for admins: they may name files and processes.
    """

    status = 503
    code = "license_store_failed"

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        """Set the message, and the fix if it is another than to check disk and rights."""
        super().__init__(message)
        self.message = message
        self.hint = hint or _HINT
        self.add_note(f"hint: {self.hint}")  # a traceback shows it

    def to_json(self) -> dict[str, Any]:
        """Return the reason for programs, in the form of `Refusal.to_json`."""
        return error_json(self.code, self.message, self.hint)


class ProcessBound:
    """An object with a lock, an open file or live connections, which cannot be copied."""

    def __reduce__(self) -> NoReturn:
        """Refuse pickle and copy with `TypeError`."""
        raise TypeError(
            f"cannot pickle or copy a {type(self).__name__}: it belongs to one process, "
            "so create one in each process"
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Installation:
    """A license that was installed, with the values that later ones are compared with.

    Attributes:
        file: the uploaded bytes.
        scope: `machine` with its fingerprint, `domain` with its domain, or `any`.
        iat: seconds since 1970 UTC.
        at: the time of the first installation, UTC.
        by: the user who installed it.
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
    """An attempt to install a license; `license_id` and `customer` are those of an authentic file.

    Attributes:
        at: UTC.
        by: the user, without control characters.
        outcome: `installed`, or the code of the refusal.
    """

    at: datetime
    by: str
    license_id: str | None
    customer: str | None
    outcome: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Kept:
    """The stored state of a server, except for the log.

    Attributes:
        installations: every license ever installed, in the order of their first installation.
        in_force: the ID of the license installed last.
        sent: license ID and days of each sent milestone.
        last_run: time of the last daily alerts, UTC.
    """

    installations: tuple[Installation, ...] = ()
    in_force: str | None = None
    guard: ClockGuard = field(default_factory=ClockGuard)
    sent: frozenset[tuple[str, int]] = frozenset()
    last_run: datetime | None = None


class Store(Protocol):
    """The storage of a server; any number of threads.

    Each method raises `StoreFailed` if it fails. A write that raises has left either the old state
    or the new one.
    """

    def load(self) -> Kept:
        """Return the state that was stored last."""
        ...

    def keep_guard(self, guard: ClockGuard) -> None:
        """Store the clock guard."""

    def install(self, installation: Installation, guard: ClockGuard, entry: LogEntry) -> None:
        """Install a license with guard and log entry, all or nothing.

        A license that was installed before keeps its first time and gets the new bytes. It replaces
        the licenses that it replaced before, and those that it replaces now.
        """

    def log_refusal(self, entry: LogEntry) -> None:
        """Log a refused installation; the newest `REFUSALS_KEPT` of them are kept."""

    def install_log(self) -> tuple[LogEntry, ...]:
        """Return the attempts that are kept, the newest first."""
        ...

    def keep_run(self, at: datetime, sent: tuple[str, int] | None) -> None:
        """Store the time of the last daily alerts, with a milestone that was sent.

        To store a milestone again changes nothing.
        """

    def close(self) -> None:
        """Release what it uses; every other method then raises `StoreFailed`."""
