"""The tables of the store, and their rows as values; times are microseconds since 1970 UTC."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final, TypeVar

from ..verifier.license import MAX_EXP
from .store import FIRST, LAST, from_moment

_Kind = TypeVar("_Kind")

APPLICATION_ID: Final = 0x50474C53
"""`PGLS` in the file's header: no other application's file is taken for a store."""

SCHEMA_VERSION: Final = 1

OLDEST_SQLITE: Final = (3, 37)
"""It has STRICT tables."""

SMALLEST: Final = 512
"""Bytes of the smallest database; SQLite would write over a file that has fewer."""

PRAGMAS: Final = (
    "trusted_schema = OFF",
    "foreign_keys = ON",
    "synchronous = EXTRA",
    "fullfsync = ON",  # on macOS fsync alone leaves data in the disk's cache
)

SCHEMA: Final = (
    """CREATE TABLE installation (
        number INTEGER PRIMARY KEY,
        license_id TEXT NOT NULL UNIQUE,
        file BLOB NOT NULL,
        sub TEXT NOT NULL,
        scope TEXT NOT NULL,
        iat INTEGER NOT NULL,
        replaces TEXT NOT NULL,
        at INTEGER NOT NULL,
        by TEXT NOT NULL
    ) STRICT""",
    """CREATE TABLE kept (
        one INTEGER PRIMARY KEY CHECK (one = 1),
        in_force TEXT REFERENCES installation (license_id),
        last_seen INTEGER,
        tampered INTEGER NOT NULL CHECK (tampered IN (0, 1)),
        last_run INTEGER
    ) STRICT""",
    """CREATE TABLE sent_milestone (
        license_id TEXT NOT NULL,
        days INTEGER NOT NULL,
        PRIMARY KEY (license_id, days)
    ) STRICT""",
    """CREATE TABLE install_log (
        number INTEGER PRIMARY KEY AUTOINCREMENT,
        at INTEGER NOT NULL,
        by TEXT NOT NULL,
        license_id TEXT,
        customer TEXT,
        outcome TEXT NOT NULL
    ) STRICT""",
    "INSERT INTO kept VALUES (1, NULL, NULL, 0, NULL)",
    f"PRAGMA application_id = {APPLICATION_ID}",
    f"PRAGMA user_version = {SCHEMA_VERSION}",
)


class DamagedStore(Exception):
    """The file has a value that this server never writes. The text names table, row and column."""


@dataclass(frozen=True, slots=True)
class StoredRow:
    """A row of a table: its number, and its columns by name.

    In a damaged file any of them may have any type. Each method returns the value of a column.

    Raises:
        DamagedStore: when it has another type, or is out of range.
    """

    table: str
    number: object
    values: Mapping[str, object]

    def text(self, column: str) -> str:
        """Return a text."""
        return self._of(str, column)

    def maybe_text(self, column: str) -> str | None:
        """Return a text or None."""
        return None if self.values[column] is None else self.text(column)

    def blob(self, column: str) -> bytes:
        """Return bytes."""
        return self._of(bytes, column)

    def whole(self, column: str, least: int = 0, most: int = MAX_EXP) -> int:
        """Return an integer from `least` to `most`."""
        value = self._of(int, column)
        if not least <= value <= most:
            raise self._damaged(column)
        return value

    def moment(self, column: str) -> datetime:
        """Return an instant in UTC."""
        return from_moment(self.whole(column, FIRST, LAST))

    def maybe_moment(self, column: str) -> datetime | None:
        """Return an instant in UTC or None."""
        return None if self.values[column] is None else self.moment(column)

    def _of(self, kind: type[_Kind], column: str) -> _Kind:
        value = self.values[column]
        if isinstance(value, kind):
            return value
        raise self._damaged(column)

    def _damaged(self, column: str) -> DamagedStore:
        row = f"row {self.number}" if isinstance(self.number, int) else "a row"
        return DamagedStore(f"{row} of its table {self.table} has an impossible {column}")
