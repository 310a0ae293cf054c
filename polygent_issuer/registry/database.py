"""The registry's file: create it explicitly, open and migrate it, begin transactions."""

import filecmp
import os
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

from polygent_issuer import files
from polygent_issuer.errors import HomeProblem
from polygent_issuer.hints import Hint, run
from polygent_issuer.registry import schema
from polygent_issuer.registry.connection import Connection, make_private, require_file
from polygent_issuer.registry.errors import (
    RegistryDamaged,
    RegistryFailed,
    RegistryMissing,
    RegistryMisuse,
    damaged,
    display_path,
    tampered,
)
from polygent_issuer.registry.records import Actor, text
from polygent_issuer.registry.transactions import Reading, Writing
from polygent_issuer.text import escape

if TYPE_CHECKING:
    from polygent_issuer.registry.row_check import RowCheck

REGISTRY_FILE: Final = "registry.db"
BUSY_TIMEOUT: Final = timedelta(seconds=30)
REGISTRY_ID: Final = "SELECT value FROM about WHERE name = 'registry_id'"

_MOST_PROBLEMS: Final = 100
_MOST_OBJECTS: Final = 10_000
_NAMED: Final = 3


class Registry:
    """An open registry; a transaction is a `with` block, and only one can be open.

    If another process locks it for longer than the timeout, RegistryLocked (`registry_locked`) is
    raised.
    """

    def __init__(self, connection: Connection) -> None:
        """Use a connection that `create` or `open` has checked."""
        self._connection = connection
        # The data version of the file after the last transaction, and its compared rows.
        self._last_check: tuple[int, RowCheck] | None = None

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
        """Create a registry in one transaction; an interrupted creation is started again.

        Args:
            path: the new file (`registry_exists` if there is one) in an existing folder.
            registry_id: the permanent id of the registry.
            busy_timeout: the longest time to wait for another process.
        """
        make_private(path)
        require_file(path)
        try:
            connection = Connection(path, busy_timeout=busy_timeout)
            with connection.closed_on_error():
                _require_blank(connection)
        except RegistryDamaged:
            raise _exists(path) from None
        registry = cls(connection)
        with connection.closed_on_error():
            # Another process may have created it in between.
            with registry.writing(now=now, actor=actor, judge=_require_blank) as db:
                db.execute(f"PRAGMA application_id = {schema.APPLICATION_ID}")
                for version in range(len(schema.MIGRATIONS)):
                    schema.migrate(db.execute, version)
                db.insert("about", name="registry_id", value=registry_id)
                db.record("registry-created", details={"registry": registry_id})
            connection.settle()
        return registry

    @classmethod
    def open(
        cls,
        path: Path,
        *,
        busy_timeout: timedelta = BUSY_TIMEOUT,
        migrate: bool = True,
        read_only: bool = False,
    ) -> Self:
        """Open an existing registry and migrate it; never create one.

        Args:
            busy_timeout: the longest time to wait for another process.
            migrate: bring older tables up to date; without it `is_up_to_date` is False for them.
            read_only: never write to the file.

        Raises:
            RegistryMissing: (`registry_missing`) when the file does not exist.
            RegistryDamaged: (`registry_damaged`) when the file is not a registry.
            HomeProblem: (`registry_newer`) when a later version of this tool wrote it.
            RegistryFailed: (`registry_failed`) when the system cannot read it; with `read_only`
                also when a command was interrupted, or the tables are of an older version.
        """
        require_file(path)
        connection = Connection(path, busy_timeout=busy_timeout, read_only=read_only)
        registry = cls(connection)
        with connection.closed_on_error():
            check_application_id(connection)
            if read_only and not registry.is_up_to_date:
                raise RegistryFailed(
                    f"the tables of the registry {display_path(path)} are of an older version",
                    hint=Hint("any other command updates them, such as ", run("customer", "list")),
                )
            if migrate and not read_only:
                connection.settle()
                migrate_file(connection)
        return registry

    @property
    def id(self) -> str:
        """The permanent id that was given to `create`."""
        with self.reading(checked=False) as db:
            registry_id = db.value(text, REGISTRY_ID)
        if registry_id is None:
            raise damaged(self.path, "has no id")
        return registry_id

    @property
    def path(self) -> Path:
        """The registry's file."""
        return self._connection.path

    @property
    def tables(self) -> int:
        """The version of the tables: the number of migrations so far."""
        return self._connection.number("user_version")

    @property
    def is_up_to_date(self) -> bool:
        """True if the tables have the version of this tool."""
        return self.tables == len(schema.MIGRATIONS)

    @contextmanager
    def reading(self, *, checked: bool = True) -> Iterator[Reading]:
        """Open a snapshot. Commits of other processes wait for it, so never prompt within it.

        Args:
            checked: compare rows with the journal before use; False only for display.
        """
        connection = self._connection
        connection.begin("BEGIN")
        db = Reading(connection, checked=checked)
        try:
            # Takes the snapshot and the lock for all later reads.
            connection.wait_for("SELECT 1 FROM sqlite_schema LIMIT 1").close()
            connection.run("PRAGMA query_only = ON")
            if checked:
                version = connection.number("data_version")
                db.row_check = self._compared(version) or db.row_check
                self._last_check = version, db.row_check
            yield db
        finally:
            db.end()
            connection.roll_back()
            connection.run("PRAGMA query_only = OFF")

    @contextmanager
    def writing(
        self, *, now: datetime, actor: Actor, judge: Callable[[Connection], None] | None = None
    ) -> Iterator[Writing]:
        """Open the write transaction: committed at the end of the block, undone on any exception.

        Args:
            judge: checks the file, which now cannot change; default: its tables must be as this
                tool creates them.

        Raises:
            RegistryMisuse: (`registry_misuse`) for a change without a journal row.
            RegistryChanged: (`registry_changed`) when the file was replaced by a restored one.
            RegistryDamaged: (`registry_damaged`) when its tables were changed, earlier rows violate
                a constraint, or a written row is missing before the COMMIT.
        """
        connection = self._connection
        connection.begin("BEGIN IMMEDIATE")
        db = Writing(connection, now=now, actor=actor)
        try:
            connection.require_in_place()
            version = connection.number("data_version")
            db.row_check = self._compared(version) or db.row_check
            self._last_check = None
            (judge or _require_unchanged_schema)(connection)
            yield db
            db.check_written()
            db.end()
            connection.wait_for("COMMIT")
            db.row_check.forget_journal()
            self._last_check = version, db.row_check
        except BaseException as error:
            db.end()
            connection.roll_back()
            if isinstance(error, RegistryMisuse):
                # If earlier rows violate a constraint, this is not a bug of the writing command.
                with self.reading() as read:
                    problems = sqlite_problems(read)
                if problems:
                    raise damaged(self.path, f"is damaged: {problems[0]}") from error
            raise

    def _compared(self, version: int) -> "RowCheck | None":
        """Return the rows that the last transaction compared, if no other connection wrote since.

        `version` is the present data version of the file.
        """
        last = self._last_check
        return None if last is None or last[0] != version else last[1]

    def close(self) -> None:
        """Close the file and undo an open transaction."""
        self._connection.close()

    def __enter__(self) -> Self:
        """Return the registry, which is closed at the end of the block."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the file."""
        self.close()


