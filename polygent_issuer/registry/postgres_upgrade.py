"""Upgrade the tables of a registry in PostgreSQL to the version of this tool."""

from collections.abc import Callable, Iterable
from typing import Final

from polygent_issuer.errors import HomeProblem
from polygent_issuer.hints import Hint, run
from polygent_issuer.registry import postgres_schema, schema
from polygent_issuer.registry.engine import Connection
from polygent_issuer.registry.errors import Place, display_place, require_known, tampered

_AS_OWNER: Final = """SELECT format('SET LOCAL ROLE %I', pg_get_userbyid(nspowner))
    FROM pg_namespace WHERE nspname = 'polygent'"""


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
        require_known(connection.place, version)
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
