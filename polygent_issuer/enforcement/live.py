"""Connected hosts and claims: of one process, or of all processes of a server while they run.

`HostCaps` and `Claims` keep them in memory. `Live` shares them in a SQLite file next to the store.
It is worth nothing once the server has stopped, so commits are not synced, and a damaged file is
created anew. Each process keeps its own part in memory, too, and restores it in the file if that
was lost.

A process shows that it is alive by counting up a number in its row. No clock is compared: another
process that sees no change for `_PATIENCE` of its own rounds takes it for dead.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from itertools import count
from pathlib import Path
from threading import RLock
from typing import Final

from .refusals import HOST_LIMIT, STORE_FAILED, Refusal
from .sqlite_file import DAMAGED_HINT, Content, SqliteFile
from .store import ProcessBound, StoreFailed
from .threads import ROUND

_BEAT: Final = round(5 / ROUND)
"""Rounds between two signs of life."""
_PATIENCE: Final = round(40 / ROUND)
"""Rounds without a sign of life after which a process counts as dead."""
_CONTENT: Final = Content(
    application_id=0x5047_4C4C,  # PGLL
    version=1,
    tables=(
        "CREATE TABLE process (id TEXT PRIMARY KEY, beats INTEGER NOT NULL) STRICT",
        """CREATE TABLE connection (
            process TEXT NOT NULL REFERENCES process (id) ON DELETE CASCADE,
            number INTEGER NOT NULL,
            kind TEXT NOT NULL,
            host TEXT NOT NULL,
            PRIMARY KEY (process, number)
        ) STRICT""",
        "CREATE INDEX connection_host ON connection (kind, host)",
        "CREATE TABLE claim (what TEXT PRIMARY KEY, process TEXT) STRICT",
    ),
    pragmas=(
        "trusted_schema = OFF",
        "foreign_keys = ON",
        "synchronous = OFF",
        "journal_mode = TRUNCATE",  # the journal of a killed process undoes its write
    ),
)


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
        self._lock = RLock()
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


class Claims(ProcessBound):
    """The claims of this process; nothing is stored. Threads may share it."""

    def __init__(self) -> None:
        """Begin without claims."""
        self._lock = RLock()
        self._claimed: set[str] = set()

    def claim(self, what: str) -> bool:
        """Return whether the caller may do it: no living process has claimed it."""
        with self._lock:
            new = what not in self._claimed
            self._claimed.add(what)
            return new

    def lost(self) -> frozenset[str]:
        """Return what was claimed by a process that ended before `done`."""
        return frozenset()

    def done(self, what: str) -> None:
        """Keep a claim for good: it is never lost."""


class Live(SqliteFile, HostCaps, Claims):
    """The hosts and claims of all processes, with those of this one in memory, too.

    While the file fails, `connect` refuses, `disconnect` is stored later, and the others raise
    `StoreFailed`.
    """

    _may_vanish = True

    def __init__(self, path: Path, *, patience: timedelta) -> None:
        """Make no file before the first connection or claim."""
        HostCaps.__init__(self)
        Claims.__init__(self)
        SqliteFile.__init__(self, path, _CONTENT, patience=patience)
        self._id = ""
        self._ended: list[int] = []
        self._round = 0
        self._seen: dict[str, tuple[int, int]] = {}

    def close(self) -> None:
        """Give back this process's hosts and open claims."""
        with self._lock:
            if self._id:
                with suppress(StoreFailed), self.transaction():
                    self._rows("DELETE FROM process WHERE id = ?", self._id)
            super().close()

    def connect(self, kind: HostKind, host: str, *, cap: int) -> Connection | Refusal:
        """See `HostCaps.connect`."""
        with self._lock:
            connection = Connection(kind=kind, host=host, number=next(self._numbers))
            try:
                with self._registered():
                    live = "SELECT 1 FROM connection WHERE kind = ? AND host = ? LIMIT 1"
                    if not self._rows(live, kind, host) and self._count(kind) >= cap:
                        return HOST_LIMIT
                    self._add(connection)
            except BaseException as error:
                self._ended.append(connection.number)  # it may have been stored after all
                if isinstance(error, StoreFailed):
                    return STORE_FAILED
                raise
            self._live.add(connection)
            return connection

    def disconnect(self, connection: Connection) -> None:
        """See `HostCaps.disconnect`; what cannot be stored now is stored by a later `look`."""
        with self._lock:
            if connection in self._live:
                self._live.remove(connection)
                self._ended.append(connection.number)
                with suppress(StoreFailed):
                    with self.transaction():
                        self._remove_ended()
                    self._ended.clear()  # once it is stored

    def connected(self, kind: HostKind) -> int:
        """See `HostCaps.connected`."""
        if not self._path.exists():
            return 0
        with self._begun("BEGIN"):
            return self._count(kind)

    def claim(self, what: str) -> bool:
        """See `Claims.claim`."""
        with self._lock:
            with self._registered():
                held = self._rows(
                    "SELECT 1 FROM claim LEFT JOIN process ON process = id"
                    " WHERE what = ? AND (process IS NULL OR id IS NOT NULL)",
                    what,
                )
                if not held:
                    self._rows("INSERT OR REPLACE INTO claim VALUES (?, ?)", what, self._id)
            if not held:
                self._claimed.add(what)
            return not held

    def done(self, what: str) -> None:
        """See `Claims.done`."""
        with self._lock:
            with self._registered():
                self._rows("INSERT OR REPLACE INTO claim VALUES (?, NULL)", what)
            self._claimed.discard(what)

    def lost(self) -> frozenset[str]:
        """See `Claims.lost`."""
        if not self._path.exists():
            return frozenset()
        with self._begun("BEGIN"):
            rows = self._rows(
                "SELECT what FROM claim WHERE process IS NOT NULL"
                " AND process NOT IN (SELECT id FROM process)"
            )
            return frozenset(what for (what,) in rows)

    def look(self) -> None:
        """Show that this process is alive, and remove those that are not; called each round."""
        with self._lock:
            self._round += 1
            if self._round % _BEAT or not (self._id or self._path.exists()):
                return
            with suppress(StoreFailed):
                with self._registered():
                    self._rows("UPDATE process SET beats = beats + 1 WHERE id = ?", self._id)
                    self._remove_ended()
                    self._remove_dead()
                self._ended.clear()

    def _count(self, kind: HostKind) -> int:
        rows = self._rows("SELECT count(DISTINCT host) FROM connection WHERE kind = ?", kind)
        return int(rows[0][0])

    def _add(self, connection: Connection) -> None:
        row = self._id, connection.number, connection.kind, connection.host
        self._rows("INSERT INTO connection VALUES (?, ?, ?, ?)", *row)

    @contextmanager
    def _registered(self) -> Iterator[None]:
        """Begin a transaction in which this process has a row, with all that it holds."""
        with self.transaction():
            if not self._id:
                self._id = os.urandom(16).hex()
            if not self._rows("SELECT 1 FROM process WHERE id = ?", self._id):
                self._rows("INSERT INTO process VALUES (?, 0)", self._id)
                for connection in self._live:
                    self._add(connection)
                for what in self._claimed:
                    self._rows("INSERT OR IGNORE INTO claim VALUES (?, ?)", what, self._id)
            yield

    def _remove_ended(self) -> None:
        for number in self._ended:
            self._rows("DELETE FROM connection WHERE process = ? AND number = ?", self._id, number)

    def _remove_dead(self) -> None:
        seen = {}
        for process, beats in self._rows("SELECT id, beats FROM process WHERE id <> ?", self._id):
            before, since = self._seen.get(process, (None, self._round))
            if before == beats and self._round - since >= _PATIENCE:
                self._rows("DELETE FROM process WHERE id = ?", process)
            else:
                seen[process] = beats, since if before == beats else self._round
        self._seen = seen

    @contextmanager
    def _failures(self) -> Iterator[None]:
        """Remove a damaged file after its error: the next use makes and fills it anew."""
        try:
            with super()._failures():
                yield
        except StoreFailed as failed:
            if failed.hint == DAMAGED_HINT:
                self._let_go()
                with suppress(OSError):  # as on Windows, while another process has it open
                    for beside in ("", "-journal"):
                        Path(f"{self._path}{beside}").unlink(missing_ok=True)
            raise

    def go_on_after_fork(self, *, child: bool) -> None:
        """Release the lock; a child has no connections and claims of its own."""
        if child:
            self._id = ""
            self._live.clear()
            self._ended.clear()
            self._claimed.clear()
        super().go_on_after_fork(child=child)
