"""The rows that one transaction wrote: digested for the journal, read back before the COMMIT.

A trigger can swallow or change a row without an error.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from hashlib import sha256
from itertools import islice
from typing import Any, Final, TypeVar

from polygent_issuer.registry.columns import Row, Value, as_bytes
from polygent_issuer.registry.connection import Connection
from polygent_issuer.registry.digests import chain_hash, row_digests
from polygent_issuer.registry.errors import RegistryDamaged, RegistryMisuse
from polygent_issuer.registry.schema import KEYS
from polygent_issuer.registry.sqlite_errors import damaged, tampered

Key = str | int

_Key = TypeVar("_Key", str, Key)
_CHUNK: Final = 256


class WrittenRows:
    """What a transaction wrote so far.

    Attributes:
        digests: of the rows that the next journal row records, by name; None: deleted.
        files: SHA-256 of each `.lic` among them, in hex, by license.
    """

    def __init__(self, connection: Connection) -> None:
        """Note what is written within the transaction that is open on a connection."""
        self._connection = connection
        self._names: dict[str, tuple[str, ...]] = {}
        self.digests: dict[str, str | None] = {}
        self.files: dict[str, str] = {}
        # What must be there at the COMMIT: rows (None: deleted), journal rows by their hash, and
        # the journal row that `row_journal` names for each row.
        self._rows: list[tuple[str, Key, str | None]] = []
        self._chained: list[tuple[int, bytes]] = []
        self._newest: list[tuple[str, int]] = []

    def note(
        self, table: str, described: tuple[Any, ...], row: Row, *, journaled: bool = True
    ) -> Key:
        """Note what a row is now, as SQLite returned it; its key.

        Args:
            described: its columns, as `Connection.first` gives them.
            journaled: whether the journal records the rows of this table.
        """
        names = self._names.get(table)
        if names is None:
            names = self._names[table] = tuple(column[0] for column in described)
        key = row[names.index(KEYS[table])]
        if not isinstance(key, str | int):
            raise damaged(self._connection.path, "holds a row without a key")
        digest = row_digests(names)(row)
        self._rows.append((table, key, digest))
        if journaled:
            self.digests[f"{table}/{key}"] = digest
            if table == "licenses":
                self.files[str(key)] = sha256(as_bytes(row[names.index("file")])).hexdigest()
        return key

    def note_deleted(self, table: str, key: Key, *, journaled: bool = True) -> None:
        """Note that a row is gone."""
        self._rows.append((table, key, None))
        if journaled:
            self.digests[f"{table}/{key}"] = None

    def chain(self, seq: int, hashed: bytes) -> Iterable[tuple[str, int]]:
        """Note the journal row that records what was written; the new rows of `row_journal`."""
        newest = [(name, seq) for name in self.digests]
        self._chained.append((seq, hashed))
        self._newest += newest
        self.digests.clear()
        self.files.clear()
        return newest

    def mark(self) -> tuple[int, int, int]:
        """Return a mark for `undo`."""
        return len(self._rows), len(self._chained), len(self._newest)

    def undo(self, mark: tuple[int, int, int]) -> None:
        """Forget what was noted since a mark."""
        rows, chained, newest = mark
        del self._rows[rows:], self._chained[chained:], self._newest[newest:]
        self.digests.clear()
        self.files.clear()

    def require_journaled(self) -> None:
        """Check that a journal row records all that was written.

        Raises:
            RegistryMisuse: (`registry_misuse`) for a forgotten `record`.
        """
        if self.digests:
            tables = ", ".join(sorted({name.partition("/")[0] for name in self.digests}))
            raise RegistryMisuse(f"rows of {tables} were written without a journal row")

    def require_kept(self) -> None:
        """Read everything back.

        Raises:
            RegistryDamaged: (`registry_damaged`) when a row is not there as it was written.
        """
        self._require_chained()
        self._require_newest()
        self._require_rows()

    def not_kept(self, table: str) -> RegistryDamaged:
        """Return the error for a row that is not there as it was written."""
        return tampered(
            self._connection.path, f"a row of {table} that was written did not stay as it was"
        )

    def _require_chained(self) -> None:
        if not self._chained:
            return
        first, _ = self._chained[0]
        sql = "SELECT seq, previous, bytes, hash FROM journal WHERE seq >= ? ORDER BY seq"
        stored = (
            (row[0], chain_hash(as_bytes(row[1]), as_bytes(row[2])), row[3])
            for row in self._fetched(sql, (first,))
        )
        if list(stored) != [(seq, hashed, hashed) for seq, hashed in self._chained]:
            raise self.not_kept("journal")

    def _require_newest(self) -> None:
        newest = dict(self._newest)
        for some in _chunks(newest):
            sql = f"SELECT name, seq FROM row_journal WHERE name IN ({_marks(some)})"  # noqa: S608
            if set(self._fetched(sql, some)) != {(name, newest[name]) for name in some}:
                raise self.not_kept("row_journal")

    def _require_rows(self) -> None:
        latest: dict[str, dict[Key, str | None]] = {}
        for table, key, digest in self._rows:
            latest.setdefault(table, {})[key] = digest
        for table, digests in latest.items():
            for some in _chunks(digests):
                stored = self._digests(table, some)
                if any(stored.get(key) != digests[key] for key in some):
                    raise self.not_kept(table)

    def _digests(self, table: str, keys: tuple[Key, ...]) -> dict[Value, str]:
        """The digests of the rows that have these keys, by key."""
        sql = f"SELECT * FROM {table} WHERE {KEYS[table]} IN ({_marks(keys)})"  # noqa: S608  # names of our own
        with closing(self._connection.run(sql, keys)) as cursor:
            names = tuple(column[0] for column in cursor.description)
            place, digest = names.index(KEYS[table]), row_digests(names)
            return {row[place]: digest(row) for row in self._connection.fetch(cursor, len(keys))}

    def _fetched(self, sql: str, params: tuple[Value, ...]) -> Iterator[Row]:
        with closing(self._connection.run(sql, params)) as cursor:
            while rows := self._connection.fetch(cursor, _CHUNK):
                yield from rows


def _chunks(keys: Iterable[_Key]) -> Iterator[tuple[_Key, ...]]:
    rest = iter(keys)
    while some := tuple(islice(rest, _CHUNK)):
        yield some


def _marks(keys: Sequence[object]) -> str:
    return ", ".join("?" * len(keys))
