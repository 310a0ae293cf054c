"""The store as one SQLite file.

One process owns the file and keeps it locked while it is open, since a second process would not
see a license that the first one installs. `synchronous=EXTRA` makes a commit durable before it
returns. Times are microseconds since 1970 UTC.
"""

import os
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from threading import Lock
from typing import Any, Final

from ..verifier import ClockGuard
from ..verifier.license import MAX_EXP
from ..verifier.policy import moment
from .refusals import shown
from .store import (
    FIRST,
    INSTALLED,
    LAST,
    REFUSALS_KEPT,
    Installation,
    Kept,
    LogEntry,
    ProcessBound,
    StoreFailed,
    from_moment,
)

APPLICATION_ID: Final = 0x50474C53
"""`PGLS` in the file's header, to recognise files of other applications."""
SCHEMA_VERSION: Final = 1
_OLDEST_SQLITE: Final = (3, 37)
"""The oldest version with STRICT tables."""
_SMALLEST: Final = 512
"""Bytes of the smallest database; SQLite would overwrite a smaller file."""

PRAGMAS: Final = (
    "trusted_schema = OFF",
    "foreign_keys = ON",
    "synchronous = EXTRA",
    "fullfsync = ON",  # on macOS fsync alone leaves data in the disk's cache
)
_SCHEMA: Final = (
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
    f"PRAGMA application_id = {APPLICATION_ID}",
    f"PRAGMA user_version = {SCHEMA_VERSION}",
)


class DamagedStore(Exception):
    """The file has a value that this server never writes. The text names table, row and column."""


_Reader = Callable[[object], Any]
"""Returns the value of a column; `ValueError` for one of another type, or out of range."""


def _exact(kind: type, allowed: Callable[[Any], bool] = lambda _: True) -> _Reader:
    def read(value: object) -> object:
        if isinstance(value, kind) and allowed(value):
            return value
        raise ValueError

    return read


def _whole(least: int, most: int) -> _Reader:
    return _exact(int, lambda value: least <= value <= most)


def _optional(read: _Reader) -> _Reader:
    return lambda value: None if value is None else read(value)


def _moment(value: object) -> datetime:
    return from_moment(_whole(FIRST, LAST)(value))


# In a damaged file any column may have any type.
_TEXT: Final = _exact(str)
_INSTALLATION: Final[dict[str, _Reader]] = {
    "license_id": _TEXT,
    "file": _exact(bytes),
    "sub": _TEXT,
    "scope": _TEXT,
    "iat": _whole(0, MAX_EXP),
    "replaces": lambda value: tuple(_TEXT(value).split()),
    "at": _moment,
    "by": _TEXT,
}
_KEPT: Final[dict[str, _Reader]] = {
    "in_force": _optional(_TEXT),
    "last_seen": _optional(_moment),
    "tampered": _whole(0, 1),
    "last_run": _optional(_moment),
}
_SENT: Final[dict[str, _Reader]] = {"license_id": _TEXT, "days": _whole(0, MAX_EXP)}
_LOG_ENTRY: Final[dict[str, _Reader]] = {
    "at": _moment,
    "by": _TEXT,
    "license_id": _optional(_TEXT),
    "customer": _optional(_TEXT),
    "outcome": _TEXT,
}
_DAMAGED: Final = frozenset(
    {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_FORMAT, sqlite3.SQLITE_ERROR}
)
_DAMAGED_HINT: Final = "restore a backup of this file, or move it away and upload the license again"


