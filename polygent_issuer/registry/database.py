"""The registry: one SQLite file, made private and on purpose, known as ours, opened in a few ms."""

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
    """An open registry; transactions are its `with` blocks, one at a time.

    RegistryLocked (`registry_locked`) when another process has it for longer than the timeout.
    """

    def __init__(self, connection: Connection) -> None:
        """Take a connection that `create` or `open` has made sure of."""
        self._connection = connection
        # Of the last transaction: the state of the file, and the rows that were compared.
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
        """Make a registry in one transaction; an interrupted creation is begun anew.

        Args:
            path: the file, `registry_exists` when there is something; its folder exists.
            registry_id: what tells it from any other, for ever.
            busy_timeout: how long to wait for another process.
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
            # Another process may have made it in between.
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
        as_it_is: bool = False,
        read_only: bool = False,
    ) -> Self:
        """Open an existing registry, brought up to this tool's tables; it is never made here.

        Args:
            busy_timeout: how long to wait for another process.
            as_it_is: leave older tables as they are; `is_up_to_date` tells of them.
            read_only: only look: the file is never written to.

        Raises:
            RegistryMissing: (`registry_missing`) when there is none.
            RegistryDamaged: (`registry_damaged`) when the file is something else.
            HomeProblem: (`registry_newer`) when a later version of this tool wrote it.
            RegistryFailed: (`registry_failed`) when the system cannot read it; or if `read_only`,
                when a command was interrupted, or its tables are of an older version.
        """
        require_file(path)
        connection = Connection(path, busy_timeout=busy_timeout, read_only=read_only)
        registry = cls(connection)
        with connection.closed_on_error():
            check_application_id(connection)
            if read_only and not registry.is_up_to_date:
                raise RegistryFailed(
                    f"the tables of the registry {display_path(path)} are of an older version",
                    hint=Hint(
                        "any other command brings them up to date: ", run("customer", "list")
                    ),
                )
            if not (read_only or as_it_is):
                connection.settle()
                migrate_file(connection)
        return registry

    @property
    def id(self) -> str:
        """What was given to `create`."""
        with self.reading() as db:
            registry_id = db.value(text, REGISTRY_ID)
        if registry_id is None:
            raise damaged(self.path, "has no id")
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
        """Open one snapshot; commits of others wait, so ask nobody anything inside.

        Args:
            checked: whether the rows that a decision or an export rests on are compared with the
                journal; not where they are only displayed.
        """
        connection = self._connection
        connection.begin("BEGIN")
        db = Reading(connection, checked=checked)
        try:
            # Takes the snapshot, and the lock that every later read relies on.
            connection.wait_for("SELECT 1 FROM sqlite_schema LIMIT 1").close()
            connection.run("PRAGMA query_only = ON")
            version = connection.number("data_version")
            self._last_check = (version, db.row_check) if checked else None
            yield db
        finally:
            db.end()
            connection.roll_back()
            connection.run("PRAGMA query_only = OFF")

    @contextmanager
    def writing(
        self, *, now: datetime, actor: Actor, judge: Callable[[Connection], None] | None = None
    ) -> Iterator[Writing]:
        """Open the one writer: committed when the block ends, undone on any exception.

        Args:
            judge: refuses the file that now cannot change; it has to be as made when not given.

        Raises:
            RegistryMisuse: (`registry_misuse`) for a change that was not journalled.
            RegistryChanged: (`registry_changed`) when another file was restored in its place.
            RegistryDamaged: (`registry_damaged`) when its tables are not as made, earlier rows
                break a rule, or a row that was written is not there before the COMMIT.
        """
        connection = self._connection
        connection.begin("BEGIN IMMEDIATE")
        db = Writing(connection, now=now, actor=actor)
        last, self._last_check = self._last_check, None
        try:
            connection.require_in_place()
            version = connection.number("data_version")
            # Rows that were compared are as they were, unless another connection committed.
            if last is not None and last[0] == version:
                db.row_check = last[1]
            (judge or _require_as_made)(connection)
            yield db
            db.end()
            connection.wait_for("COMMIT")
            db.row_check.forget_journal()
            self._last_check = version, db.row_check
        except BaseException as error:
            Reading.end(db)
            connection.roll_back()
            if isinstance(error, RegistryMisuse):
                # If earlier rows break a rule, the command that writes has no bug.
                with self.reading() as read:
                    problems = sqlite_problems(read)
                if problems:
                    raise damaged(self.path, f"is damaged: {problems[0]}") from error
            raise

    def close(self) -> None:
        """Close the file; what was not committed is undone."""
        self._connection.close()

    def __enter__(self) -> Self:
        """Close at the end of the block."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close."""
        self.close()


