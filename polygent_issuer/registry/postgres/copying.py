"""Copy a registry from one engine to the other; digests are of values, so they stay the same.

A backup is restored into a database in one transaction (`replaced`). The schema `polygent` is
renamed and kept, and a new one is filled with the rows of the backup. It gets the owner of the old
one, and its grants; the old one is for the owner alone. Commands that write wait for the advisory
lock, and then find the new journal. Commands that read see the old rows up to the COMMIT: before
it, an exclusive lock waits for the end of their snapshots.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime
from itertools import zip_longest
from pathlib import Path
from typing import Final

from polygent_issuer.registry import schema
from polygent_issuer.registry.engine import Change, Connection, inserting
from polygent_issuer.registry.errors import damaged, display_place
from polygent_issuer.registry.sqlite import copying_to

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
_OWNER: Final = """SELECT quote_ident(rolname) FROM pg_namespace JOIN pg_roles
    ON pg_roles.oid = nspowner WHERE nspname = ? AND rolname <> current_user LIMIT 1"""
_GRANTED: Final = """format('GRANT %s ON ' || object || ' TO %s%s', granted.privilege_type || part,
    CASE WHEN granted.grantee = 0 THEN 'PUBLIC' ELSE granted.grantee::regrole::text END,
    CASE WHEN granted.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END)"""
# A line for each grant on an object of the old schema (?) that the new one has, too.
_GRANTS: Final = f"""WITH old AS (SELECT oid, nspowner, nspacl FROM pg_namespace WHERE nspname = ?),
    relations AS (
        SELECT one.oid AS oid, one.relacl AS acl, one.relowner AS owner, other.oid AS new,
            CASE one.relkind WHEN 'S' THEN 'SEQUENCE ' ELSE 'TABLE ' END || 'polygent.'
            || quote_ident(one.relname) AS object
        FROM pg_class AS one JOIN old ON one.relnamespace = old.oid
        JOIN pg_class AS other ON other.relname = one.relname
            AND other.relnamespace = to_regnamespace('polygent') AND other.relkind = one.relkind
        WHERE one.relkind IN ('r', 'S')),
    functions AS (
        SELECT one.proacl AS acl, one.proowner AS owner, 'ROUTINE polygent.'
            || quote_ident(one.proname) || '(' || pg_get_function_identity_arguments(one.oid)
            || ')' AS object
        FROM pg_proc AS one JOIN old ON one.pronamespace = old.oid
        JOIN pg_proc AS other ON other.proname = one.proname AND other.pronamespace =
            to_regnamespace('polygent') AND other.proargtypes = one.proargtypes
        WHERE one.proacl IS NOT NULL)
    SELECT 'REVOKE ALL ON ' || object || ' FROM PUBLIC' FROM functions
    UNION ALL SELECT {_GRANTED} FROM (
        SELECT nspacl AS acl, nspowner AS owner, 'SCHEMA polygent' AS object, '' AS part FROM old
        UNION ALL SELECT acl, owner, object, '' FROM relations
        UNION ALL SELECT acl, owner, object, '' FROM functions
        UNION ALL SELECT one.attacl, owner, object, ' (' || quote_ident(one.attname) || ')'
            FROM relations JOIN pg_attribute AS one ON one.attrelid = relations.oid
            JOIN pg_attribute AS other ON other.attrelid = relations.new
                AND other.attname = one.attname
            WHERE one.attnum > 0 AND NOT one.attisdropped
    ) AS objects, aclexplode(acl) AS granted WHERE granted.grantee <> owner"""  # noqa: S608  # of our own
# A line for each group that could use the old schema: without it, nothing in it can be reached.
_REVOCATIONS: Final = """SELECT DISTINCT format('REVOKE ALL ON SCHEMA %I FROM %s', nspname,
    CASE WHEN grantee = 0 THEN 'PUBLIC' ELSE grantee::regrole::text END)
    FROM pg_namespace, aclexplode(nspacl) WHERE nspname = ? AND grantee <> nspowner"""


def write_file(source: Connection, path: Path, *, named: Path, then: Iterable[Change] = ()) -> None:
    """Write the registry of an open transaction to an empty SQLite file, as `copy_into`."""
    with copying_to(path, source.place, named=named, then=then) as copy:
        schema.create(copy, schema.MIGRATIONS)
        for table in TABLES:
            rows = source.stream(select(source, table))
            copy.executemany(inserting(table, _columns(source, table)), rows)


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


def select(connection: Connection, table: str) -> str:
    """Return the statement that reads all stored values of a table, in the order of its key."""
    names = ", ".join(_columns(connection, table))
    return f"SELECT {names} FROM {table} ORDER BY {TABLES[table]}"  # noqa: S608  # of our own


@contextmanager
def replaced(source: Connection, connection: Connection, now: datetime) -> Iterator[str | None]:
    """Replace the tables in the open transaction; yield the name of the kept schema, if any.

    The caller writes the journal row in the block.

    Args:
        source: the backup, in an open transaction.
    """
    kept = _set_aside(connection, now)
    if kept:
        _, owner = connection.first(_OWNER, (kept,))
        if owner:
            connection.run(f"SET LOCAL ROLE {owner[0]!s}").close()
    connection.create_tables()
    fill_database(source, connection)
    if kept:
        for sql in (_GRANTS, _REVOCATIONS):
            for (change,) in list(connection.stream(sql, (kept,))):
                connection.run(str(change)).close()
    yield kept
    if kept and connection.first("SELECT to_regclass(?)", (f"{kept}.tables",))[1] != (None,):
        connection.run(f"LOCK TABLE {kept}.tables IN ACCESS EXCLUSIVE MODE").close()


def _columns(connection: Connection, table: str) -> tuple[str, ...]:
    return _JOURNAL if table == "journal" else connection.columns(table)


def _set_aside(connection: Connection, now: datetime) -> str | None:
    """Rename the schema; return its new name, or None without one."""
    if connection.first("SELECT to_regnamespace('polygent')::text")[1] == (None,):
        return None
    name, number = f"polygent_before_restore_{now:%Y%m%dt%H%M%Sz}", 1
    kept = name
    while connection.first("SELECT to_regnamespace(?)::text", (kept,))[1] != (None,):
        number += 1
        kept = f"{name}_{number}"
    connection.run(f"ALTER SCHEMA polygent RENAME TO {kept}").close()
    return kept
