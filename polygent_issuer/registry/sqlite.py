"""The engine of a registry in a file: one SQLite connection, its pragmas and its timeout.

With these pragmas no acknowledged commit was lost in simulated power cuts. The file is opened
read-write even for reading, because a hot journal must be rolled back first.
"""

import os
import sqlite3
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager, suppress
from datetime import timedelta
from itertools import islice
from pathlib import Path
from typing import Any, Final

from polygent_issuer.errors import RegistryChanged
from polygent_issuer.files.disk import Queue, identity
from polygent_issuer.files.reading import irregular
from polygent_issuer.registry import schema
from polygent_issuer.registry.engine import MOVED_TO, Change, Connection, Params
from polygent_issuer.registry.errors import (
    FOREIGN,
    Place,
    RegistryFailed,
    RegistryMissing,
    RegistryMisuse,
    damaged,
    display_place,
    exists,
    first_problems,
    is_busy,
    not_copied,
    tampered,
    translate,
)
from polygent_issuer.registry.records import Row, Value, as_int
from polygent_issuer.text import Hint, escape, run

BESIDE: Final = ("-journal", "-wal", "-shm")
"""The suffixes of the files that SQLite may create next to a database."""

# SQLite waits in C, where Ctrl-C has no effect; therefore it waits in short slices. In a longer one
# it looks more and more rarely, ten times a second at the end.
_SLICE: Final = timedelta(milliseconds=3)
_SLICE_PAGES: Final = 4096
_MOST_PROBLEMS: Final = 100
_MOST_OBJECTS: Final = 10_000


def pragmas(platform: str) -> tuple[str, ...]:
    """Return the pragmas of a connection; on macOS fsync may leave data in the disk's cache."""
    common = (
        "PRAGMA trusted_schema = OFF",
        "PRAGMA cell_size_check = ON",
        "PRAGMA foreign_keys = ON",
        "PRAGMA recursive_triggers = ON",
        "PRAGMA temp_store = MEMORY",
        "PRAGMA synchronous = EXTRA",
    )
    return (*common, "PRAGMA fullfsync = ON") if platform == "darwin" else common


