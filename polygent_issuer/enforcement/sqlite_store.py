"""The store as one SQLite file, shared by the processes of one machine.

`synchronous=EXTRA` makes a commit durable before it returns. A thread notices the writes of other
processes, so that no request has to read the file.
"""

from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final, Self
from weakref import WeakMethod

from ..verifier import ClockGuard
from ..verifier.license import MAX_EXP
from ..verifier.policy import moment
from .live import Claims, HostCaps, Live
from .sqlite_file import (
    Content,
    DamagedStore,
    Reader,
    SqliteFile,
    an_instant,
    exact,
    optional,
    whole,
)
from .store import INSTALLED, REFUSALS_KEPT, Installation, Kept, LogEntry, StoreFailed
from .threads import Watch

APPLICATION_ID: Final = 0x50474C53
"""`PGLS` in the file's header, to recognise files of other applications."""
SCHEMA_VERSION: Final = 1
CONTENT: Final = Content(
    application_id=APPLICATION_ID,
    version=SCHEMA_VERSION,
    tables=(
        """CREATE TABLE installation (
            number INTEGER PRIMARY KEY,
            license_id TEXT NOT NULL UNIQUE,
            file BLOB NOT NULL,
            sub TEXT NOT NULL,
            scope TEXT NOT NULL,
            iat INTEGER NOT NULL,
            replaces TEXT NOT NULL,
            at INTEGER NOT NULL,
            by TEXT NOT NULL
        ) STRICT""",
        """CREATE TABLE kept (
            one INTEGER PRIMARY KEY CHECK (one = 1),
            in_force TEXT REFERENCES installation (license_id),
            last_seen INTEGER,
            tampered INTEGER NOT NULL CHECK (tampered IN (0, 1)),
            last_run INTEGER
        ) STRICT""",
        """CREATE TABLE sent_milestone (
            license_id TEXT NOT NULL,
            days INTEGER NOT NULL,
            PRIMARY KEY (license_id, days)
        ) STRICT""",
        """CREATE TABLE install_log (
            number INTEGER PRIMARY KEY AUTOINCREMENT,
            at INTEGER NOT NULL,
            by TEXT NOT NULL,
            license_id TEXT,
            customer TEXT,
            outcome TEXT NOT NULL
        ) STRICT""",
        "INSERT INTO kept VALUES (1, NULL, NULL, 0, NULL)",
    ),
    pragmas=(
        "trusted_schema = OFF",
        "foreign_keys = ON",
        "synchronous = EXTRA",
        "fullfsync = ON",  # on macOS fsync alone leaves data in the disk's cache
    ),
)

_TEXT: Final = exact(str)
_INSTALLATION: Final[dict[str, Reader]] = {
    "license_id": _TEXT,
    "file": exact(bytes),
    "sub": _TEXT,
    "scope": _TEXT,
    "iat": whole(0, MAX_EXP),
    "replaces": lambda value: tuple(_TEXT(value).split()),
    "at": an_instant,
    "by": _TEXT,
}
_KEPT: Final[dict[str, Reader]] = {
    "in_force": optional(_TEXT),
    "last_seen": optional(an_instant),
    "tampered": whole(0, 1),
    "last_run": optional(an_instant),
}
_SENT: Final[dict[str, Reader]] = {"license_id": _TEXT, "days": whole(0, MAX_EXP)}
_LOG_ENTRY: Final[dict[str, Reader]] = {
    "at": an_instant,
    "by": _TEXT,
    "license_id": optional(_TEXT),
    "customer": optional(_TEXT),
    "outcome": _TEXT,
}


