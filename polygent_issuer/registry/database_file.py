"""The file of the registry: made private, known as ours, its tables as this tool makes them.

A trigger that was dropped lets the journal be edited; one that was added runs with our writes.
"""

import os
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing, suppress
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Final

from polygent_issuer import files
from polygent_issuer.files import disk
from polygent_issuer.files.ownership import LOOK_FOR_CHANGES, require_unexposed
from polygent_issuer.hints import Hint, run
from polygent_issuer.registry import schema
from polygent_issuer.registry.connection import BESIDE, Connection
from polygent_issuer.registry.errors import (
    RegistryDamaged,
    RegistryExists,
    RegistryFailed,
    RegistryMissing,
    RegistryNewer,
    damaged,
    display_path,
    tampered,
)
from polygent_issuer.registry.records import Row
from polygent_issuer.text import escape


def make_private(path: Path) -> None:
    """Make the file 0600 before SQLite touches it; an empty one is a creation that broke off.

    Raises:
        RegistryFailed: (`registry_failed`) when the folder is missing or not writable.
    """
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0)
    try:
        try:
            os.close(os.open(path, flags, 0o600))
        except FileExistsError:
            if path.is_file() and path.stat().st_size == 0:
                disk.make_private(path, 0o600)
    except OSError as error:
        raise _unusable(path, error) from error


def connect_blank(path: Path, *, busy_timeout: timedelta) -> Connection:
    """A connection to a file that holds nothing yet, made if need be.

    Raises:
        RegistryExists: (`registry_exists`) when it holds anything, of whatever kind.
        RegistryFailed: (`registry_failed`) when it cannot be made.
        UnsafeFile: (`unsafe_file`) as `require_safe`.
    """
    make_private(path)
    require_file(path)
    try:
        connection = Connection(path, busy_timeout=busy_timeout)
        with connection.closed_on_error():
            require_blank(connection)
    except RegistryDamaged:
        raise _exists(path) from None
    return connection


def require_file(path: Path) -> None:
    """Refuse a missing registry, or one that another user can change, before SQLite opens it.

    Raises:
        UnsafeFile: (`unsafe_file`) as `require_safe`.
        RegistryMissing: (`registry_missing`) when there is no file.
        RegistryFailed: (`registry_failed`) when the folder cannot be read.
    """
    try:
        require_safe(path)
    except FileNotFoundError:
        raise RegistryMissing(
            f"there is no registry at {display_path(path)}",
            hint=Hint(run("registry", "restore", "BACKUP"), "; in a new home: ", run("init")),
        ) from None
    except OSError as error:
        raise _unusable(path, error) from error


def require_safe(path: Path) -> None:
    """Refuse a registry that another user can change.

    The files that SQLite puts next to it count too: a journal that another user left there would
    be applied to it. So does the folder of a link's target. Otherwise its folder is the home.

    Raises:
        UnsafeFile: (`unsafe_file`) when another user owns one of them or may write to it.
        OSError: when there is no file, or it cannot be examined.
    """
    real = Path(os.path.realpath(path))  # as SQLite does
    require_unexposed(real, "registry", then=LOOK_FOR_CHANGES)
    if real.parent != Path(os.path.realpath(path.parent)):  # else it is the home, checked before
        require_unexposed(real.parent, "registry's folder", then=LOOK_FOR_CHANGES)
    for suffix in BESIDE:
        with suppress(FileNotFoundError):
            require_unexposed(Path(f"{real}{suffix}"), "registry's file")


def _is_blank(connection: Connection) -> bool:
    with closing(connection.wait_for("SELECT 1 FROM sqlite_schema LIMIT 1")) as cursor:
        return not connection.fetch(cursor, 1) and connection.number("application_id") == 0


def require_blank(connection: Connection) -> None:
    """Refuse a file that holds anything.

    Raises:
        RegistryExists: (`registry_exists`) when it does.
    """
    if not _is_blank(connection):
        raise _exists(connection.path)


def check_application_id(connection: Connection) -> None:
    """Refuse a file that is no registry, or one that this version cannot know.

    Raises:
        RegistryMissing: (`registry_missing`) for a creation that broke off.
        RegistryDamaged: (`registry_damaged`) for another program's database.
        RegistryNewer: (`registry_newer`) for one that a later version wrote.
    """
    path = connection.path
    if connection.number("application_id") != schema.APPLICATION_ID:
        if _is_blank(connection):
            raise RegistryMissing(
                f"the registry {display_path(path)} is empty: its creation was interrupted",
                hint=Hint(
                    run("init"),
                    "; if it once held licenses: ",
                    run("registry", "restore", "BACKUP"),
                ),
            )
        raise damaged(path, "is another program's database")
    version = connection.number("user_version")
    if version < 0:
        raise damaged(path, f"is damaged: its tables cannot be version {version}")
    if version > len(schema.MIGRATIONS):
        raise RegistryNewer(
            f"the registry {display_path(path)} was written by a newer polygent-issue "
            f"(its tables are version {version}, this one knows {len(schema.MIGRATIONS)})",
            hint="use that version of polygent-issue",
        )


def require_as_made(connection: Connection) -> None:
    """Refuse to write to a file whose tables, indexes and triggers are not those of this tool.

    Raises:
        RegistryDamaged: (`registry_damaged`) with the names of the first that are not.
        RegistryMissing, RegistryNewer: as `check_application_id`.
    """
    check_application_id(connection)
    require_schema(connection)