def sqlite_problems(db: Reading) -> tuple[str, ...]:
    """Run SQLite's integrity and foreign-key checks; return one line per problem."""

    def problems() -> Iterator[str]:
        for line in db.values(text, f"PRAGMA integrity_check({_MOST_PROBLEMS})"):
            if line != "ok":  # it may quote stored text
                yield "SQLite reports a damaged file: a page, a row or an index is invalid"
                break
        for table in db.values(text, "PRAGMA foreign_key_check"):
            yield f"a row of {escape(table)} refers to a missing row"

    return tuple(islice(problems(), _MOST_PROBLEMS))


def _is_blank(connection: Connection) -> bool:
    with closing(connection.wait_for("SELECT 1 FROM sqlite_schema LIMIT 1")) as cursor:
        return not connection.fetch(cursor, 1) and connection.number("application_id") == 0


def _require_blank(connection: Connection) -> None:
    if not _is_blank(connection):
        raise _exists(connection.path)


def check_application_id(connection: Connection) -> None:
    """Refuse a file that is not a registry, or is newer than this tool; errors as `open`."""
    path = connection.path
    if connection.number("application_id") != schema.APPLICATION_ID:
        if _is_blank(connection):
            back = run("registry", "restore", "BACKUP")
            raise RegistryMissing(
                f"the registry {display_path(path)} is empty: its creation was interrupted",
                hint=Hint(run("init"), "; if it once held licenses: ", back),
            )
        raise damaged(path, "is a database of another program")
    version = connection.number("user_version")
    if version < 0:
        raise damaged(path, f"is damaged: its tables have the impossible version {version}")
    if version > len(schema.MIGRATIONS):
        raise HomeProblem(
            f"the registry {display_path(path)} was written by a newer polygent-issue "
            f"(its tables have version {version}; this tool supports {len(schema.MIGRATIONS)})",
            hint="update this tool to that version",
            code="registry_newer",
        )


