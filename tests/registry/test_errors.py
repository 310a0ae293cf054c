"""Translation of SQLite's errors: each becomes an error with a hint, without stored text."""

import sqlite3
from pathlib import Path
from typing import TYPE_CHECKING, cast

import pytest
from support.registries import NOW, fill, writing

from polygent_issuer.errors import ExitCode
from polygent_issuer.registry import Registry, journal, journal_check, machines
from polygent_issuer.registry.errors import (
    RegistryDamaged,
    RegistryFailed,
    RegistryLocked,
    RegistryMisuse,
    Taken,
    translate,
)

if TYPE_CHECKING:
    from polygent_issuer.registry.sqlite import SqliteConnection

PATH = Path("/home/ada/registry\x1b.db")


def sqlite_error(kind: type[sqlite3.Error], name: str) -> sqlite3.Error:
    """Return an error of the sqlite3 module with a result code and stored text in its message."""
    error = kind("Globex" if kind is not sqlite3.IntegrityError else "rule failed: licenses.id")
    error.sqlite_errorname = name
    error.sqlite_errorcode = getattr(sqlite3, name)
    return error


@pytest.mark.parametrize(
    ("kind", "name", "expected"),
    [
        (sqlite3.OperationalError, "SQLITE_BUSY", RegistryLocked),
        (sqlite3.OperationalError, "SQLITE_BUSY_SNAPSHOT", RegistryLocked),
        (sqlite3.OperationalError, "SQLITE_LOCKED", RegistryLocked),
        (sqlite3.DatabaseError, "SQLITE_CORRUPT", RegistryDamaged),
        (sqlite3.DatabaseError, "SQLITE_CORRUPT_INDEX", RegistryDamaged),
        (sqlite3.DatabaseError, "SQLITE_NOTADB", RegistryDamaged),
        (sqlite3.OperationalError, "SQLITE_ERROR", RegistryDamaged),
        (sqlite3.OperationalError, "SQLITE_FULL", RegistryFailed),
        (sqlite3.OperationalError, "SQLITE_IOERR_FSYNC", RegistryFailed),
        (sqlite3.OperationalError, "SQLITE_READONLY", RegistryFailed),
        (sqlite3.OperationalError, "SQLITE_CANTOPEN", RegistryFailed),
        (sqlite3.IntegrityError, "SQLITE_CONSTRAINT_UNIQUE", Taken),
        (sqlite3.IntegrityError, "SQLITE_CONSTRAINT_PRIMARYKEY", Taken),
        (sqlite3.IntegrityError, "SQLITE_CONSTRAINT_CHECK", RegistryMisuse),
        (sqlite3.IntegrityError, "SQLITE_CONSTRAINT_FOREIGNKEY", RegistryMisuse),
        (sqlite3.IntegrityError, "SQLITE_CONSTRAINT_TRIGGER", RegistryMisuse),
    ],
)
def test_each_result_code_has_its_error(
    kind: type[sqlite3.Error], name: str, expected: type[Exception]
) -> None:
    """The primary result code decides on the error."""
    error = translate(sqlite_error(kind, name), PATH)
    assert type(error) is expected
    assert "Globex" not in error.message
    assert "\x1b" not in error.message
    if error.exit_code is ExitCode.REGISTRY:
        assert error.hint
        assert "registry\\x1b.db" in error.message


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (sqlite3.OperationalError("Could not decode to UTF-8 'Globex'"), RegistryDamaged),
        (sqlite3.ProgrammingError("Cannot operate on a closed database."), RegistryMisuse),
        (sqlite3.InterfaceError("bad parameter or other API misuse"), RegistryMisuse),
        (UnicodeDecodeError("utf-8", b"\xff", 0, 1, "bad"), RegistryDamaged),
        (MemoryError(), RegistryFailed),
    ],
)
def test_errors_without_a_result_code(error: Exception, expected: type[Exception]) -> None:
    """Errors of Python without a result code are translated, too."""
    assert type(translate(error, PATH)) is expected


@pytest.mark.sqlite("its pages")
def test_a_full_disk_is_an_error_and_leaves_nothing(registry: Registry) -> None:
    """A full file (SQLite's page limit) is an error with a hint; the next write works."""
    fill(registry)
    connection = cast("SqliteConnection", registry.connection)
    pages = connection.number("page_count")
    connection.number(f"max_page_count = {pages + 2}")
    with pytest.raises(RegistryFailed, match="SQLITE_FULL") as caught, writing(registry) as db:
        machines.add_document(db, b"x" * 400_000, "f" * 64, NOW)
    assert caught.value.hint == "free space on that disk, then run the command again"
    with writing(registry) as db:
        db.insert("about", name="small", value="x")
    with registry.reading() as read:
        assert journal_check.verify(read).problems == ()
        assert journal.head(read)[0] == 4


def test_a_folder_that_is_not_writable_is_an_error(registry: Registry, path: Path) -> None:
    """Nothing is written without a rollback journal."""
    blocked = Path(f"{path}-journal")
    blocked.mkdir()
    with pytest.raises(RegistryFailed) as caught, writing(registry) as db:
        db.insert("about", name="small", value="x")
    assert caught.value.hint
    blocked.rmdir()
