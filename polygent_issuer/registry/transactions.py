"""An open transaction: `Reading` for a snapshot, `Writing` for changes and their journal rows."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any, Final, TypeVar
from weakref import WeakSet

from polygent_issuer.registry.engine import (
    REGISTRY_ID,
    Change,
    Connection,
    Cursor,
    Params,
    State,
    marks,
)
from polygent_issuer.registry.errors import (
    RegistryDamaged,
    RegistryMisuse,
    changed_row,
    damaged,
    damaged_row,
    tampered,
)
from polygent_issuer.registry.records import (
    Actor,
    Customer,
    Fields,
    KeyRecord,
    Row,
    RowKey,
    Value,
    as_bytes,
    as_int,
    canonical,
    moment,
    moment_text,
    text,
)
from polygent_issuer.registry.row_check import GENESIS, RowCheck, chain_hash
from polygent_issuer.registry.schema import JOURNALED, KEYS
from polygent_issuer.registry.written_rows import WrittenRows

_Record = TypeVar("_Record")
_Source = TypeVar("_Source")

# The errors of reading a column, or of building a record, in a damaged file.
_UNREADABLE = (ValueError, TypeError, LookupError, OverflowError, RecursionError)


_NEWEST: Final = "SELECT seq, hash, at FROM journal ORDER BY seq DESC LIMIT 1"


class Reading:
    """A snapshot of the registry; rows can be read until the end of its `with` block.

    Methods that read raise RegistryDamaged (`registry_damaged`) for a row that this tool never
    writes, or that is not as the journal last recorded it, and RegistryMisuse (`registry_misuse`)
    after the end.

    Attributes:
        all_keys: the signing keys, if they have been read.
        customers: the customers that have been read by their row ids.
        row_check: the rows that were compared with the journal.
        outbox_is_empty: whether the outbox is known to have no row.
    """

    def __init__(
        self, connection: Connection, *, checked: bool = True, state: State | None = None
    ) -> None:
        """Read within the open transaction of a connection.

        Args:
            checked: as for `reading`.
            state: that of the connection, if nothing was written since its begin.
        """
        self.all_keys: tuple[KeyRecord, ...] | None = None
        self.customers: dict[int, Customer] = {}
        self._connection = connection
        self.row_check = RowCheck(connection, checked=checked)
        self._cursors: WeakSet[Cursor] = WeakSet()
        self._state = state
        # The number, the hash and the instant of the last journal row.
        self._newest: tuple[int, bytes, Value] | None = None
        if state is not None:
            self._newest = state.seq or 0, state.hash or GENESIS, state.at
        self.outbox_is_empty = state is not None and not state.has_pending
        self._ended = False

    def require_recorded(self, table: str, key: RowKey) -> None:
        """Check that a row is as the journal last recorded it, if this transaction is checked."""
        self._require_open()
        self.row_check.require(table, key)

    def require_every_recorded(self, table: str, customer_id: int | None) -> None:
        """Check each row of a table that a journal row about a customer, or keys (None), wrote."""
        self._require_open()
        self.row_check.require_every(table, customer_id)

    def read_ahead(self, table: str, keys: Iterable[RowKey]) -> list[Fields]:
        """Read many rows in a few queries, unchecked; `recorded` then needs no query for them."""
        self._require_open()
        return self.row_check.read_ahead(table, keys)

    def recorded(self, table: str, key: RowKey) -> Fields | None:
        """Return a row after a check with `require_recorded`, or None."""
        self.require_recorded(table, key)
        return self.row_check.fields(table, key)

    def build(self, build: Callable[[Fields], _Record], table: str, fields: Fields) -> _Record:
        """Build a record of a row of a table."""
        key = KEYS[table]
        sql = f"SELECT {key}, * FROM {table}"  # noqa: S608  # names of our own
        return self._build(build, sql, (fields[key],), fields)

    def execute(self, sql: str, params: Params = ()) -> Iterator[Row]:
        """Execute a statement now, and stream its rows."""
        return self._stream(self._run(sql, params))

    def each(
        self, build: Callable[[Fields], _Record], sql: str, params: Params = ()
    ) -> Iterator[_Record]:
        """Stream records; `build` makes one of each row's values by column."""
        cursor = self._run(sql, params)
        names = [column[0] for column in cursor.description]
        for row in self._stream(cursor):
            yield self._build(build, sql, row, dict(zip(names, row, strict=True)))

    def one(
        self, build: Callable[[Fields], _Record], sql: str, params: Params = ()
    ) -> _Record | None:
        """Return the first record, or None."""
        columns, row = self._first(sql, params)
        if row is None:
            return None
        fields = {column[0]: value for column, value in zip(columns, row, strict=True)}
        return self._build(build, sql, row, fields)

    def each_row(
        self, build: Callable[[Row], _Record], sql: str, params: Params = ()
    ) -> Iterator[_Record]:
        """Stream records; `build` makes one of each row's values in their order."""
        for row in self.execute(sql, params):
            yield self._build(build, sql, row, row)

    def values(
        self, read: Callable[[Value], _Record], sql: str, params: Params = ()
    ) -> Iterator[_Record]:
        """Stream the first column of the rows."""
        for row in self.execute(sql, params):
            yield self._build(read, sql, row, row[0])

    def value(
        self, read: Callable[[Value], _Record], sql: str, params: Params = ()
    ) -> _Record | None:
        """Return the first column of the first row, or None."""
        _, row = self._first(sql, params)
        return None if row is None else self._build(read, sql, row, row[0])

    def is_own(self, server_user: str | None) -> bool:
        """Return whether the user of the connection wrote a journal row; True if no server did."""
        session = self._connection.session()
        return session is None or server_user is None or session.is_of(server_user)

    def columns(self, table: str) -> tuple[str, ...]:
        """Return the columns of a table in their order; empty without such a table."""
        self._require_open()
        return self._connection.columns(table)

    def schema_problems(self, version: int | None = None) -> tuple[str, ...]:
        """Return the changes of tables and triggers, as `Connection.schema_problems`."""
        self._require_open()
        return self._connection.schema_problems(version)

    def damage(self) -> tuple[str, ...]:
        """Return the damage that the engine finds, as `Connection.damage`."""
        self._require_open()
        return self._connection.damage()

    def copy_into(self, path: Path, *, named: Path, then: Iterable[Change] = ()) -> None:
        """Copy the whole registry of this snapshot as `Connection.copy_into` does."""
        self._connection.copy_into(path, named=named, then=then)

    def end(self) -> None:
        """Close all cursors; nothing can be read afterwards."""
        self._ended = True
        for cursor in tuple(self._cursors):
            cursor.close()

    def head(self) -> tuple[int, bytes]:
        """Return the number of journal rows, and the hash of the last one."""
        return self._last_row()[:2]

    def newest_at(self) -> datetime | None:
        """Return the instant of the last journal row, or None for an empty journal."""
        size, _, at = self._last_row()
        return self._build(moment, _NEWEST, (at,), at) if size else None

    def _last_row(self) -> tuple[int, bytes, Value]:
        if self._newest is None:
            newest = self.one(
                lambda row: (as_int(row["seq"]), as_bytes(row["hash"]), row["at"]), _NEWEST
            )
            self._newest = newest or (0, GENESIS, None)
        return self._newest

    def registry_id(self) -> str | None:
        """Return the permanent id of the registry; None if it is missing."""
        if self._state is not None:
            return self._state.registry_id
        return self.value(text, REGISTRY_ID)

    def damaged(self, what: str) -> RegistryDamaged:
        """Return the error for inconsistent rows; `what` follows the path in the message."""
        return damaged(self._connection.place, what)

    def tampered(self, what: str) -> RegistryDamaged:
        """Return the error for a change that was made outside this tool."""
        return tampered(self._connection.place, what)

    def edited(self, name: str) -> RegistryDamaged:
        """Return the error for a row, such as `licenses/ID`, that differs from the journal."""
        return changed_row(self._connection.place, name)

    def require_present(self, record: _Record | None, what: str) -> _Record:
        """Return a record that another row refers to; `registry_damaged` without one."""
        if record is None:
            raise self.damaged(f"lacks the {what}, to which another row refers")
        return record

    def _build(
        self, build: Callable[[_Source], _Record], sql: str, row: Row, source: _Source
    ) -> _Record:
        try:
            return build(source)
        except _UNREADABLE as error:
            raise damaged_row(self._connection.place, sql, row) from error

    def _require_open(self) -> None:
        if self._ended:
            raise RegistryMisuse("the transaction has ended")

    def _first(self, sql: str, params: Params) -> tuple[tuple[Any, ...], Row | None]:
        """Execute a statement and return its first row, as `Connection.first`."""
        self._require_open()
        return self._connection.first(sql, params)

    def _run(self, sql: str, params: Params) -> Cursor:
        self._require_open()
        cursor = self._connection.run(sql, params)
        self._cursors.add(cursor)
        return cursor

    def _stream(self, cursor: Cursor) -> Iterator[Row]:
        try:
            yield from self._connection.fetch_all(cursor)
        finally:
            if not self._ended:  # `end` has closed all cursors, and the connection may be closed
                cursor.close()


@cache
def _inserting(table: str, columns: tuple[str, ...]) -> str:
    names = ", ".join(columns)
    return f"INSERT INTO {table} ({names}) VALUES ({marks(columns)})"  # noqa: S608  # names of our own


@cache
def _updating(table: str, columns: tuple[str, ...], only: str) -> str:
    names = ", ".join(f"{name} = ?" for name in columns)
    where = f"{JOURNALED[table]} = ? AND {only}"
    return f"UPDATE {table} SET {names} WHERE {where}"  # noqa: S608  # the same


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
        sql = _inserting(table, tuple(columns))
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