def _require_unchanged_schema(connection: Connection) -> None:
    """Refuse a file in which a table, index, view or trigger is missing, changed or added."""
    check_application_id(connection)
    version = connection.number("user_version")
    with closing(connection.run(schema.STATEMENTS)) as cursor:
        present = connection.fetch(cursor, _MOST_OBJECTS)
    problems = schema.differences(present, version)
    if problems:
        more = f"; and {len(problems) - _NAMED} more" if len(problems) > _NAMED else ""
        older = version < len(schema.MIGRATIONS)
        raise tampered(connection.path, "; ".join(problems[:_NAMED]) + more, older=older)


def migrate_file(connection: Connection, *, keep: bool = True) -> None:
    """Apply the missing migrations, each in one transaction.

    After an error the caller must close the connection, which undoes the failed migration.

    Args:
        keep: keep a copy from before each migration next to the file, as `.before-vN`;
            `output_failed` if it cannot be written.
    """
    while connection.number("user_version") < len(schema.MIGRATIONS):
        connection.begin("BEGIN IMMEDIATE")
        _require_unchanged_schema(connection)
        version = connection.number("user_version")
        # Another process may have migrated while this one waited.
        if version < len(schema.MIGRATIONS):
            if keep and version:  # a file of version 0 is empty
                _keep_copy(connection.path, version + 1)
            schema.migrate(connection.run, version)
        connection.wait_for("COMMIT").close()


def free_name(path: Path) -> Path:
    """Return the path, or the first one with a number that does not exist."""
    number, free = 1, path
    while os.path.lexists(free):
        number += 1
        free = path.with_name(f"{path.name}-{number}")
    return free


def _keep_copy(path: Path, version: int) -> None:
    """Copy a registry before its migration to a version, within the migration's transaction.

    An interrupted migration may have left the same copy, or a part of it.
    """
    target = path.with_name(f"{path.name}.before-v{version}")
    temporary = f".polygent-before-v{version}."
    files.sweep(path.parent, temporary)
    # A second connection is needed, because SQLite cannot copy within a write transaction.
    reader = Connection(path, busy_timeout=timedelta(), read_only=True)
    try:
        prepared = files.prepare_with(
            lambda temp: reader.copy_into(temp, named=target), target, temp_name=f"{temporary}tmp"
        )
    finally:
        reader.close()
    try:
        copies = path.parent.glob(f"{target.name}*")
        if not any(filecmp.cmp(prepared.temp, copy, shallow=False) for copy in copies):
            prepared.publish(free_name(target).name)
    finally:
        prepared.discard()


def _exists(path: Path) -> HomeProblem:
    return HomeProblem(
        f"{display_path(path)} already exists",
        hint="choose another folder with --home DIR",
        code="registry_exists",
    )
