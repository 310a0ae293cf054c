"""Are the tables, indexes, views and triggers of a file those that this tool makes?

A trigger that was dropped lets the journal be edited; one that was added runs with our writes.
"""

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing
from typing import Final

from polygent_issuer.registry import schema
from polygent_issuer.registry.columns import Row
from polygent_issuer.text import shown

# Statistics, which SQLite may add by itself, are left out. Nothing else is: who writes the schema
# directly can give a trigger the name of a table, or one that begins like SQLite's own.
STATEMENTS: Final = """SELECT type, name, tbl_name, sql FROM sqlite_schema
    WHERE NOT (type = 'table' AND name IN ('sqlite_stat1', 'sqlite_stat4'))"""


def as_made(version: int | None = None) -> tuple[Row, ...]:
    """What `STATEMENTS` selects where this tool made the tables.

    Args:
        version: the `user_version` to stop at; the present one when not given.
    """
    steps = len(schema.MIGRATIONS) if version is None else version
    with closing(sqlite3.connect(":memory:")) as blank:
        for step in range(steps):
            schema.migrate(blank.execute, step)
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
            yield f"{shown(name)} is not a table, index or trigger as this tool makes it"
        else:
            yield f"{name} is missing among the tables, indexes and triggers"
