"""A SQLite file that several processes share: opened, recognised, read and written.

No process holds it between two transactions, so SQLite's own locks and rollback journal are enough,
also when a process is killed. Times are microseconds since 1970 UTC.
"""

import os
import re
import sqlite3
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from threading import Lock, RLock
from typing import Any, Final

from .refusals import shown
from .store import FIRST, LAST, ProcessBound, StoreFailed, from_moment
from .threads import Forked, take_part_in_forks

_OLDEST_SQLITE: Final = (3, 37)
"""The oldest version with STRICT tables."""
_SMALLEST: Final = 512
"""Bytes of the smallest database; SQLite would overwrite a smaller file."""
_DAMAGED: Final = frozenset(
    {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_FORMAT, sqlite3.SQLITE_ERROR}
)
DAMAGED_HINT: Final = "restore a backup of this file, or move it away and upload the license again"
_BUSY: Final = timedelta(milliseconds=10)
"""The time after which SQLite's own wait for a lock starts again.

In a longer one it looks more and more rarely, ten times a second at the end, and so may never get
the lock while other processes pass it around.
"""
_MAKING: Final = Lock()
"""Held while a file is made: closing it again would drop the locks of this process on it."""


class DamagedStore(Exception):
    """The file has a value that this server never writes. The text names table, row and column."""


Reader = Callable[[object], Any]
"""Returns the value of a column; `ValueError` for one of another type, or out of range."""


def exact(kind: type, allowed: Callable[[Any], bool] = lambda _: True) -> Reader:
    """Return a reader of values of one type; in a damaged file any column may have any type."""

    def read(value: object) -> object:
        if isinstance(value, kind) and allowed(value):
            return value
        raise ValueError

    return read


def whole(least: int, most: int) -> Reader:
    """Return a reader of integers in a range."""
    return exact(int, lambda value: least <= value <= most)


def optional(read: Reader) -> Reader:
    """Return a reader that also takes NULL."""
    return lambda value: None if value is None else read(value)


def an_instant(value: object) -> datetime:
    """Read an instant."""
    return from_moment(whole(FIRST, LAST)(value))


@dataclass(frozen=True, kw_only=True, slots=True)
class Content:
    """The tables of a file, and how it is opened.

    Attributes:
        application_id: in the file's header, to recognise files of other applications.
        version: of the tables; a newer one is refused.
        tables: the statements that make them.
        pragmas: of each connection.
    """

    application_id: int
    version: int
    tables: tuple[str, ...]
    pragmas: tuple[str, ...]


