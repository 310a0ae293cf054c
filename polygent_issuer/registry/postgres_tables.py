"""Create and upgrade the tables of a registry in PostgreSQL, and refuse missing or older ones."""

from collections.abc import Callable, Iterable
from typing import Final

from polygent_issuer.errors import HomeProblem
from polygent_issuer.registry import postgres_schema, roles, schema
from polygent_issuer.registry.engine import Connection
from polygent_issuer.registry.errors import (
    Place,
    RegistryMissing,
    damaged,
    display_place,
    tampered,
)
from polygent_issuer.registry.records import text as as_text
from polygent_issuer.text import Hint, escape, run

_AS_OWNER: Final = """SELECT format('SET LOCAL ROLE %I', pg_get_userbyid(nspowner))
    FROM pg_namespace WHERE nspname = 'polygent'"""
_CREATOR: Final = """SELECT has_database_privilege(current_database(), 'CREATE'),
    quote_ident(session_user), quote_ident(current_database())"""
# The name of a table in a hidden schema cannot be looked up.
_VISIBLE: Final = "has_schema_privilege(to_regnamespace('polygent'), 'USAGE')"
_HIDDEN: Final = f"""SELECT CASE WHEN {_VISIBLE}
        THEN NOT has_table_privilege(to_regclass('polygent.tables'), 'SELECT')
        ELSE to_regnamespace('polygent') IS NOT NULL END,
    quote_ident(session_user),
    CASE WHEN {_VISIBLE} THEN to_regclass('polygent.tables') IS NOT NULL END"""


def require_creator(connection: Connection) -> None:
    """Check that the user may create a registry in the database (`registry_role`)."""
    _, row = connection.first(_CREATOR)
    allowed, user, database = row or (True, None, None)
    if not allowed:
        user = escape(as_text(user))
        raise HomeProblem(
            f"the user {user} may not create a registry in the database "
            f"{display_place(connection.place)}",
            hint=Hint(
                f"the database's administrator can run: GRANT CREATE ON DATABASE "
                f"{escape(as_text(database))} TO {user}; about roles: ",
                run("help", "team"),
            ),
            code="registry_role",
        )


def missing(connection: Connection) -> HomeProblem:
    """Return the error for tables that do not exist, or that the user may not see.

    The code is `registry_missing`, `registry_role` for a user without any role, or
    `registry_damaged` if only some exist.
    """
    _, row = connection.first(_HIDDEN)
    if row is not None and row[0]:
        return roles.none(connection.place, as_text(row[1]))
    if row is not None and row[2]:
        return damaged(connection.place)
    return RegistryMissing(
        f"the database {display_place(connection.place)} has no registry",
        hint=run("init", "--registry", str(connection.place)),
    )


def require_newest(place: Place, version: int) -> None:
    """Refuse tables of an older version (`registry_older`), which only their owner upgrades."""
    if version < len(schema.MIGRATIONS):
        raise HomeProblem(
            f"the registry {display_place(place)} has the tables of an older polygent-issue "
            f"(version {version}; this tool needs {len(schema.MIGRATIONS)})",
            hint=Hint("let its owner run ", run("registry", "upgrade")),
            code="registry_older",
        )


def upgrade(connection: Connection, note: Callable[[], None]) -> int:
    """Upgrade the tables in one transaction, as their owner; return their earlier version.

    Args:
        note: writes the version and the objects of the upgraded tables.
    """
    connection.begin_writing()
    try:
        version = connection.tables()
        connection.require_known(version)
        if version < len(schema.MIGRATIONS):
            _upgrade(connection, version)
            note()
        connection.commit(None)
    except BaseException:
        connection.roll_back()
        raise
    return version


def _upgrade(connection: Connection, version: int) -> None:
    if problems := connection.schema_problems():
        raise tampered(connection.place, problems[0], older=True)
    # New tables belong to the owner, also if a superuser or a member of the owner upgrades.
    _, row = connection.first(_AS_OWNER)
    execute(connection, map(str, row or ()))
    for statements in postgres_schema.CHANGES[version - postgres_schema.FIRST :]:
        execute(connection, statements)


def execute(connection: Connection, statements: Iterable[str]) -> None:
    """Execute statements in the open transaction."""
    for statement in statements:
        connection.run(statement).close()
