"""One SQLite connection: its pragmas, its timeout, and the translation of its errors.

With these pragmas no acknowledged commit was lost in simulated power cuts. The file is opened
read-write even for reading, because a hot journal must be rolled back first.
"""

import math
import os
import sqlite3
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from datetime import timedelta
from itertools import islice
from pathlib import Path
from typing import Any, Final, TypeVar

from polygent_issuer.errors import HomeProblem, RegistryChanged
from polygent_issuer.files import disk
from polygent_issuer.files.reading import LOOK_FOR_CHANGES, irregular, require_unexposed
from polygent_issuer.hints import Hint, run
from polygent_issuer.registry.errors import (
    FOREIGN,
    RegistryFailed,
    RegistryMissing,
    RegistryMisuse,
    display_path,
    is_busy,
    not_copied,
    translate,
)
from polygent_issuer.registry.records import Row, Value, as_int
from polygent_issuer.registry.schema import define_functions

BESIDE: Final = ("-journal", "-wal", "-shm")
"""The suffixes of the files that SQLite may create next to a database."""
# The first version with STRICT tables.
OLDEST_SQLITE: Final = (3, 37)

# SQLite waits in C, where Ctrl-C has no effect; therefore it waits in short slices. In a longer one
# it looks more and more rarely, ten times a second at the end, and so a command could wait for many
# seconds while others pass the lock around.
_SLICE: Final = timedelta(milliseconds=10)
_SLICE_PAGES: Final = 4096
# Rows of one fetch, and parameters of one statement.
_CHUNK: Final = 256

Params = tuple[Value, ...]
Change = tuple[str, Iterable[Params]]
"""A statement, and the sets of parameters with which it is executed."""
_Item = TypeVar("_Item")


def where_clause(conditions: Sequence[tuple[str, Params]]) -> tuple[str, Params]:
    """Join conditions with AND; return the clause and its parameters."""
    sql = f"WHERE {' AND '.join(part for part, _ in conditions)} " if conditions else ""
    return sql, tuple(value for _, params in conditions for value in params)


def marks(values: Sequence[object]) -> str:
    """Return a question mark for each value, for the list of an SQL statement."""
    return ", ".join("?" * len(values))


def in_chunks(values: Iterable[_Item]) -> Iterator[tuple[_Item, ...]]:
    """Split values into parts that are small enough for the parameters of one statement."""
    rest = iter(values)
    while chunk := tuple(islice(rest, _CHUNK)):
        yield chunk


def sqlite_version() -> tuple[int, ...]:
    """Return the version of this Python's SQLite library."""
    return sqlite3.sqlite_version_info


def require_sqlite(version: tuple[int, ...]) -> None:
    """Refuse a SQLite library that is too old for the registry (`sqlite_too_old`)."""
    if version < OLDEST_SQLITE:
        raise HomeProblem(
            f"this Python has SQLite {'.'.join(map(str, version))}, but the registry needs 3.37",
            hint="use a Python with a newer SQLite (python3 -m sqlite3 --version prints it)",
            code="sqlite_too_old",
        )


def pragmas(platform: str) -> tuple[str, ...]:
    """Return the pragmas of every connection, for use outside a transaction.

    Args:
        platform: as `sys.platform`; on macOS fsync may leave data in the disk's cache.
    """
    common = (
        "PRAGMA trusted_schema = OFF",
        "PRAGMA cell_size_check = ON",
        "PRAGMA foreign_keys = ON",
        "PRAGMA recursive_triggers = ON",
        "PRAGMA temp_store = MEMORY",
        "PRAGMA synchronous = EXTRA",
    )
    return (*common, "PRAGMA fullfsync = ON") if platform == "darwin" else common


