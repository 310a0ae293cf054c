"""The transaction that writes: changes of rows, and the journal rows that record them."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from functools import cache

from polygent_issuer.registry.engine import Connection, Params, State, inserting
from polygent_issuer.registry.reading import Reading
from polygent_issuer.registry.records import Actor, Row, RowKey, Value, canonical, moment_text
from polygent_issuer.registry.row_check import chain_hash
from polygent_issuer.registry.schema import JOURNALED, KEYS
from polygent_issuer.registry.written_rows import WrittenRows


@cache
def _updating(table: str, columns: tuple[str, ...], only: str) -> str:
    names = ", ".join(f"{name} = ?" for name in columns)
    where = f"{JOURNALED[table]} = ? AND {only}"
    return f"UPDATE {table} SET {names} WHERE {where}"  # noqa: S608  # names of our own


class Writing(Reading):
    """The write transaction of an `actor` at the instant `now`; every change is in the journal."""

    def __init__(
        self, connection: Connection, *, now: datetime, actor: Actor, state: State | None = None
    ) -> None:
        """Write within the open transaction of a connection; `state` as for `Reading`."""
        super().__init__(connection, state=state)
        self.now = now
        self.actor = actor
        self._written = WrittenRows(connection)

    @property
    def written_head(self) -> tuple[int, bytes] | None:
        """The number and the hash of the last journal row of this transaction, if any."""
        return self._written.head

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
            count = self._connection.add(sql, values)
        else:
            count, rowid = self._connection.insert(sql, values, KEYS[table])
        if count != 1:  # a foreign trigger can ignore an insert
            raise self._written.not_kept(table)
        fields = {KEYS[table]: rowid, **columns}
        # A digest leaves out empty columns, and only rows that are read back need the others.
        reads_back = self._connection.reads_back
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
        count = self._connection.change(sql, (*columns.values(), key))
        if count != 1:
            # A foreign trigger can ignore an update.
            there = f"SELECT 1 FROM {table} WHERE {JOURNALED[table]} = ? AND {only}"  # noqa: S608
            if self._first(there, (key,))[1] is not None:
                raise self._written.not_kept(table)
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
        self._connection.run_many(sql, ((key,) for key in keys))
        for key in keys:
            self._written.note_deleted(table, key)
            self.row_check.note(f"{table}/{key}")
        self._forget(table)

    def execute_later(self, sql: str, params: Params) -> None:
        """Execute a statement without result rows, perhaps together with the next one."""
        self._require_open()
        self._connection.run_many(sql, (params,))

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
                "files": self._written.files,
                "host": self.actor.host,
                "kid": kid,
                "license": license,
                "operator": self.actor.operator,
                "os_user": self.actor.os_user,
                "particulars": dict(details or {}),
                "reason": reason,
                "rows": self._written.digests,
                "seq": seq + 1,
                "uid": self.actor.uid,
            }
        ).encode()
        chained = chain_hash(previous, body)
        sql = "INSERT INTO journal (seq, previous, bytes, hash) VALUES (?, ?, ?, ?)"
        self._require_open()
        self._connection.add(sql, (seq + 1, previous, body, chained))
        self._newest = seq + 1, chained, self.at
        self._written.chain(seq + 1, chained)

    @contextmanager
    def part(self) -> Iterator[None]:
        """Undo the writes of the block, and only these, if it raises anything."""
        self._written.require_journaled()
        mark, newest = self._written.mark(), self._newest
        self._require_open()
        self._connection.begin_part()
        try:
            yield
            self._connection.end_part()
        except BaseException:
            self.row_check.note_undone(self._written.undo(mark))
            self.all_keys, self._newest = None, newest
            self.customers.clear()
            self._connection.undo_part()
            raise

    def check_written(self) -> None:
        """Read the written rows back, before the COMMIT or before the files of the change.

        A foreign trigger can drop or change a row without an error: `registry_damaged`.
        """
        self._written.require_journaled()
        self._written.write_newest()
        if self._connection.reads_back:
            self._written.require_kept()

    def _note(self, table: str, names: tuple[str, ...], row: Row) -> RowKey:
        key = self._written.note(table, names, row)
        self.row_check.note(f"{table}/{key}")
        self._forget(table)
        return key

    def _forget(self, table: str) -> None:
        """Forget the records of a table that was written to."""
        if table == "keys":
            self.all_keys = None
        elif table in ("customers", "aliases"):
            self.customers.clear()
