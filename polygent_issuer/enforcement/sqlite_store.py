"""The store as one SQLite file.

One process owns the file, and holds its lock while it is open: a second one would not see what the
first has installed. `synchronous=EXTRA` makes a commit durable before it returns.
"""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields
from datetime import datetime, timedelta
from pathlib import Path
from threading import Lock
from typing import Any, Final

from ..verifier import ClockGuard
from ..verifier.policy import moment
from .refusals import shown
from .sqlite_schema import (
    APPLICATION_ID,
    OLDEST_SQLITE,
    PRAGMAS,
    SCHEMA,
    SCHEMA_VERSION,
    SMALLEST,
    DamagedStore,
    StoredRow,
)
from .store import INSTALLED, REFUSALS_KEPT, Installation, Kept, LogEntry, ProcessBound, StoreFailed

# Each field of the value is a column.
_INSTALLATION: Final = tuple(field.name for field in fields(Installation))
_LOG_ENTRY: Final = tuple(field.name for field in fields(LogEntry))
_DAMAGED: Final = frozenset(
    {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_FORMAT, sqlite3.SQLITE_ERROR}
)
_DAMAGED_HINT: Final = "restore a backup of this file, or move it away and upload the license again"


class SqliteStore(ProcessBound):
    """A `Store` in one file, which is made when it is not there; usable from many threads."""

    def __init__(self, path: Path, *, patience: timedelta = timedelta(seconds=5)) -> None:
        """Open the file, or make it.

        Args:
            path: in a folder that exists, on a local disk.
            patience: how long to wait for another process to let go of it.

        Raises:
            StoreFailed: (`license_store_failed`) when it is another application's, in use by
                another process, damaged, made by a newer version, or cannot be opened.
        """
        self._path = path
        self._lock = Lock()
        self._owner = os.getpid()
        if sqlite3.sqlite_version_info < OLDEST_SQLITE:
            raise StoreFailed(
                f"this Python has SQLite {sqlite3.sqlite_version}; the license store needs 3.37",
                hint="use a Python built with a newer SQLite: python3 -m sqlite3 --version tells",
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
        """Let go of the file."""
        with self._lock:
            self._sqlite.close()

    def load(self) -> Kept:
        """See `Store.load`."""
        with self._transaction():
            rows = self._read("kept", "in_force", "last_seen", "tampered", "last_run")
            if len(rows) != 1:
                raise DamagedStore(f"its table kept has {len(rows)} rows instead of 1")
            (kept,) = rows
            installations = tuple(map(_installation, self._read("installation", *_INSTALLATION)))
            in_force = kept.maybe_text("in_force")
            if in_force not in (None, *(each.license_id for each in installations)):
                raise DamagedStore("it does not have the license that it says is installed")
            sent = self._read("sent_milestone", "license_id", "days")
            tampered = bool(kept.whole("tampered", most=1))
            return Kept(
                installations=installations,
                in_force=in_force,
                guard=ClockGuard(kept.maybe_moment("last_seen"), tampered),
                sent=frozenset((row.text("license_id"), row.whole("days")) for row in sent),
                last_run=kept.maybe_moment("last_run"),
            )

    def keep_guard(self, guard: ClockGuard) -> None:
        """See `Store.keep_guard`."""
        with self._transaction():
            self._keep_guard(guard)

    def install(self, installation: Installation, guard: ClockGuard, entry: LogEntry) -> None:
        """See `Store.install`."""
        made = installation
        with self._transaction():
            # One that is signed again under its ID adds to what it replaces, and forgets nothing.
            replaces = dict.fromkeys((*self._replaced_by(made.license_id), *made.replaces))
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
            return tuple(map(_log_entry, reversed(self._read("install_log", *_LOG_ENTRY))))

    def keep_run(self, at: datetime, sent: tuple[str, int] | None) -> None:
        """See `Store.keep_run`."""
        with self._transaction():
            self._rows("UPDATE kept SET last_run = ?", moment(at))
            if sent is not None:
                self._rows("INSERT INTO sent_milestone VALUES (?, ?)", *sent)

    def _replaced_by(self, license_id: str) -> list[str]:
        return [
            each
            for row in self._read("installation", "license_id", "replaces")
            if row.text("license_id") == license_id
            for each in row.text("replaces").split()
        ]

    def _keep_guard(self, guard: ClockGuard) -> None:
        seen = None if guard.last_seen is None else moment(guard.last_seen)
        self._rows("UPDATE kept SET last_seen = ?, tampered = ?", seen, int(guard.tampered))

    def _log(self, entry: LogEntry) -> None:
        self._rows(
            "INSERT INTO install_log (at, by, license_id, customer, outcome)"
            " VALUES (?, ?, ?, ?, ?)",
            *(moment(entry.at), entry.by, entry.license_id, entry.customer, entry.outcome),
        )

    def _read(self, table: str, *columns: str) -> list[StoredRow]:
        """Return the rows of a table in the order of their numbers."""
        names = ", ".join(("rowid", *columns))
        rows = self._rows(f"SELECT {names} FROM {table} ORDER BY rowid")  # noqa: S608 - our own
        return [
            StoredRow(table, number, dict(zip(columns, values, strict=True)))
            for number, *values in rows
        ]

    def _rows(self, statement: str, *values: object) -> list[Any]:
        return self._sqlite.execute(statement, values).fetchall()

    def _pragma(self, name: str) -> int:
        return int(self._rows(f"PRAGMA {name}")[0][0])

    def _make(self) -> None:
        # The rights are there before anything is in the file.
        file = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            size = os.fstat(file).st_size
        finally:
            os.close(file)
        if 0 < size < SMALLEST:
            raise self._not_ours()

    def _take(self) -> None:
        """Hold the lock of a file that is ours, or becomes ours."""
        for pragma in PRAGMAS:
            self._rows(f"PRAGMA {pragma}")
        self._require_ours()
        self._rows("PRAGMA locking_mode = EXCLUSIVE")
        self._rows("BEGIN EXCLUSIVE")
        if not self._rows("SELECT 1 FROM sqlite_schema LIMIT 1"):
            if self._pragma("user_version"):  # as a transaction that made the tables set it
                raise DamagedStore("it has no tables")
            for statement in SCHEMA:
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
            raise StoreFailed(f"{str(self._path)!a} was made by a newer version")
        if version < SCHEMA_VERSION:
            raise DamagedStore(f"its tables cannot be version {version}")

    def _not_ours(self) -> StoreFailed:
        return StoreFailed(
            f"{str(self._path)!a} is another application's file",
            hint="give the license store a file of its own",
        )

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with self._lock, self._failures():
            if os.getpid() != self._owner:
                raise StoreFailed(
                    "the license store was opened before this process was forked",
                    hint="open a store of its own in each process",
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
            # SQLite quotes what is stored.
            why = shown(str(error)) or type(error).__name__
            hint = _DAMAGED_HINT if _is_damage(error) else None
            raise StoreFailed(f"{str(self._path)!a}: {why}", hint=hint) from error


def _is_damage(error: Exception) -> bool:
    # None: the sqlite3 module could not decode a text.
    code = getattr(error, "sqlite_errorcode", None)
    return isinstance(error, sqlite3.Error) and (code is None or code & 0xFF in _DAMAGED)


def _installation(row: StoredRow) -> Installation:
    return Installation(
        license_id=row.text("license_id"),
        file=row.blob("file"),
        sub=row.text("sub"),
        scope=row.text("scope"),
        iat=row.whole("iat"),
        replaces=tuple(row.text("replaces").split()),
        at=row.moment("at"),
        by=row.text("by"),
    )


def _log_entry(row: StoredRow) -> LogEntry:
    return LogEntry(
        at=row.moment("at"),
        by=row.text("by"),
        license_id=row.maybe_text("license_id"),
        customer=row.maybe_text("customer"),
        outcome=row.text("outcome"),
    )
