"""Count the connected agent hosts and enforce their limits; nothing is stored."""

from dataclasses import dataclass
from enum import StrEnum
from itertools import count
from threading import Lock

from .refusals import HOST_LIMIT, Refusal
from .store import ProcessBound


class HostKind(StrEnum):
    """The two kinds of agents, each with its own limit."""

    SESSION = "session"
    DEPLOY = "deploy"


@dataclass(frozen=True, kw_only=True, slots=True)
class Connection:
    """A live connection of a host; pass it to `disconnect`."""

    kind: HostKind
    host: str
    number: int


class HostCaps(ProcessBound):
    """Counts distinct hosts of each kind, from their first connection to the end of their last.

    Their names are compared exactly and never shown. Threads may share it.
    """

    def __init__(self) -> None:
        """Begin without connected hosts."""
        self._lock = Lock()
        self._numbers = count(1)
        self._live: set[Connection] = set()

    def connect(self, kind: HostKind, host: str, *, cap: int) -> Connection | Refusal:
        """Count a connection, unless its host would exceed the limit.

        Another connection of a connected host always succeeds, even above a limit that was lowered.
        """
        with self._lock:
            hosts = self._hosts(kind)
            if host not in hosts and len(hosts) >= cap:
                return HOST_LIMIT
            connection = Connection(kind=kind, host=host, number=next(self._numbers))
            self._live.add(connection)
            return connection

    def disconnect(self, connection: Connection) -> None:
        """End a connection; a second call changes nothing."""
        with self._lock:
            self._live.discard(connection)

    def connected(self, kind: HostKind) -> int:
        """Return the number of distinct hosts with a live connection."""
        with self._lock:
            return len(self._hosts(kind))

    def _hosts(self, kind: HostKind) -> set[str]:
        return {each.host for each in self._live if each.kind is kind}
