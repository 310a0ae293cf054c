"""The registry: one SQLite file, made on purpose, opened in a few milliseconds."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from polygent_issuer.registry import database_file, schema
from polygent_issuer.registry.connection import Connection
from polygent_issuer.registry.errors import RegistryMisuse, damaged
from polygent_issuer.registry.records import Actor, text
from polygent_issuer.registry.transactions import Reading, Writing
from polygent_issuer.text import escape

REGISTRY_FILE: Final = "registry.db"
BUSY_TIMEOUT: Final = timedelta(seconds=30)


class Registry:
    """An open registry; transactions are its `with` blocks, one at a time."""

    def __init__(self, connection: Connection) -> None:
        """Take a connection that `create` or `open` has made sure of."""
        self._connection = connection

    @classmethod
    def create(
        cls,
        path: Path,
        *,
        now: datetime,
        actor: Actor,
        registry_id: str,
        busy_timeout: timedelta = BUSY_TIMEOUT,
    ) -> Self:
        """Make a registry in one transaction; an interrupted creation is begun anew.

        Args:
            path: the file; its folder exists.
            now: the instant of creation, aware.
            actor: who makes it.
            registry_id: what tells it from any other, for ever.
            busy_timeout: how long to wait for another process.

        Raises:
            RegistryExists: (`registry_exists`) when there is something already.
            RegistryFailed: (`registry_failed`) when it cannot be written.
        """
        connection = database_file.connect_blank(path, busy_timeout=busy_timeout)
        registry = cls(connection)
        with connection.closed_on_error():
            # Another process may have made it in between.
            with registry._transaction(database_file.require_blank, now=now, actor=actor) as db:
                db.execute(f"PRAGMA application_id = {schema.APPLICATION_ID}")
                for version in range(len(schema.MIGRATIONS)):
                    schema.migrate(db.execute, version)
                db.insert("about", name="registry_id", value=registry_id)
                db.record("registry-created", details={"registry": registry_id})
            connection.settle()
        return registry

    @classmethod
    def open(
        cls, path: Path, *, busy_timeout: timedelta = BUSY_TIMEOUT, as_it_is: bool = False
    ) -> Self:
        """Open an existing registry, brought up to this tool's tables.

        Args:
            path: the file.
            busy_timeout: how long to wait for another process.
            as_it_is: leave older tables as they are; `is_up_to_date` tells of them.

        Raises:
            RegistryMissing: (`registry_missing`) when there is none; it is never made here.
            RegistryDamaged: (`registry_damaged`) when the file is something else.
            RegistryNewer: (`registry_newer`) when a later version of this tool wrote it.
            RegistryLocked: (`registry_locked`) when it was busy for longer than the timeout.
            RegistryFailed: (`registry_failed`) when the system cannot read it.
        """
        database_file.require_file(path)
        connection = Connection(path, busy_timeout=busy_timeout)
        with connection.closed_on_error():
            database_file.check_application_id(connection)
            if not as_it_is:
                connection.settle()
                database_file.migrate_file(connection)
        return cls(connection)

    @classmethod
    def peek(cls, path: Path, *, busy_timeout: timedelta) -> Self:
        """Open an existing registry only to look: its file is never written to.

        Raises:
            RegistryFailed: (`registry_failed`) also when only `open` can make it readable: a
                command was interrupted, or its tables are of an older version.
            IssuerError: everything else as `open`.
        """
        database_file.require_file(path)
        connection = Connection(path, busy_timeout=busy_timeout, read_only=True)
        with connection.closed_on_error():
            database_file.check_application_id(connection)
            database_file.require_up_to_date(connection)
        return cls(connection)

    @property
    def id(self) -> str:
        """What was given to `create`."""
        with self.reading() as db:
            sql = "SELECT value FROM about WHERE name = 'registry_id'"
            registry_id = db.value(text, sql)
        if registry_id is None:
            raise damaged(self._connection.path, "has no id")
        return registry_id

    @property
    def path(self) -> Path:
        """Its file."""
        return self._connection.path

    @property
    def tables(self) -> int:
        """The version of its tables: how many migrations made them."""
        return self._connection.number("user_version")

    @property
    def is_up_to_date(self) -> bool:
        """Whether its tables are those of this tool."""
        return self.tables == len(schema.MIGRATIONS)

    @contextmanager
    def reading(self, *, checked: bool = True) -> Iterator[Reading]:
        """One snapshot; commits of others wait, so ask nobody anything inside.

        Args:
            checked: whether the rows that a decision or an export rests on are compared with the
                journal; not where they are only displayed.

        Raises:
            RegistryLocked: (`registry_locked`) when it was busy for longer than the timeout.
            RegistryMisuse: (`registry_misuse`) inside another transaction.
        """
        connection = self._connection
        connection.begin("BEGIN")
        db = Reading(connection, checked=checked)
        try:
            # Takes the snapshot, and the lock that every later read relies on.
            connection.wait_for("SELECT 1 FROM sqlite_schema LIMIT 1").close()
            connection.run("PRAGMA query_only = ON")
            yield db
        finally:
            db.end()
            connection.roll_back()
            connection.run("PRAGMA query_only = OFF")

    @contextmanager
    def writing(self, *, now: datetime, actor: Actor) -> Iterator[Writing]:
        """The one writer: committed when the block ends, undone on any exception.

        Args:
            now: the instant of every row written here, aware.
            actor: who acts.

        Raises:
            RegistryLocked: (`registry_locked`) when another kept it busy for too long.
            RegistryMisuse: (`registry_misuse`) for a change that was not journalled.
            RegistryDamaged: (`registry_damaged`) when earlier rows break a rule of their table.
            RegistryChanged: (`registry_changed`) when another file was restored in its place.
            RegistryDamaged: (`registry_damaged`) when its tables, indexes or triggers are not
                those of this tool, or a row that was written is not there before the COMMIT.
        """
        with self._transaction(database_file.require_as_made, now=now, actor=actor) as db:
            yield db

    @contextmanager
    def _transaction(
        self, judge: Callable[[Connection], None], *, now: datetime, actor: Actor
    ) -> Iterator[Writing]:
        """A write transaction, once `judge` lets the file pass: nothing changes in between."""
        connection = self._connection
        connection.begin("BEGIN IMMEDIATE")
        db = Writing(connection, now=now, actor=actor)
        try:
            connection.require_in_place()
            judge(connection)
            yield db
            db.end()
            connection.wait_for("COMMIT")
        except BaseException as error:
            Reading.end(db)
            connection.roll_back()
            if isinstance(error, RegistryMisuse):
                self._require_sound(error)
            raise

    def _require_sound(self, error: RegistryMisuse) -> None:
        """Report damage if earlier rows break a rule: then the command that writes has no bug.

        Raises:
            RegistryDamaged: (`registry_damaged`) when they do.
        """
        with self.reading() as db:
            problems = sqlite_problems(db)
        if problems:
            raise damaged(self.path, f"is damaged: {problems[0]}") from error

    def close(self) -> None:
        """Close the file; what was not committed is undone."""
        self._connection.close()

    def __enter__(self) -> Self:
        """Close at the end of the block."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close."""
        self.close()


_MOST = 100


def sqlite_problems(db: Reading) -> tuple[str, ...]:
    """What `integrity_check` and `foreign_key_check` find, one line each; empty when all is well.

    Raises:
        RegistryDamaged: (`registry_damaged`) when the file cannot be read to its end.
    """
    return tuple(islice(_found(db), _MOST))


def _found(db: Reading) -> Iterator[str]:
    for line in db.values(text, f"PRAGMA integrity_check({_MOST})"):
        if line != "ok":
            # It may quote stored text.
            yield "SQLite finds the file damaged: a page, a row or an index is not as it should be"
            break
    for table in db.values(text, "PRAGMA foreign_key_check"):
        yield f"a row of {escape(table)} refers to one that is not there"
