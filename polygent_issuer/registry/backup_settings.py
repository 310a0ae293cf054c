"""The settings in a backup, for the operator who restores it.

The table `backup_settings` has rows only in a backup. The journal does not record them, so they are
shown before they are used (`delivery.backup_settings`).
"""

from collections.abc import Mapping
from typing import Final

from polygent_issuer.registry.connection import Change
from polygent_issuer.registry.records import text
from polygent_issuer.registry.transactions import Reading, Writing

MAX_SIZE: Final = 256 * 1024
"""The largest total size of names and values, in bytes."""

_ROWS: Final = "SELECT name, value FROM backup_settings ORDER BY rowid"
_SIZE: Final = """SELECT coalesce(sum(length(CAST(name AS BLOB)) + length(CAST(value AS BLOB))), 0)
    FROM backup_settings"""


def changes(rows: Mapping[str, str]) -> tuple[Change, ...]:
    """Return the changes that write the rows into the copy that becomes a backup."""
    return (
        ("DELETE FROM backup_settings", ((),)),
        ("INSERT INTO backup_settings (name, value) VALUES (?, ?)", tuple(rows.items())),
    )


def read(db: Reading) -> Mapping[str, str]:
    """Return the rows in the order in which they were written; `registry_damaged` for too many."""
    size = next(iter(db.execute(_SIZE)))[0]
    if not isinstance(size, int) or size > MAX_SIZE:
        raise db.damaged(f"contains settings of more than {MAX_SIZE} bytes")
    return {text(name): text(value) for name, value in db.execute(_ROWS)}


def clear(db: Writing) -> None:
    """Remove the rows from a restored registry."""
    db.execute("DELETE FROM backup_settings")
