"""Restore a backup into a database, in one transaction.

The schema `polygent` is renamed and kept, and a new one is filled with the rows of the backup. It
gets the owner of the old one, and its grants; the old one is for the owner alone. Commands that
write wait for the advisory lock, and then find the new journal. Commands that read see the old rows
up to the COMMIT: before it, an exclusive lock waits for the end of their snapshots.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Final

from polygent_issuer.registry import copying
from polygent_issuer.registry.backup import CheckedBackup
from polygent_issuer.registry.engine import Connection

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


@contextmanager
def replaced(
    connection: Connection, candidate: CheckedBackup, now: datetime
) -> Iterator[str | None]:
    """Replace the tables in the open transaction; yield the name of the kept schema, if any.

    The caller writes the journal row in the block.
    """
    kept = _set_aside(connection, now)
    if kept:
        _, owner = connection.first(_OWNER, (kept,))
        if owner:
            connection.run(f"SET LOCAL ROLE {owner[0]!s}").close()
    connection.create_tables()
    with candidate.registry.reading(checked=False):
        copying.fill_database(candidate.registry.connection, connection)
    if kept:
        for sql in (_GRANTS, _REVOCATIONS):
            for (change,) in list(connection.stream(sql, (kept,))):
                connection.run(str(change)).close()
    yield kept
    if kept and connection.first("SELECT to_regclass(?)", (f"{kept}.tables",))[1] != (None,):
        connection.run(f"LOCK TABLE {kept}.tables IN ACCESS EXCLUSIVE MODE").close()


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