class SqliteStore(SqliteFile):
    """A `Store` in one file, which is created if it is missing.

    Any number of processes and threads may open it. `hosts` and `claims` are those of all processes
    that have it open; they live in a second file, `NAME-live`, which may be deleted
    while no server runs.
    """

    def __init__(self, path: Path, *, patience: timedelta = timedelta(seconds=5)) -> None:
        """Open or create the file, in an existing folder on a local disk.

        `patience` is the time to wait for another process that is writing.

        Raises:
            StoreFailed: (`license_store_failed`) it belongs to another application, is locked by
                another process, is damaged, was created by a newer version, or cannot be opened.
        """
        super().__init__(path, CONTENT, patience=patience)
        self._live = Live(path.with_name(f"{path.name}-live"), patience=patience)
        self.hosts: HostCaps = self._live
        self.claims: Claims = self._live
        self._watch = Watch(self._look)
        self._listeners: list[WeakMethod[Callable[[bool], None]]] = []
        self._watched = False
        self._looked: tuple[int, int] | None = self.version()

    def watch(self, look: Callable[[bool], None]) -> None:
        """See `SharedStore.watch`."""
        self._listeners.append(WeakMethod(look))
        self._watch.start()

    def close(self) -> None:
        """Close the file, and give back the hosts of this process."""
        self._watch.stop()
        self._live.close()
        super().close()

    def __enter__(self) -> Self:
        """Return the store."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close it."""
        self.close()

    def _look(self) -> None:
        self._live.look()
        try:
            version = self.version()
        except StoreFailed:  # those who read it see why
            version = None
        changed = version is None or version != self._looked
        for listener in self._listeners:
            if (look := listener()) is not None:
                look(changed)
        self._looked = version  # after an error they are called again

    def stop_before_fork(self) -> None:
        """End the thread."""
        self._watched = self._watch.stop()

    def go_on_after_fork(self, *, child: bool) -> None:
        """Release the lock, and watch again."""
        super().go_on_after_fork(child=child)
        if self._watched:
            self._watch.start()

    def load(self) -> Kept:
        """See `Store.load`."""
        with self._begun("BEGIN"):
            rows = self._read("kept", _KEPT)
            if len(rows) != 1:
                raise DamagedStore(f"its table kept has {len(rows)} rows instead of 1")
            (stored,) = rows
            installations = tuple(
                Installation(**row) for row in self._read("installation", _INSTALLATION)
            )
            if stored["in_force"] not in (None, *(each.license_id for each in installations)):
                raise DamagedStore("the license that it names as installed is missing")
            sent = self._read("sent_milestone", _SENT)
            return Kept(
                installations=installations,
                in_force=stored["in_force"],
                guard=ClockGuard(stored["last_seen"], bool(stored["tampered"])),
                sent=frozenset((row["license_id"], row["days"]) for row in sent),
                last_run=stored["last_run"],
            )

    def keep_guard(self, guard: ClockGuard) -> None:
        """See `Store.keep_guard`."""
        with self.transaction():
            self._keep_guard(guard)

    def install(self, installation: Installation, guard: ClockGuard, entry: LogEntry) -> None:
        """See `Store.install`."""
        made = installation
        with self.transaction():
            # A license that was signed again with its ID keeps what it replaced before.
            before = self._read("installation", _INSTALLATION)
            own = (each["replaces"] for each in before if each["license_id"] == made.license_id)
            replaces = dict.fromkeys((*next(own, ()), *made.replaces))
            self._rows(
                "INSERT INTO installation (license_id, file, sub, scope, iat, replaces, at, by)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
                " ON CONFLICT (license_id) DO UPDATE SET file = excluded.file,"
                " replaces = excluded.replaces",
                *(made.license_id, made.file, made.sub, made.scope, made.iat),
                *(" ".join(replaces), moment(made.at), made.by),
            )
            self._rows("UPDATE kept SET in_force = ?", made.license_id)
            self._keep_guard(guard)
            self._log(entry)

    def log_refusal(self, entry: LogEntry) -> None:
        """See `Store.log_refusal`."""
        with self.transaction():
            self._log(entry)
            self._rows(
                "DELETE FROM install_log WHERE outcome <> ? AND number NOT IN"
                " (SELECT number FROM install_log WHERE outcome <> ?"
                " ORDER BY number DESC LIMIT ?)",
                *(INSTALLED, INSTALLED, REFUSALS_KEPT),
            )

    def install_log(self) -> tuple[LogEntry, ...]:
        """See `Store.install_log`."""
        with self._begun("BEGIN"):
            rows = self._read("install_log", _LOG_ENTRY)
            return tuple(LogEntry(**row) for row in reversed(rows))

    def keep_run(self, at: datetime, sent: tuple[str, int] | None) -> None:
        """See `Store.keep_run`."""
        with self.transaction():
            self._rows("UPDATE kept SET last_run = ?", moment(at))
            if sent is not None:
                self._rows("INSERT OR IGNORE INTO sent_milestone VALUES (?, ?)", *sent)

    def _keep_guard(self, guard: ClockGuard) -> None:
        seen = None if guard.last_seen is None else moment(guard.last_seen)
        self._rows("UPDATE kept SET last_seen = ?, tampered = ?", seen, int(guard.tampered))

    def _log(self, entry: LogEntry) -> None:
        self._rows(
            "INSERT INTO install_log (at, by, license_id, customer, outcome)"
            " VALUES (?, ?, ?, ?, ?)",
            *(moment(entry.at), entry.by, entry.license_id, entry.customer, entry.outcome),
        )
