"""Are the tables, indexes, views and triggers of a file those that this tool makes?

A trigger that was dropped lets the journal be edited; one that was added runs with our writes.
"""

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing
from functools import cache
from typing import Final

from polygent_issuer.registry import schema
from polygent_issuer.registry.columns import Row
from polygent_issuer.registry.connection import Connection
from polygent_issuer.registry.sqlite_errors import tampered
from polygent_issuer.text import escape

# The tables of statistics that ANALYZE makes are left out. Nothing else is: who writes the schema
# directly can give a trigger the name of a table, or one that begins like SQLite's own.
STATEMENTS: Final = """SELECT type, name, tbl_name, sql FROM sqlite_schema
    WHERE (type, sql) IS NOT ('table', 'CREATE TABLE sqlite_stat1(tbl,idx,stat)')
    AND (type, sql) IS NOT ('table', 'CREATE TABLE sqlite_stat4(tbl,idx,neq,nlt,ndlt,sample)')"""
_NAMED: Final = 3
_MOST: Final = 10_000


def require_as_made(connection: Connection) -> None:
    """Refuse to write where a table, index, view or trigger is missing, changed or added.

    To be asked within the transaction that writes, so that nothing changes in between.

    Raises:
        RegistryDamaged: (`registry_damaged`) with the names of the first of them.
        IssuerError: each failure of SQLite as `failures` maps it.
    """
    version = connection.number("user_version")
    with closing(connection.run(STATEMENTS)) as cursor:
        present = connection.fetch(cursor, _MOST)
    expected = as_made(version)
    if len(present) == len(expected) and set(present) == set(expected):
        return
    found = tuple(differences(present, version))
    more = f"; and {len(found) - _NAMED} more" if len(found) > _NAMED else ""
    older = version < len(schema.MIGRATIONS)
    raise tampered(connection.path, "; ".join(found[:_NAMED]) + more, older=older)


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
    found, missing = list(present), []
    for row in as_made(version):
        if row in found:
            found.remove(row)  # the same row once more would be one too many
        else:
            missing.append(row)
    changed = {str(row[1]) for row in found}
    for name in sorted(changed | {str(row[1]) for row in missing}):
        if name in changed:
            yield f"{escape(name)} is not a table, index or trigger as this tool makes it"
        else:
            yield f"{name} is missing among the tables, indexes and triggers"
