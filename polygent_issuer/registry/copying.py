"""Copy a registry from one engine to the other; digests are of values, so they stay the same."""

import sqlite3
from collections.abc import Iterable
from contextlib import closing
from itertools import zip_longest
from pathlib import Path
from typing import Final

from polygent_issuer.registry import schema
from polygent_issuer.registry.engine import Change, Connection, inserting
from polygent_issuer.registry.errors import FOREIGN, damaged, display_place, not_copied

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
_NUMBERED: Final = ("customers", "customer_names", "documents", "machines", "machine_identities")
# The engine computes the other columns of the journal.
_JOURNAL: Final = ("seq", "previous", "bytes", "hash", "server_user")


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
            for table in TABLES:
                columns = _columns(source, table)
                rows = source.stream(select(source, table))
                copy.executemany(inserting(table, columns), rows)
            for sql, several in then:
                copy.executemany(sql, several)
            copy.commit()
    except FOREIGN as error:
        raise not_copied(error, source.place, named) from error


def fill_database(source: Connection, target: Connection) -> None:
    """Copy the rows of an open transaction into the empty tables of a database."""
    for table in TABLES:
        columns = _columns(source, table)
        target.run_many(inserting(table, columns), source.stream(select(source, table)))
    for table in _NUMBERED:
        sequence = f"pg_get_serial_sequence('polygent.{table}', 'id')"
        target.first(f"SELECT setval({sequence}, coalesce(max(id), 0) + 1, false) FROM {table}")  # noqa: S608  # of our own
    for table in TABLES:
        target.run(f"ANALYZE {table}").close()
    require_equal(source, target)


def require_equal(source: Connection, copy: Connection) -> None:
    """Compare all rows of two open transactions; `registry_damaged` if they differ."""
    for table in TABLES:
        sql = select(source, table)
        if any(one != other for one, other in zip_longest(source.stream(sql), copy.stream(sql))):
            what = f"differs in the table {table} from {display_place(source.place)}"
            raise damaged(copy.place, what)


def _columns(connection: Connection, table: str) -> tuple[str, ...]:
    return _JOURNAL if table == "journal" else connection.columns(table)


def select(connection: Connection, table: str) -> str:
    """Return the statement that reads all stored values of a table, in the order of its key."""
    names = ", ".join(_columns(connection, table))
    return f"SELECT {names} FROM {table} ORDER BY {TABLES[table]}"  # noqa: S608  # of our own
