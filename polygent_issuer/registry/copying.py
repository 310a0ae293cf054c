"""Copy a registry from one engine to the other; digests are of values, so they stay the same."""

import sqlite3
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from typing import Final

from polygent_issuer.registry import schema
from polygent_issuer.registry.engine import Change, Connection
from polygent_issuer.registry.errors import FOREIGN, not_copied

# A row comes after those to which it refers.
TABLES: Final = {
    "about": "name",
    "team_settings": "name",
    "keys": "kid",
    "customers": "id",
    "aliases": "slug",
    "customer_names": "id",
    "documents": "id",
    "machines": "id",
    "machine_identities": "id",
    "licenses": "id",
    "outbox": "license_id",
    "seals": "kid",
    "journal": "seq",
    "row_journal": "name",
}
"""The tables with content, each with its key."""


def write_file(source: Connection, path: Path, *, named: Path, then: Iterable[Change] = ()) -> None:
    """Write the registry of an open transaction to an empty SQLite file, as `copy_into`."""
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=rw", uri=True)) as copy:
            # An incomplete copy is removed, so it needs no journal.
            copy.execute("PRAGMA journal_mode = OFF")
            copy.execute("PRAGMA synchronous = OFF")
            schema.define_functions(copy)
            copy.execute(f"PRAGMA application_id = {schema.APPLICATION_ID}")
            for version in range(len(schema.MIGRATIONS)):
                schema.migrate(copy.execute, version)
            for table, key in TABLES.items():
                columns = [row[1] for row in copy.execute(f"PRAGMA table_info({table})")]
                names, marks = ", ".join(columns), ", ".join("?" * len(columns))
                rows = source.stream(f"SELECT {names} FROM {table} ORDER BY {key}")  # noqa: S608  # names of our own
                copy.executemany(f"INSERT INTO {table} ({names}) VALUES ({marks})", rows)  # noqa: S608  # the same
            for sql, several in then:
                copy.executemany(sql, several)
            copy.commit()
    except FOREIGN as error:
        raise not_copied(error, source.place, named) from error