class Connection:
    """A connection to an existing file; it never creates one.

    Each method translates an error of SQLite with `errors.translate`.
    """

    def __init__(
        self,
        path: Path,
        *,
        busy_timeout: timedelta,
        read_only: bool = False,
        named: Path | None = None,
        immutable: bool = False,
    ) -> None:
        """Connect and set the pragmas.

        Args:
            busy_timeout: the longest time to wait for another process.
            read_only: never write to the file, not even to undo an interrupted transaction; a file
                with such a transaction cannot be read then.
            named: the path for messages, if the file is a private copy of that.
            immutable: read the file without its journal, if there is one.

        Raises:
            RegistryChanged: (`registry_changed`) when the file was replaced while it was opened.
            RegistryFailed: (`registry_failed`) when the system cannot open it, or when it or its
                journal is not a regular file.
        """
        require_sqlite(sqlite_version())
        _require_regular(path)
        self.path = path if named is None else named
        self._place = path
        self._slices = max(1, math.ceil(busy_timeout / _SLICE))
        wait = min(busy_timeout, _SLICE).total_seconds()
        self._file = _identity(path)
        mode = "ro&immutable=1" if immutable else "ro" if read_only else "rw"
        uri = f"{path.absolute().as_uri()}?mode={mode}"
        try:
            self._sqlite = sqlite3.connect(uri, uri=True, timeout=wait, isolation_level=None)
        except FOREIGN as error:
            raise translate(error, path) from error
        with self.closed_on_error():
            define_functions(self._sqlite)
            self.require_in_place()
            for pragma in pragmas(sys.platform):
                self.wait_for(pragma).close()

    def require_in_place(self) -> None:
        """Check that the path is still the file that was opened.

        `registry restore` replaces the file while it has its lock. A command that waited for the
        lock must not write to the old file.
        """
        if _identity(self._place) != self._file:
            raise RegistryChanged(
                f"the registry {display_path(self.path)} was replaced while this command was "
                "running; nothing was written",
                hint="run the command again",
            )

    def copy_into(self, path: Path, *, named: Path, then: Iterable[Change] = ()) -> None:
        """Copy the whole database, as the open transaction sees it, to an empty file.

        The file is not synced. An error of the copy is `output_failed` and names `named`.

        Args:
            path: the file.
            named: the path for messages.
            then: changes of the copy, each a statement with the sets of its parameters.
        """
        try:
            with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=rw", uri=True)) as copy:
                # An incomplete copy is removed, so it needs no journal. This also keeps SQLite from
                # applying a journal file that another user puts next to it.
                copy.execute("PRAGMA journal_mode = OFF")
                copy.execute("PRAGMA synchronous = OFF")
                # In slices with a call in between, so that Ctrl-C works.
                self._sqlite.backup(copy, pages=_SLICE_PAGES, progress=lambda *_: None)
                for sql, several in then:
                    copy.executemany(sql, several)
                copy.commit()
        except FOREIGN as error:
            raise not_copied(error, self.path, named) from error

    def settle(self) -> None:
        """Set the journal mode, which is stored in the file; call this only for a registry."""
        self.wait_for("PRAGMA journal_mode = DELETE").close()

    def run(self, sql: str, params: Params = ()) -> sqlite3.Cursor:
        """Execute one statement."""
        try:
            return self._sqlite.execute(sql, params)
        except FOREIGN as error:
            raise translate(error, self.path) from error

    def first(self, sql: str, params: Params = ()) -> tuple[tuple[Any, ...], Row | None]:
        """Return the description of each column (PEP 249) and the first row, or None."""
        try:
            with closing(self._sqlite.execute(sql, params)) as cursor:
                row: Row | None = cursor.fetchone()
                return cursor.description or (), row
        except FOREIGN as error:
            raise translate(error, self.path) from error

    def change(self, sql: str, params: Params) -> tuple[int, int | None]:
        """Execute a statement without result rows; return how many rows it changed, and the rowid.

        Result rows (RETURNING) would double the time of a statement.
        """
        try:
            with closing(self._sqlite.execute(sql, params)) as cursor:
                return cursor.rowcount, cursor.lastrowid
        except FOREIGN as error:
            raise translate(error, self.path) from error

    def run_many(self, sql: str, several: Iterable[Params]) -> None:
        """Execute a statement without result rows once for each set of parameters."""
        try:
            self._sqlite.executemany(sql, several).close()
        except FOREIGN as error:
            raise translate(error, self.path) from error

    def wait_for(self, sql: str) -> sqlite3.Cursor:
        """Execute a statement that takes locks; `registry_locked` after the busy timeout."""
        for _ in range(self._slices - 1):
            try:
                return self._sqlite.execute(sql)
            except FOREIGN as error:
                if not is_busy(error):
                    raise translate(error, self.path) from error
        return self.run(sql)

    def fetch(self, cursor: sqlite3.Cursor, count: int) -> list[Row]:
        """Return up to `count` rows of a cursor; an empty list at its end."""
        try:
            return cursor.fetchmany(count)
        except FOREIGN as error:
            raise translate(error, self.path) from error

    def stream(self, sql: str, params: Params = ()) -> Iterator[Row]:
        """Execute one statement, and yield its rows."""
        with closing(self.run(sql, params)) as cursor:
            yield from self.fetch_all(cursor)

    def fetch_all(self, cursor: sqlite3.Cursor) -> Iterator[Row]:
        """Yield the remaining rows of a cursor."""
        while rows := self.fetch(cursor, _CHUNK):
            yield from rows

    def number(self, pragma: str) -> int:
        """Return the integer value of a pragma."""
        with closing(self.wait_for(f"PRAGMA {pragma}")) as cursor:
            return as_int(self.fetch(cursor, 1)[0][0])

    def begin(self, sql: str) -> None:
        """Begin a transaction, waiting like `wait_for`; `registry_misuse` if one is open."""
        try:
            nested = self._sqlite.in_transaction
        except FOREIGN as error:
            raise translate(error, self.path) from error
        if nested:
            raise RegistryMisuse("a transaction of the registry is open already")
        self.wait_for(sql).close()

    def undo_part(self) -> None:
        """Undo the writes since `SAVEPOINT part`; if this fails, nothing is committed."""
        # After some errors, such as a full disk, SQLite has undone the whole transaction.
        if self._sqlite.in_transaction:
            self.run("ROLLBACK TO part").close()
            self.run("RELEASE part").close()

    def roll_back(self) -> None:
        """Undo the transaction if it is still open."""
        # Errors are ignored: the next command undoes it with the remaining journal file.
        with suppress(*FOREIGN):
            if self._sqlite.in_transaction:
                self._sqlite.execute("ROLLBACK")

    @contextmanager
    def closed_on_error(self) -> Iterator[None]:
        """Close the connection if the block raises anything."""
        try:
            yield
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Close the connection and undo an open transaction."""
        with suppress(*FOREIGN):
            self._sqlite.close()


def make_private(path: Path) -> None:
    """Create the file with mode 0600 before SQLite opens it; an empty file is used again."""
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0)
    try:
        try:
            os.close(os.open(path, flags, 0o600))
        except FileExistsError:
            if path.is_file() and path.stat().st_size == 0:
                disk.make_private(path, 0o600)
    except OSError as error:
        raise _unusable(path, error) from error


def require_file(path: Path) -> None:
    """Refuse a missing registry, or one that another user can change, before SQLite opens it."""
    try:
        require_safe(path)
    except FileNotFoundError:
        raise RegistryMissing(
            f"the registry {display_path(path)} does not exist",
            hint=Hint(run("registry", "restore", "BACKUP"), "; in a new home: ", run("init")),
        ) from None
    except OSError as error:
        raise _unusable(path, error) from error


def require_safe(path: Path) -> None:
    """Refuse a registry that another user can change.

    The files that SQLite puts next to it count too: a journal that another user left there would
    be applied to it. So does the folder of a link's target. Otherwise its folder is the home.

    Raises:
        HomeProblem: (`unsafe_file`) when another user owns one of them or may write to it.
        OSError: when it cannot be examined.
    """
    real = Path(os.path.realpath(path))  # as SQLite does
    require_unexposed(real, "registry", then=LOOK_FOR_CHANGES)
    if real.parent != Path(os.path.realpath(path.parent)):  # else it is the home, checked before
        require_unexposed(real.parent, "registry's folder", then=LOOK_FOR_CHANGES)
    for suffix in BESIDE:
        with suppress(FileNotFoundError):
            require_unexposed(Path(f"{real}{suffix}"), "registry's file")


def _require_regular(path: Path) -> None:
    """Refuse a FIFO, a socket or a device, on which SQLite would block or write."""
    for suffix in ("", *BESIDE):
        file = Path(f"{path}{suffix}")
        try:
            kind = irregular(file.stat().st_mode)
        except OSError:
            continue  # opening it reports the reason
        if kind is not None:
            raise RegistryFailed(
                f"{display_path(file)} is {kind}, not a file of the registry",
                hint="move it away"
                if suffix
                else Hint("move it away, then: ", run("registry", "restore", "BACKUP")),
            )


def _identity(path: Path) -> tuple[int, int] | None:
    """Return the system's identity of a file: device and inode; None if it does not exist."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _unusable(path: Path, error: OSError) -> RegistryFailed:
    return RegistryFailed(
        f"cannot open the registry {display_path(path)}: {error.strerror}",
        hint="make the file and its folder readable and writable for you",
    )