def sqlite_problems(db: Reading) -> tuple[str, ...]:
    """Return what SQLite's own two checks find, one line each; empty when all is well."""

    def problems() -> Iterator[str]:
        for line in db.values(text, f"PRAGMA integrity_check({_MOST_PROBLEMS})"):
            if line != "ok":  # it may quote stored text
                what = "a page, a row or an index is not as it should be"
                yield f"SQLite finds the file damaged: {what}"
                break
        for table in db.values(text, "PRAGMA foreign_key_check"):
            yield f"a row of {escape(table)} refers to one that is not there"

    return tuple(islice(problems(), _MOST_PROBLEMS))


def _is_blank(connection: Connection) -> bool:
    with closing(connection.wait_for("SELECT 1 FROM sqlite_schema LIMIT 1")) as cursor:
        return not connection.fetch(cursor, 1) and connection.number("application_id") == 0


def _require_blank(connection: Connection) -> None:
    if not _is_blank(connection):
        raise _exists(connection.path)


def check_application_id(connection: Connection) -> None:
    """Refuse a file that is no registry, or one that this version cannot know; as `open`."""
    path = connection.path
    if connection.number("application_id") != schema.APPLICATION_ID:
        if _is_blank(connection):
            back = run("registry", "restore", "BACKUP")
            raise RegistryMissing(
                f"the registry {display_path(path)} is empty: its creation was interrupted",
                hint=Hint(run("init"), "; if it once held licenses: ", back),
            )
        raise damaged(path, "is another program's database")
    version = connection.number("user_version")
    if version < 0:
        raise damaged(path, f"is damaged: its tables cannot be version {version}")
    if version > len(schema.MIGRATIONS):
        raise HomeProblem(
            f"the registry {display_path(path)} was written by a newer polygent-issue "
            f"(its tables are version {version}, this one knows {len(schema.MIGRATIONS)})",
            hint="use that version of polygent-issue",
            code="registry_newer",
        )


def _require_as_made(connection: Connection) -> None:
    """Refuse to write where a table, index, view or trigger is missing, changed or added."""
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
    """Apply the migrations that are missing, each in one transaction.

    Whoever called closes the connection on an error, which undoes the one that failed.

    Args:
        keep: whether a copy from before each migration stays beside the file, as `.before-vN`;
            `output_failed` when it cannot be written.
    """
    while connection.number("user_version") < len(schema.MIGRATIONS):
        connection.begin("BEGIN IMMEDIATE")
        _require_as_made(connection)
        version = connection.number("user_version")
        # Another process may have migrated while this one waited.
        if version < len(schema.MIGRATIONS):
            if keep and version:  # one of version 0 holds nothing
                _keep_copy(connection.path, version + 1)
            schema.migrate(connection.run, version)
        connection.wait_for("COMMIT").close()


def free_name(path: Path) -> Path:
    """Return the path, or with a number at its end the first that names nothing yet."""
    number, free = 1, path
    while os.path.lexists(free):
        number += 1
        free = path.with_name(f"{path.name}-{number}")
    return free


def _keep_copy(path: Path, version: int) -> None:
    """Copy a registry as it is before the migration to a version, in whose transaction we are.

    A migration that was killed may have left the same copy, or a part of it.
    """
    target = path.with_name(f"{path.name}.before-v{version}")
    temporary = f".polygent-before-v{version}."
    files.sweep(path.parent, temporary)
    # One that writes cannot copy: SQLite refuses that to whoever has the lock.
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
        f"there is something at {display_path(path)} already",
        hint="choose another --home",
        code="registry_exists",
    )