class SqliteStore(ProcessBound):
    """A `Store` in one file, which is created if it is missing; usable from many threads."""

    def __init__(self, path: Path, *, patience: timedelta = timedelta(seconds=5)) -> None:
        """Open or create the file, in an existing folder on a local disk.

        `patience` is the time to wait for another process to release it.

        Raises:
            StoreFailed: (`license_store_failed`) it belongs to another application, is in use by
                another process, is damaged, was created by a newer version, or cannot be opened.
        """
        self._path = path
        self._lock = Lock()
        self._owner = os.getpid()
        if sqlite3.sqlite_version_info < _OLDEST_SQLITE:
            raise StoreFailed(
                f"this Python has SQLite {sqlite3.sqlite_version}; the license store needs 3.37",
                hint="use a Python built with a newer SQLite: see python3 -m sqlite3 --version",
            )
        with self._failures():
            self._make()
            self._sqlite = sqlite3.connect(
                path,
                timeout=patience.total_seconds(),
                isolation_level=None,
                check_same_thread=False,
            )
            try:
                self._take()
            except BaseException:
                self._sqlite.close()
                raise

    def close(self) -> None:
        """Close the file and release its lock."""
        with self._lock:
            self._sqlite.close()

    def load(self) -> Kept:
        """See `Store.load`."""
        with self._transaction():
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
        with self._transaction():
            self._keep_guard(guard)

    def install(self, installation: Installation, guard: ClockGuard, entry: LogEntry) -> None:
        """See `Store.install`."""
        made = installation
        with self._transaction():
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
        with self._transaction():
            self._log(entry)
            self._rows(
                "DELETE FROM install_log WHERE outcome <> ? AND number NOT IN"
                " (SELECT number FROM install_log WHERE outcome <> ?"
                " ORDER BY number DESC LIMIT ?)",
                *(INSTALLED, INSTALLED, REFUSALS_KEPT),
            )

    def install_log(self) -> tuple[LogEntry, ...]:
        """See `Store.install_log`."""
        with self._transaction():
            rows = self._read("install_log", _LOG_ENTRY)
            return tuple(LogEntry(**row) for row in reversed(rows))

    def keep_run(self, at: datetime, sent: tuple[str, int] | None) -> None:
        """See `Store.keep_run`."""
        with self._transaction():
            self._rows("UPDATE kept SET last_run = ?", moment(at))
            if sent is not None:
                self._rows("INSERT INTO sent_milestone VALUES (?, ?)", *sent)

    def _keep_guard(self, guard: ClockGuard) -> None:
        seen = None if guard.last_seen is None else moment(guard.last_seen)
        self._rows("UPDATE kept SET last_seen = ?, tampered = ?", seen, int(guard.tampered))

    def _log(self, entry: LogEntry) -> None:
        self._rows(
            "INSERT INTO install_log (at, by, license_id, customer, outcome)"
            " VALUES (?, ?, ?, ?, ?)",
            *(moment(entry.at), entry.by, entry.license_id, entry.customer, entry.outcome),
        )

    def _read(self, table: str, columns: Mapping[str, _Reader]) -> list[dict[str, Any]]:
        """Return the rows of a table in the order of their numbers."""
        names = ", ".join(("rowid", *columns))
        rows = self._rows(f"SELECT {names} FROM {table} ORDER BY rowid")  # noqa: S608 - our own
        return [_row(table, columns, *row) for row in rows]

    def _rows(self, statement: str, *values: object) -> list[Any]:
        return self._sqlite.execute(statement, values).fetchall()

    def _pragma(self, name: str) -> int:
        return int(self._rows(f"PRAGMA {name}")[0][0])

    def _make(self) -> None:
        # The file gets its mode before its content.
        file = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            size = os.fstat(file).st_size
        finally:
            os.close(file)
        if 0 < size < _SMALLEST:
            raise self._not_ours()

    def _take(self) -> None:
        """Lock a file that is a store, or is new and becomes one."""
        for pragma in PRAGMAS:
            self._rows(f"PRAGMA {pragma}")
        self._require_ours()
        self._rows("PRAGMA locking_mode = EXCLUSIVE")
        self._rows("BEGIN EXCLUSIVE")
        if not self._rows("SELECT 1 FROM sqlite_schema LIMIT 1"):
            if self._pragma("user_version"):  # set by the transaction that made the tables
                raise DamagedStore("it has no tables")
            for statement in _SCHEMA:
                self._rows(statement)
        self._require_ours()
        self._rows("COMMIT")

    def _require_ours(self) -> None:
        if not self._pragma("page_count"):
            return
        if self._pragma("application_id") != APPLICATION_ID:
            raise self._not_ours()
        version = self._pragma("user_version")
        if version > SCHEMA_VERSION:
            raise StoreFailed(f"{str(self._path)!a} was created by a newer version")
        if version < SCHEMA_VERSION:
            raise DamagedStore(f"its tables cannot be version {version}")

    def _not_ours(self) -> StoreFailed:
        return StoreFailed(
            f"{str(self._path)!a} is another application's file",
            hint="choose another file for the license store",
        )

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with self._lock, self._failures():
            if os.getpid() != self._owner:
                raise StoreFailed(
                    "the license store was opened before this process was forked",
                    hint="open a separate store in each process",
                )
            self._rows("BEGIN IMMEDIATE")
            try:
                yield
                self._rows("COMMIT")
            finally:
                if self._sqlite.in_transaction:
                    self._rows("ROLLBACK")

    @contextmanager
    def _failures(self) -> Iterator[None]:
        try:
            yield
        except (DamagedStore, UnicodeDecodeError) as error:
            why = str(error) if isinstance(error, DamagedStore) else "a text is not UTF-8"
            raise StoreFailed(
                f"{str(self._path)!a} is damaged: {why}", hint=_DAMAGED_HINT
            ) from error
        except (sqlite3.Error, OSError, OverflowError, LookupError, MemoryError) as error:
            # SQLite quotes stored text.
            why = shown(str(error)) or type(error).__name__
            hint = _DAMAGED_HINT if _is_damage(error) else None
            raise StoreFailed(f"{str(self._path)!a}: {why}", hint=hint) from error


def _is_damage(error: Exception) -> bool:
    # Without a code, the sqlite3 module could not decode a text.
    code = getattr(error, "sqlite_errorcode", None)
    return isinstance(error, sqlite3.Error) and (code is None or code & 0xFF in _DAMAGED)


def _row(
    table: str, columns: Mapping[str, _Reader], number: object, *values: object
) -> dict[str, Any]:
    row = {}
    for (column, read), value in zip(columns.items(), values, strict=True):
        try:
            row[column] = read(value)
        except ValueError:
            which = f"row {number}" if isinstance(number, int) else "a row"
            why = f"{which} of its table {table} has an impossible {column}"
            raise DamagedStore(why) from None
    return row