class SqliteFile(ProcessBound, Forked):
    """One connection of this process to a file; usable from many threads, and across forks."""

    _may_vanish = False
    """Whether a file that was deleted is made again."""

    def __init__(self, path: Path, content: Content, *, patience: timedelta) -> None:
        """Open nothing yet.

        `patience` is the time to wait for another process's transaction.
        """
        self._path = path.absolute()  # it is opened again after the server changed its folder
        self._content = content
        self._patience = patience
        self._lock = RLock()
        self._sqlite: sqlite3.Connection | None = None
        self._identity: tuple[int, int] | None = None
        self._opened = 0
        self._version = (0, 0)
        self._closed = False
        take_part_in_forks(self)

    def close(self) -> None:
        """Close the file for good."""
        with self._lock:
            self._closed = True
            self._let_go()

    def version(self) -> tuple[int, int]:
        """Return a value that changes when another process, or another connection, has written.

        While another process keeps the file locked, the last value is returned: it has not written.

        Raises:
            StoreFailed: the file cannot be read, was deleted, or is no longer a store.
        """
        with self._lock, self._failures():
            self._forget_another_file()
            try:
                self._version = self._pragma("data_version"), self._opened
            except sqlite3.OperationalError as error:
                if not _is_busy(error):
                    raise
            return self._version

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Read and write what no other process or thread writes meanwhile, all or nothing.

        Within another transaction of the same thread it is a part of that one.

        Raises:
            StoreFailed: it cannot be begun, or stored.
        """
        with self._begun("BEGIN IMMEDIATE"):
            yield
            self._require_the_same_file()

    @contextmanager
    def _begun(self, how: str) -> Iterator[None]:
        with self._lock, self._failures():
            if self._sqlite is not None and self._sqlite.in_transaction:
                yield
                return
            self._forget_another_file()
            try:
                self._rows(how)
                yield
                self._rows("COMMIT")
            finally:
                if self._sqlite is not None and self._sqlite.in_transaction:
                    self._rows("ROLLBACK")

    def _read(self, table: str, columns: Mapping[str, Reader]) -> list[dict[str, Any]]:
        """Return the rows of a table in the order of their numbers."""
        names = ", ".join(("rowid", *columns))
        rows = self._rows(f"SELECT {names} FROM {table} ORDER BY rowid")  # noqa: S608 - our own
        return [_row(table, columns, *row) for row in rows]

    def _rows(self, statement: str, *values: object) -> list[Any]:
        if self._sqlite is None:
            self._open()
        assert self._sqlite is not None  # noqa: S101 - for mypy
        tries = 1 + self._patience // _BUSY
        while True:
            try:
                return self._sqlite.execute(statement, values).fetchall()
            except sqlite3.OperationalError as error:
                tries -= 1
                if not tries or not _is_busy(error):
                    raise

    def _pragma(self, name: str) -> int:
        return int(self._rows(f"PRAGMA {name}")[0][0])

    def _open(self) -> None:
        if self._closed:
            raise StoreFailed(
                f"{str(self._path)!a} was closed by this process",
                hint="keep the store open as long as the server runs",
            )
        if sqlite3.sqlite_version_info < _OLDEST_SQLITE:
            raise StoreFailed(
                f"this Python has SQLite {sqlite3.sqlite_version}; the license store needs 3.37",
                hint="use a Python built with a newer SQLite: see python3 -m sqlite3 --version",
            )
        self._make()
        self._sqlite = sqlite3.connect(
            self._path,
            timeout=min(self._patience, _BUSY).total_seconds(),
            isolation_level=None,
            check_same_thread=False,
        )
        self._opened += 1
        try:
            self._identity = self._file_identity()
            self._take()
        except BaseException:
            self._let_go()
            raise

    def _let_go(self) -> None:
        if self._sqlite is not None:
            self._sqlite.close()
            self._sqlite = None

    def _make(self) -> None:
        """Make a missing file, with its mode before its content."""
        with _MAKING:
            try:
                size = self._path.stat().st_size
            except FileNotFoundError:
                if self._opened and not self._may_vanish:
                    raise StoreFailed(
                        f"{str(self._path)!a} was deleted while the server was running",
                        hint="put it back, or restart the server to begin without a license",
                    ) from None
                with suppress(FileExistsError):  # another process made it meanwhile
                    os.close(os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
                return
        if 0 < size < _SMALLEST:
            raise self._not_ours()

    def _take(self) -> None:
        """Recognise the file, and make the tables of a new one."""
        for pragma in self._content.pragmas:
            self._rows(f"PRAGMA {pragma}")
        self._require_ours()
        if self._has_tables():
            return
        self._rows("BEGIN IMMEDIATE")
        if not self._has_tables():
            if self._pragma("user_version"):  # set by the transaction that made the tables
                raise DamagedStore("it has no tables")
            for statement in self._content.tables:
                self._rows(statement)
            self._rows(f"PRAGMA application_id = {self._content.application_id}")
            self._rows(f"PRAGMA user_version = {self._content.version}")
        self._require_ours()
        self._rows("COMMIT")

    def _has_tables(self) -> bool:
        return bool(self._rows("SELECT 1 FROM sqlite_schema LIMIT 1"))

    def _require_ours(self) -> None:
        if not self._pragma("page_count"):
            return
        if self._pragma("application_id") != self._content.application_id:
            raise self._not_ours()
        version = self._pragma("user_version")
        if version > self._content.version:
            raise StoreFailed(
                f"{str(self._path)!a} was created by a newer version",
                hint="run the version of the server that created it, or a later one",
            )
        if version < self._content.version:
            raise DamagedStore(f"its tables cannot be version {version}")

    def _not_ours(self) -> StoreFailed:
        return StoreFailed(
            f"{str(self._path)!a} is another application's file",
            hint="choose another file for the license store",
        )

    def _forget_another_file(self) -> None:
        """Open the file again before its next transaction, if it was replaced or deleted."""
        if self._sqlite is None or self._sqlite.in_transaction:
            return
        if self._identity != self._file_identity():
            self._let_go()

    def _require_the_same_file(self) -> None:
        """Refuse to write a file that was replaced in the transaction, and so has lost its name."""
        if not self._may_vanish and self._identity != self._file_identity():
            raise StoreFailed(
                f"{str(self._path)!a} was replaced or deleted meanwhile, so nothing was stored",
                hint="try again; stop the server before you restore a backup",
            )

    def _file_identity(self) -> tuple[int, int] | None:
        try:
            stat = self._path.stat()
        except FileNotFoundError:
            return None
        return stat.st_dev, stat.st_ino

    @contextmanager
    def _failures(self) -> Iterator[None]:
        try:
            yield
        except (DamagedStore, UnicodeDecodeError) as error:
            why = str(error) if isinstance(error, DamagedStore) else "a text is not UTF-8"
            raise StoreFailed(
                f"{str(self._path)!a} is damaged: {why}", hint=DAMAGED_HINT
            ) from error
        except (sqlite3.Error, OSError, OverflowError, LookupError, MemoryError) as error:
            # SQLite quotes stored text.
            why = shown(str(error)) or type(error).__name__
            raise StoreFailed(f"{str(self._path)!a}: {why}", hint=self._hint(error)) from error

    def _hint(self, error: Exception) -> str | None:
        # Without a code, the sqlite3 module could not decode a text.
        code = getattr(error, "sqlite_errorcode", None)
        if isinstance(error, sqlite3.Error) and (code is None or code & 0xFF in _DAMAGED):
            return DAMAGED_HINT
        if _is_busy(error):
            holders = _holders(self._path)
            by = f"process {', '.join(holders)}" if holders else "another process"
            return f"{by} keeps the file locked: end it if it is not a server of this license"
        return None

    def lock_before_fork(self) -> None:
        """Close the file, which is opened again when it is needed."""
        self._lock.acquire()
        self._let_go()

    def go_on_after_fork(self, *, child: bool) -> None:
        """Release the lock."""
        del child
        self._lock.release()


def _is_busy(error: BaseException | None) -> bool:
    return getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_BUSY


def _holders(path: Path) -> list[str]:
    """Return the processes that lock a file, on Linux."""
    if sys.platform != "linux":
        return []
    try:
        inode, locks = path.stat().st_ino, Path("/proc/locks").read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError):
        return []
    holders = re.findall(rf"(?m)^\d+: \S+ +\S+ +\S+ +(\d+) \S+:{inode} ", locks)
    return sorted({each for each in holders if each != str(os.getpid())}, key=int)


def _row(
    table: str, columns: Mapping[str, Reader], number: object, *values: object
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
