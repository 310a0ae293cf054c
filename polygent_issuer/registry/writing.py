"""The transaction that writes rows, and the journal rows that record them."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from datetime import datetime
from functools import cache
from hashlib import sha256
from typing import Final

from polygent_issuer.registry.engine import Connection, Params, in_chunks, inserting, marks
from polygent_issuer.registry.errors import RegistryDamaged, RegistryMisuse, damaged
from polygent_issuer.registry.reading import Reading
from polygent_issuer.registry.records import (
    Actor,
    Row,
    RowKey,
    Value,
    as_bytes,
    canonical,
    moment_text,
)
from polygent_issuer.registry.row_check import chain_hash, row_digests
from polygent_issuer.registry.schema import JOURNALED, KEYS

_NEWEST: Final = """INSERT INTO row_journal (name, seq) VALUES (?, ?)
    ON CONFLICT (name) DO UPDATE SET seq = excluded.seq"""


@cache
def _updating(table: str, columns: tuple[str, ...], only: str) -> str:
    names = ", ".join(f"{name} = ?" for name in columns)
    where = f"{JOURNALED[table]} = ? AND {only}"
    return f"UPDATE {table} SET {names} WHERE {where}"  # noqa: S608  # names of our own


class Writing(Reading):
    """The write transaction of an `actor` at the instant `now`; every change is in the journal."""

    def __init__(self, connection: Connection, *, now: datetime, actor: Actor) -> None:
        """Write within the transaction of a connection that has just begun."""
        super().__init__(connection, state=connection.state)
        self.now = now
        self.actor = actor
        # The digests for the next journal row, by name (None: deleted), and those of each `.lic`
        # among them, by license.
        self._digests: dict[str, str | None] = {}
        self._files: dict[str, str] = {}
        # The expected content at the COMMIT: rows with Python's own hash, which only this process
        # can compute (None: deleted), journal rows with their hash, and the journal row in
        # `row_journal` for each row.
        self._rows: list[tuple[str, RowKey, int | None]] = []
        self._chained: list[tuple[int, bytes]] = []
        self._listed: list[tuple[str, int]] = []

    @property
    def written_head(self) -> tuple[int, bytes] | None:
        """The number and the hash of the last journal row of this transaction, if any."""
        return self._chained[-1] if self._chained else None

    @property
    def at(self) -> str:
        """The stored form of `now`."""
        return moment_text(self.now)

    def insert(self, table: str, **columns: Value) -> RowKey:
        """Insert a row, noted for the journal if that records the table; return its key.

        Raises:
            Taken: (`taken`) when a unique value already exists.
        """
        self._require_open()
        sql = inserting(table, tuple(columns))
        values, rowid = tuple(columns.values()), columns.get(KEYS[table])
        if KEYS[table] in columns:
            count = self.connection.add(sql, values)
        else:
            count, rowid = self.connection.insert(sql, values, KEYS[table])
        if count != 1:  # a foreign trigger can ignore an insert
            raise self._not_kept(table)
        fields = {KEYS[table]: rowid, **columns}
        # A digest leaves out empty columns, and only rows that are read back need the others.
        reads_back = self.connection.reads_back
        names = self.row_check.columns(table) if reads_back else tuple(fields)
        if table in JOURNALED:
            # Otherwise the new row would hide that a row with this key was deleted by an edit.
            self.row_check.require_new(f"{table}/{fields[KEYS[table]]!s}")
        return self._note(table, names, tuple(map(fields.get, names)))

    def update(self, table: str, key: RowKey, only: str = "TRUE", /, **columns: Value) -> bool:
        """Change a row by its key, noted for the journal; return whether the row exists.

        Args:
            only: a further condition on the row, as trusted SQL.

        Raises:
            Taken: (`taken`) when a unique value already exists.
        """
        # Otherwise the journal would record a change that was made by an edit.
        self.require_recorded(table, key)
        fields = self.row_check.fields(table, key)
        if fields is None:
            return False
        sql = _updating(table, tuple(columns), only)
        count = self.connection.change(sql, (*columns.values(), key))
        if count != 1:
            # A foreign trigger can ignore an update.
            there = f"SELECT 1 FROM {table} WHERE {JOURNALED[table]} = ? AND {only}"  # noqa: S608
            if self._first(there, (key,))[1] is not None:
                raise self._not_kept(table)
            return False
        self._note(table, tuple(fields), tuple({**fields, **columns}.values()))
        return True

    def delete(self, table: str, *keys: RowKey) -> None:
        """Delete rows by their keys, noted for the journal; errors as `update`."""
        self._require_open()
        if table in JOURNALED:
            for key in keys:
                self.require_recorded(table, key)
        sql = f"DELETE FROM {table} WHERE {KEYS[table]} = ?"  # noqa: S608  # names of our own
        self.connection.run_many(sql, ((key,) for key in keys))
        for key in keys:
            self._rows.append((table, key, None))
            if table in JOURNALED:
                self._digests[f"{table}/{key}"] = None
            self._forget(table, key)

    def execute_later(self, sql: str, params: Params) -> None:
        """Execute a statement without result rows, perhaps together with the next one."""
        self._require_open()
        self.connection.run_many(sql, (params,))

    def write_team_settings(self, before: Mapping[str, str], after: Mapping[str, str]) -> None:
        """Write the shared settings that differ; the caller appends the journal row."""
        self.delete("team_settings", *(name for name in before if name not in after))
        for name, value in after.items():
            if name not in before:
                self.insert("team_settings", name=name, value=value)
            elif before[name] != value:
                self.update("team_settings", name, value=value)

    def record(
        self,
        event: str,
        *,
        customer: str | None = None,
        license: str | None = None,
        kid: str | None = None,
        accepted: Iterable[str] = (),
        reason: str | None = None,
        details: Mapping[str, object] | None = None,
    ) -> None:
        """Append a journal row with the digests of the rows that were written since the last one.

        Args:
            event: the kind of change, such as `license-signed`.
            customer, license, kid: the slug, the `jti` and the key that it is about.
            accepted, reason: the codes of accepted findings, and the operator's reason.
            details: further details, for JSON.
        """
        seq, previous = self.head()
        body = canonical(
            {
                "accepted": [str(code) for code in accepted],
                "at": self.at,
                "customer": customer,
                "event": event,
                "files": self._files,
                "host": self.actor.host,
                "kid": kid,
                "license": license,
                "operator": self.actor.operator,
                "os_user": self.actor.os_user,
                "particulars": dict(details or {}),
                "reason": reason,
                "rows": self._digests,
                "seq": seq + 1,
                "uid": self.actor.uid,
            }
        ).encode()
        chained = chain_hash(previous, body)
        sql = "INSERT INTO journal (seq, previous, bytes, hash) VALUES (?, ?, ?, ?)"
        self._require_open()
        self.connection.add(sql, (seq + 1, previous, body, chained))
        self._newest = seq + 1, chained, self.at
        self._chained.append((seq + 1, chained))
        self._listed += ((name, seq + 1) for name in self._digests)
        self._digests.clear()
        self._files.clear()

    @contextmanager
    def part(self) -> Iterator[None]:
        """Undo the writes of the block, and only these, if it raises anything."""
        self._require_journaled()
        rows, chained, listed = len(self._rows), len(self._chained), len(self._listed)
        newest = self._newest
        self._require_open()
        self.connection.begin_part()
        try:
            yield
            self.connection.end_part()
        except BaseException:
            self.row_check.note_undone({f"{table}/{key}" for table, key, _ in self._rows[rows:]})
            del self._rows[rows:], self._chained[chained:], self._listed[listed:]
            self._digests.clear()
            self._files.clear()
            self.all_keys, self._newest = None, newest
            self.customers.clear()
            self.connection.undo_part()
            raise

    def check_written(self) -> None:
        """Read the written rows back, before the COMMIT or before the files of the change.

        A foreign trigger can drop or change a row without an error: `registry_damaged`.
        """
        self._require_journaled()
        self.connection.run_many(_NEWEST, dict(self._listed).items())
        if self.connection.reads_back:
            self._require_chained()
            self._require_listed()
            self._require_rows()

    def _note(self, table: str, names: tuple[str, ...], row: Row) -> RowKey:
        """Note a written row with its columns; return its key."""
        key = row[names.index(KEYS[table])]
        if not isinstance(key, str | int):
            raise damaged(self.connection.place, "has a row without a key")
        self._rows.append((table, key, hash(row)))
        if table in JOURNALED:
            self._digests[f"{table}/{key}"] = row_digests(names)(row)
            if table == "licenses":
                self._files[str(key)] = sha256(as_bytes(row[names.index("file")])).hexdigest()
        self._forget(table, key)
        return key

    def _forget(self, table: str, key: RowKey) -> None:
        """Forget what was read before a row was written."""
        self.row_check.note(f"{table}/{key}")
        if table == "keys":
            self.all_keys = None
        elif table in ("customers", "aliases"):
            self.customers.clear()

    def _require_journaled(self) -> None:
        """Check that a journal row records all written rows; else `registry_misuse`."""
        if self._digests:
            tables = ", ".join(sorted({name.partition("/")[0] for name in self._digests}))
            raise RegistryMisuse(f"rows of {tables} were written without a journal row")

    def _not_kept(self, table: str) -> RegistryDamaged:
        return self.tampered(f"a row of {table} is missing or different after the write")

    def _require_chained(self) -> None:
        if not self._chained:
            return
        first, _ = self._chained[0]
        sql = "SELECT seq, previous, bytes, hash FROM journal WHERE seq >= ? ORDER BY seq"
        stored = (
            (row[0], chain_hash(as_bytes(row[1]), as_bytes(row[2])), row[3])
            for row in self.connection.stream(sql, (first,))
        )
        if list(stored) != [(seq, hashed, hashed) for seq, hashed in self._chained]:
            raise self._not_kept("journal")

    def _require_listed(self) -> None:
        listed = dict(self._listed)
        for some in in_chunks(listed):
            sql = f"SELECT name, seq FROM row_journal WHERE name IN ({marks(some)})"  # noqa: S608
            if set(self.connection.stream(sql, some)) != {(name, listed[name]) for name in some}:
                raise self._not_kept("row_journal")

    def _require_rows(self) -> None:
        latest: dict[str, dict[RowKey, int | None]] = {}
        for table, key, hashed in self._rows:
            latest.setdefault(table, {})[key] = hashed
        for table, hashes in latest.items():
            for some in in_chunks(hashes):
                stored = self._hashes(table, some)
                if any(stored.get(key) != hashes[key] for key in some):
                    raise self._not_kept(table)

    def _hashes(self, table: str, keys: tuple[RowKey, ...]) -> dict[Value, int]:
        """Return the hashes of the rows with these keys, by key."""
        sql = f"SELECT * FROM {table} WHERE {KEYS[table]} IN ({marks(keys)})"  # noqa: S608  # names of our own
        with closing(self.connection.run(sql, keys)) as cursor:
            place = [column[0] for column in cursor.description].index(KEYS[table])
            return {row[place]: hash(row) for row in self.connection.fetch(cursor, len(keys))}
