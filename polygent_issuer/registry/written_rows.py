"""The rows that a transaction writes: their digests for its journal rows, and a check of each."""

from contextlib import closing
from hashlib import sha256
from typing import Final

from polygent_issuer.registry.engine import Connection, in_chunks, marks
from polygent_issuer.registry.errors import RegistryDamaged, RegistryMisuse, damaged, tampered
from polygent_issuer.registry.records import Row, RowKey, Value, as_bytes
from polygent_issuer.registry.row_check import chain_hash, row_digests
from polygent_issuer.registry.schema import JOURNALED, KEYS

_NEWEST: Final = """INSERT INTO row_journal (name, seq) VALUES (?, ?)
    ON CONFLICT (name) DO UPDATE SET seq = excluded.seq"""


class WrittenRows:
    """The rows that a transaction has written so far."""

    def __init__(self, connection: Connection) -> None:
        """Note rows that are written within the open transaction of a connection."""
        self._connection = connection
        # The digests for the next journal row, by name (None: deleted), and those of each `.lic`
        # among them, by license.
        self.digests: dict[str, str | None] = {}
        self.files: dict[str, str] = {}
        # The expected content at the COMMIT: rows with Python's own hash, which only this process
        # can compute (None: deleted), journal rows with their hash, and the journal row in
        # `row_journal` for each row.
        self._rows: list[tuple[str, RowKey, int | None]] = []
        self._chained: list[tuple[int, bytes]] = []
        self._newest: list[tuple[str, int]] = []

    def note(self, table: str, names: tuple[str, ...], row: Row) -> RowKey:
        """Note a written row with its columns; return its key."""
        key = row[names.index(KEYS[table])]
        if not isinstance(key, str | int):
            raise damaged(self._connection.place, "has a row without a key")
        self._rows.append((table, key, hash(row)))
        if table in JOURNALED:
            self.digests[f"{table}/{key}"] = row_digests(names)(row)
            if table == "licenses":
                self.files[str(key)] = sha256(as_bytes(row[names.index("file")])).hexdigest()
        return key

    def note_deleted(self, table: str, key: RowKey) -> None:
        """Note a deleted row."""
        self._rows.append((table, key, None))
        if table in JOURNALED:
            self.digests[f"{table}/{key}"] = None

    def chain(self, seq: int, hashed: bytes) -> None:
        """Note the journal row of the written rows."""
        self._chained.append((seq, hashed))
        self._newest += ((name, seq) for name in self.digests)
        self.digests.clear()
        self.files.clear()

    @property
    def head(self) -> tuple[int, bytes] | None:
        """The number and the hash of the last journal row, if any."""
        return self._chained[-1] if self._chained else None

    def write_newest(self) -> None:
        """Write the newest journal row of each row to `row_journal`."""
        self._connection.run_many(_NEWEST, dict(self._newest).items())

    def mark(self) -> tuple[int, int, int]:
        """Return a mark for `undo`."""
        return len(self._rows), len(self._chained), len(self._newest)

    def undo(self, mark: tuple[int, int, int]) -> set[str]:
        """Forget the notes since a mark; return the names of their rows."""
        rows, chained, newest = mark
        undone = {f"{table}/{key}" for table, key, _ in self._rows[rows:]}
        del self._rows[rows:], self._chained[chained:], self._newest[newest:]
        self.digests.clear()
        self.files.clear()
        return undone

    def require_journaled(self) -> None:
        """Check that a journal row records all written rows; else `registry_misuse`."""
        if self.digests:
            tables = ", ".join(sorted({name.partition("/")[0] for name in self.digests}))
            raise RegistryMisuse(f"rows of {tables} were written without a journal row")

    def require_kept(self) -> None:
        """Read all rows back; `registry_damaged` if one is not as it was written."""
        self._require_chained()
        self._require_newest()
        self._require_rows()

    def not_kept(self, table: str) -> RegistryDamaged:
        """Return the error for a row that is not as it was written."""
        return tampered(
            self._connection.place, f"a row of {table} is missing or different after the write"
        )

    def _require_chained(self) -> None:
        if not self._chained:
            return
        first, _ = self._chained[0]
        sql = "SELECT seq, previous, bytes, hash FROM journal WHERE seq >= ? ORDER BY seq"
        stored = (
            (row[0], chain_hash(as_bytes(row[1]), as_bytes(row[2])), row[3])
            for row in self._connection.stream(sql, (first,))
        )
        if list(stored) != [(seq, hashed, hashed) for seq, hashed in self._chained]:
            raise self.not_kept("journal")

    def _require_newest(self) -> None:
        newest = dict(self._newest)
        for some in in_chunks(newest):
            sql = f"SELECT name, seq FROM row_journal WHERE name IN ({marks(some)})"  # noqa: S608
            if set(self._connection.stream(sql, some)) != {(name, newest[name]) for name in some}:
                raise self.not_kept("row_journal")

    def _require_rows(self) -> None:
        latest: dict[str, dict[RowKey, int | None]] = {}
        for table, key, hashed in self._rows:
            latest.setdefault(table, {})[key] = hashed
        for table, hashes in latest.items():
            for some in in_chunks(hashes):
                stored = self._hashes(table, some)
                if any(stored.get(key) != hashes[key] for key in some):
                    raise self.not_kept(table)

    def _hashes(self, table: str, keys: tuple[RowKey, ...]) -> dict[Value, int]:
        """Return the hashes of the rows with these keys, by key."""
        sql = f"SELECT * FROM {table} WHERE {KEYS[table]} IN ({marks(keys)})"  # noqa: S608  # names of our own
        with closing(self._connection.run(sql, keys)) as cursor:
            place = [column[0] for column in cursor.description].index(KEYS[table])
            return {row[place]: hash(row) for row in self._connection.fetch(cursor, len(keys))}