def require_up_to_date(connection: Connection) -> None:
    """Refuse a file whose tables are older than this tool's.

    Raises:
        RegistryFailed: (`registry_failed`) when they are.
    """
    if connection.number("user_version") < len(schema.MIGRATIONS):
        raise RegistryFailed(
            f"the tables of the registry {display_path(connection.path)} are of an older version",
            hint=Hint("any other command brings them up to date: ", run("customer", "list")),
        )


def migrate_file(connection: Connection, *, keep: bool = True) -> None:
    """Apply the migrations that are missing, each in one transaction.

    Whoever called closes the connection on an error, which undoes the one that failed.

    Args:
        keep: whether a copy from before each migration stays beside the file, as `.before-vN`.

    Raises:
        OutputProblem: (`output_failed`) when that copy cannot be written; nothing changed then.
        RegistryDamaged: (`registry_damaged`) when it is not as the earlier version made it.
        RegistryLocked: (`registry_locked`) when another process holds it for too long.
    """
    while connection.number("user_version") < len(schema.MIGRATIONS):
        connection.begin("BEGIN IMMEDIATE")
        require_as_made(connection)
        version = connection.number("user_version")
        # Another process may have migrated while this one waited.
        if version < len(schema.MIGRATIONS):
            if keep and version:  # one of version 0 holds nothing
                _keep_copy(connection, version + 1)
            schema.migrate(connection.run, version)
        connection.wait_for("COMMIT").close()


def free_name(path: Path) -> Path:
    """The path, or with a number at its end the first that names nothing yet."""
    number, free = 1, path
    while os.path.lexists(free):
        number += 1
        free = path.with_name(f"{path.name}-{number}")
    return free


def _keep_copy(connection: Connection, version: int) -> None:
    """Copy the registry as it is before the migration to a version, within its transaction."""
    path = connection.path
    target = free_name(path.with_name(f"{path.name}.before-v{version}"))
    # One that writes cannot copy: SQLite refuses that to whoever has the lock.
    reader = Connection(path, busy_timeout=timedelta(), read_only=True)
    try:
        prepared = files.prepare_with(lambda temp: reader.copy_into(temp, named=target), target)
    finally:
        reader.close()
    try:
        prepared.publish(target.name)
    finally:
        prepared.discard()


def _exists(path: Path) -> RegistryExists:
    return RegistryExists(
        f"there is something at {display_path(path)} already", hint="choose another --home"
    )


def _unusable(path: Path, error: OSError) -> RegistryFailed:
    return RegistryFailed(
        f"the registry {display_path(path)} cannot be opened: {error.strerror}",
        hint="make the file and its folder yours: readable and writable",
    )


# The tables of statistics that ANALYZE makes are left out. Nothing else is: who writes the schema
# directly can give a trigger the name of a table, or one that begins like SQLite's own.
STATEMENTS: Final = """SELECT type, name, tbl_name, sql FROM sqlite_schema
    WHERE (type, sql) IS NOT ('table', 'CREATE TABLE sqlite_stat1(tbl,idx,stat)')
    AND (type, sql) IS NOT ('table', 'CREATE TABLE sqlite_stat4(tbl,idx,neq,nlt,ndlt,sample)')"""
_NAMED: Final = 3
_MOST_OBJECTS: Final = 10_000


def require_schema(connection: Connection) -> None:
    """Refuse to write where a table, index, view or trigger is missing, changed or added.

    To be asked within the transaction that writes, so that nothing changes in between.

    Raises:
        RegistryDamaged: (`registry_damaged`) with the names of the first of them.
    """
    version = connection.number("user_version")
    with closing(connection.run(STATEMENTS)) as cursor:
        present = connection.fetch(cursor, _MOST_OBJECTS)
    expected = as_made(version)
    if len(present) == len(expected) and set(present) == set(expected):
        return
    problems = tuple(differences(present, version))
    more = f"; and {len(problems) - _NAMED} more" if len(problems) > _NAMED else ""
    older = version < len(schema.MIGRATIONS)
    raise tampered(connection.path, "; ".join(problems[:_NAMED]) + more, older=older)


def as_made(version: int | None = None) -> tuple[Row, ...]:
    """What `STATEMENTS` selects where this tool made the tables.

    Args:
        version: the `user_version` to stop at; the present one when not given.
    """
    return _made_by(schema.MIGRATIONS[:version])


@cache
def _made_by(migrations: tuple[schema.Migration, ...]) -> tuple[Row, ...]:
    with closing(sqlite3.connect(":memory:")) as blank:
        for migration in migrations:
            for statement in migration.statements:
                blank.execute(statement)
        return tuple(blank.execute(STATEMENTS).fetchall())


def differences(present: Iterable[Row], version: int | None = None) -> Iterator[str]:
    """One line for whatever is missing, changed or added.

    Args:
        present: what `STATEMENTS` selects in the file that is judged.
        version: as for `as_made`.
    """
    foreign, missing = list(present), []
    for row in as_made(version):
        if row in foreign:
            foreign.remove(row)  # the same row once more would be one too many
        else:
            missing.append(row)
    changed = {str(row[1]) for row in foreign}
    for name in sorted(changed | {str(row[1]) for row in missing}):
        if name in changed:
            yield f"{escape(name)} is not a table, index or trigger as this tool makes it"
        else:
            yield f"{name} is missing among the tables, indexes and triggers"