class SqliteConnection(Connection):
    """A connection to an existing file; it never creates one."""

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
        schema.require_sqlite(schema.SQLITE_VERSION)
        _require_regular(path)
        self.place = path if named is None else named
        self.file = path
        # A private copy has no other writers. `registry restore` writes to one in the registry's
        # folder while it has the registry's lock, for which the first one in the queue may wait.
        self._folder = Path(os.path.realpath(path)).parent if named is None else None
        self._busy_timeout = busy_timeout
        wait = min(busy_timeout, _SLICE).total_seconds()
        self._opened = identity(path)
        mode = "ro&immutable=1" if immutable else "ro" if read_only else "rw"
        uri = f"{path.absolute().as_uri()}?mode={mode}"
        try:
            self._sqlite = sqlite3.connect(uri, uri=True, timeout=wait, isolation_level=None)
        except FOREIGN as error:
            raise translate(error, path) from error
        with self.closed_on_error():
            self.require_in_place()
            for pragma in pragmas(sys.platform):
                self.wait_for(pragma).close()

    def require_in_place(self) -> None:
        """Check that the path is still the file that was opened.

        `registry restore` replaces the file while it has its lock. A command that waited for the
        lock must not write to the old file.
        """
        if identity(self.file) != self._opened:
            raise RegistryChanged(
                f"the registry {display_place(self.place)} was replaced while this command was "
                "running; nothing was written",
                hint="run the command again",
            )

    def copy_into(self, path: Path, *, named: Path, then: Iterable[Change] = ()) -> None:
        """Copy the whole database, as the open transaction sees it, to an empty file."""
        with copying_to(path, self.place, named=named, then=then) as copy:
            # In slices with a call in between, so that Ctrl-C works.
            self._sqlite.backup(copy, pages=_SLICE_PAGES, progress=lambda *_: None)

    def settle(self) -> None:
        """Set the journal mode, which is stored in the file."""
        self.wait_for("PRAGMA journal_mode = DELETE").close()

    def run(self, sql: str, params: Params = ()) -> sqlite3.Cursor:
        """Execute one statement."""
        try:
            return self._sqlite.execute(sql, params)
        except FOREIGN as error:
            raise translate(error, self.place) from error

    def first(self, sql: str, params: Params = ()) -> tuple[tuple[Any, ...], Row | None]:
        """Return the description of each column (PEP 249) and the first row, or None."""
        try:
            with closing(self._sqlite.execute(sql, params)) as cursor:
                row: Row | None = cursor.fetchone()
                return cursor.description or (), row
        except FOREIGN as error:
            raise translate(error, self.place) from error

    def change(self, sql: str, params: Params) -> int:
        """Execute a statement without result rows; return how many rows it changed."""
        return self.insert(sql, params)[0]

    def insert(self, sql: str, params: Params, key: str = "") -> tuple[int, Value]:  # noqa: ARG002  # of the other engine
        """Execute an INSERT; return how many rows it inserted, and the rowid."""
        # Result rows (RETURNING) would double the time of a statement.
        try:
            with closing(self._sqlite.execute(sql, params)) as cursor:
                return cursor.rowcount, cursor.lastrowid
        except FOREIGN as error:
            raise translate(error, self.place) from error

    def run_many(self, sql: str, several: Iterable[Params]) -> None:
        """Execute a statement without result rows once for each set of parameters."""
        try:
            self._sqlite.executemany(sql, several).close()
        except FOREIGN as error:
            raise translate(error, self.place) from error

    def wait_for(self, sql: str) -> sqlite3.Cursor:
        """Execute a statement that takes locks; `registry_locked` after the busy timeout."""
        end = time.monotonic() + self._busy_timeout.total_seconds()
        while True:
            begun = time.monotonic()
            try:
                return self._sqlite.execute(sql)
            except FOREIGN as error:
                if not is_busy(error) or time.monotonic() >= end:
                    raise translate(error, self.place) from error
            # SQLite reports some locks without waiting for them.
            time.sleep(max(0.0, begun + _SLICE.total_seconds() - time.monotonic()))

    def fetch(self, cursor: sqlite3.Cursor, count: int) -> list[Row]:
        """Return up to `count` rows of a cursor; an empty list at its end."""
        try:
            return cursor.fetchmany(count)
        except FOREIGN as error:
            raise translate(error, self.place) from error

    def number(self, pragma: str) -> int:
        """Return the integer value of a pragma."""
        return as_int(self._waited_row(f"PRAGMA {pragma}")[0])

    def _waited_row(self, sql: str) -> Row:
        with closing(self.wait_for(sql)) as cursor:
            return next(iter(self.fetch(cursor, 1)), ())

    def begin(self, sql: str) -> None:
        """Begin a transaction, waiting like `wait_for`; `registry_misuse` if one is open.

        Writers wait in a queue, and only the first one looks whether the lock is free. If all did,
        some would find it taken for seconds.
        """
        try:
            nested = self._sqlite.in_transaction
        except FOREIGN as error:
            raise translate(error, self.place) from error
        if nested:
            raise RegistryMisuse("a transaction of the registry is open already")
        if sql == "BEGIN":
            self.wait_for(sql).close()
            return
        queue = Queue(self._folder, self._busy_timeout)
        try:
            (self.wait_for if queue.enter() else self.run)(sql).close()
        finally:
            queue.leave()

    def begin_reading(self) -> None:
        """Begin a transaction that sees one snapshot; commits of others wait for it."""
        self.begin("BEGIN")
        with self._rolled_back_on_error():
            # Takes the snapshot and the lock for all later reads.
            self.wait_for("SELECT 1 FROM sqlite_schema LIMIT 1").close()
            self.run("PRAGMA query_only = ON").close()

    def end_reading(self) -> None:
        """End the transaction of `begin_reading`."""
        self.roll_back()
        self.run("PRAGMA query_only = OFF").close()

    def begin_writing(self, *, journal: bool = True) -> None:  # noqa: ARG002  # of the other engine
        """Begin a transaction with the write lock."""
        self.begin("BEGIN IMMEDIATE")
        with self._rolled_back_on_error():
            self.require_in_place()

    def commit(self, head: tuple[int, bytes] | None) -> None:  # noqa: ARG002  # of the other engine
        """Commit the open transaction, after all readers have ended."""
        self.wait_for("COMMIT").close()

    def begin_part(self) -> None:
        """Begin a part of the transaction that can be undone alone."""
        self.run("SAVEPOINT part").close()

    def undo_part(self) -> None:
        """Undo the part; if this fails, nothing is committed."""
        # After some errors, such as a full disk, SQLite has undone the whole transaction.
        if self._sqlite.in_transaction:
            self.run("ROLLBACK TO part").close()
            self.end_part()

    def roll_back(self) -> None:
        """Undo the transaction if it is still open."""
        # Errors are ignored: the next command undoes it with the remaining journal file.
        with suppress(*FOREIGN):
            if self._sqlite.in_transaction:
                self._sqlite.execute("ROLLBACK")

    def tables(self) -> int:
        """Return the version of the tables: the number of migrations so far."""
        return self.number("user_version")

    def moved_to(self) -> str | None:
        """Return the place to which the content was moved; None for a registry in use."""
        # Without a transaction each statement has to wait for the lock of a writer.
        if not self._waited_row("PRAGMA table_info(about)"):
            return None  # the creation was interrupted, or the table is missing
        row = self._waited_row(MOVED_TO)
        return str(row[0]) if row else None

    def data_version(self) -> int:
        """Return a number that changes when another connection commits."""
        return self.number("data_version")

    def columns(self, table: str) -> tuple[str, ...]:
        """Return the columns of a table in their order; empty without such a table."""
        return tuple(str(row[1]) for row in self.stream(f"PRAGMA table_info({table})"))

    def schema_problems(self, version: int | None = None) -> tuple[str, ...]:
        """Return a line for each object that is not as this tool creates it."""
        with closing(self.run(schema.STATEMENTS)) as cursor:
            return schema.differences(self.fetch(cursor, _MOST_OBJECTS), version)

    def damage(self) -> tuple[str, ...]:
        """Run SQLite's integrity and foreign-key checks; return a line for each problem."""

        def problems() -> Iterator[str]:
            for (line,) in self.stream(f"PRAGMA integrity_check({_MOST_PROBLEMS})"):
                if line != "ok":  # it may quote stored text
                    yield "SQLite reports a damaged file: a page, a row or an index is invalid"
                    break
            for table, *_ in self.stream("PRAGMA foreign_key_check"):
                yield f"a row of {escape(str(table))} refers to a missing row"

        return tuple(islice(problems(), _MOST_PROBLEMS))

    def require_blank(self) -> None:
        """Refuse a file with any content: `registry_exists`."""
        if not self._is_blank():
            raise exists(self.place)

    def create_tables(self) -> None:
        """Create the tables of this version in the open transaction."""
        try:
            schema.create(self._sqlite, schema.MIGRATIONS)
        except FOREIGN as error:
            raise translate(error, self.place) from error

    def define(self, name: str, function: Callable[[object], str]) -> None:
        """Define a function with one argument for SQL."""
        self._sqlite.create_function(name, 1, function, deterministic=True)

    def require_registry(self) -> None:
        """Refuse a file that is not a registry, or is newer than this tool.

        Raises:
            RegistryMissing: (`registry_missing`) when the file is empty.
            RegistryDamaged: (`registry_damaged`) when it is a file of another program.
            HomeProblem: (`registry_newer`) when a later version of this tool wrote it.
        """
        if self.number("application_id") != schema.APPLICATION_ID:
            if self._is_blank():
                back = run("registry", "restore", "BACKUP")
                raise RegistryMissing(
                    f"the registry {display_place(self.place)} is empty: its creation was "
                    "interrupted",
                    hint=Hint(run("init"), "; if it once held licenses: ", back),
                )
            raise damaged(self.place, "is a database of another program")
        version = self.tables()
        if version < 0:
            what = f"is damaged: its tables have the impossible version {version}"
            raise damaged(self.place, what)
        self.require_known(version)

    def require_current(self) -> None:
        """Refuse a file in which a table, index, view or trigger is missing, changed or added."""
        self.require_registry()
        version = self.tables()
        if problems := self.schema_problems(version):
            older = version < len(schema.MIGRATIONS)
            raise tampered(self.place, first_problems(problems), older=older)

    def _is_blank(self) -> bool:
        present = self._waited_row("SELECT 1 FROM sqlite_schema LIMIT 1")
        return not present and self.number("application_id") == 0

    @contextmanager
    def _rolled_back_on_error(self) -> Iterator[None]:
        try:
            yield
        except BaseException:
            self.roll_back()
            raise

    def close(self) -> None:
        """Close the connection and undo an open transaction."""
        with suppress(*FOREIGN):
            self._sqlite.close()


@contextmanager
def copying_to(
    path: Path, source: Place, *, named: Path, then: Iterable[Change]
) -> Iterator[sqlite3.Connection]:
    """Open an empty file for a copy; the rest is as for `Connection.copy_into`."""
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=rw", uri=True)) as copy:
            # An incomplete copy is removed, so it needs no journal. This also keeps SQLite from
            # applying a journal file that another user puts next to it.
            copy.execute("PRAGMA journal_mode = OFF")
            copy.execute("PRAGMA synchronous = OFF")
            yield copy
            for sql, several in then:
                copy.executemany(sql, several)
            copy.commit()
    except FOREIGN as error:
        raise not_copied(error, source, named) from error


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
                f"{display_place(file)} is {kind}, not a file of the registry",
                hint="move it away"
                if suffix
                else Hint("move it away, then: ", run("registry", "restore", "BACKUP")),
            )
