"""The file of a registry in SQLite: create, migrate and rename it."""

import filecmp
import os
from datetime import timedelta
from pathlib import Path

from polygent_issuer.files import disk, publication
from polygent_issuer.registry import schema
from polygent_issuer.registry.customer_names import rows_of_name
from polygent_issuer.registry.errors import RegistryFailed, display_place
from polygent_issuer.registry.sqlite import SqliteConnection


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
        raise unusable(path, error) from error


def migrate_file(connection: SqliteConnection, *, keep: bool = True) -> None:
    """Apply the missing migrations, each in one transaction.

    After an error the caller must close the connection, which undoes the failed migration.

    Args:
        keep: keep a copy from before each migration next to the file, as `.before-vN`;
            `output_failed` if it cannot be written.
    """
    connection.define(schema.NAMES, rows_of_name)
    while connection.tables() < len(schema.MIGRATIONS):
        connection.begin("BEGIN IMMEDIATE")
        connection.require_current()
        version = connection.tables()
        # Another process may have migrated while this one waited.
        if version < len(schema.MIGRATIONS):
            if keep and version:  # a file of version 0 is empty
                _keep_copy(connection.file, version + 1)
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
    disk.sweep(path.parent, temporary)
    # A second connection is needed, because SQLite cannot copy within a write transaction.
    reader = SqliteConnection(path, busy_timeout=timedelta(), read_only=True)
    try:
        prepared = publication.prepare_with(
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


def unusable(path: Path, error: OSError) -> RegistryFailed:
    """Return the error for a file that the system cannot create or examine."""
    return RegistryFailed(
        f"cannot open the registry {display_place(path)}: {error.strerror}",
        hint="make the file and its folder readable and writable for you",
    )
