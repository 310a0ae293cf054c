"""A snapshot of the registry, whose rows are compared with the journal."""

from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any, Final, TypeVar
from weakref import WeakSet

from polygent_issuer.registry.engine import (
    REGISTRY_ID,
    Connection,
    Cursor,
    Params,
    Query,
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
    Customer,
    Fields,
    KeyRecord,
    Row,
    RowKey,
    Value,
    as_bytes,
    as_int,
    moment,
    text,
)
from polygent_issuer.registry.row_check import GENESIS, RowCheck, recorded_rows, row_digests
from polygent_issuer.registry.schema import KEYS

_Record = TypeVar("_Record")
_Source = TypeVar("_Source")

# The errors of reading a column, or of building a record, in a damaged file.
_UNREADABLE = (ValueError, TypeError, LookupError, OverflowError, RecursionError)
SHARED: Final = ("issuer", "upload_window", "default_plan", "features", "require_order_id", "plans")
"""The names of the settings that all homes of a registry share."""
_SETTINGS: Final = f"""SELECT row_journal.name, team_settings.value, journal.bytes FROM row_journal
    JOIN journal ON journal.seq = row_journal.seq
    LEFT JOIN team_settings ON 'team_settings/' || team_settings.name = row_journal.name
    WHERE row_journal.name IN ({marks(SHARED)})
    UNION ALL SELECT 'team_settings/' || team_settings.name, team_settings.value, NULL
    FROM team_settings WHERE NOT EXISTS (
        SELECT 1 FROM row_journal
        WHERE row_journal.name = 'team_settings/' || team_settings.name)"""  # noqa: S608  # of our own
SETTINGS_QUERY: Final[Query] = (_SETTINGS, tuple(f"team_settings/{each}" for each in SHARED))
"""The query of `Reading.team_settings`."""
_NEWEST: Final = "SELECT seq, hash, at FROM journal ORDER BY seq DESC LIMIT 1"
_PENDING: Final = "SELECT 1 FROM outbox LIMIT 1"


class Reading:
    """A snapshot of the registry; rows can be read until the end of its `with` block.

    Methods that read raise RegistryDamaged (`registry_damaged`) for a row that this tool never
    writes, or that is not as the journal last recorded it, and RegistryMisuse (`registry_misuse`)
    after the end.

    Attributes:
        connection: that of the registry, in the open transaction.
        all_keys: the signing keys, if they have been read.
        customers: the customers that have been read by their row ids.
        row_check: the rows that were compared with the journal.
        has_pending: whether the outbox has a row, of any home; None if that is not yet known.
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
        self.connection = connection
        self.row_check = RowCheck(connection, checked=checked)
        self._cursors: WeakSet[Cursor] = WeakSet()
        self._state = state
        # The number, the hash and the instant of the last journal row.
        self._newest: tuple[int, bytes, Value] | None = None
        if state is not None:
            self._newest = state.seq or 0, state.hash or GENESIS, state.at
        self.has_pending = None if state is None else state.has_pending
        self._ended = False

    def require_recorded(self, table: str, key: RowKey) -> None:
        """Check that a row is as the journal last recorded it, if this transaction is checked."""
        self._require_open()
        self.row_check.require(table, key)

    def require_every_recorded(self, table: str, customer_id: int | None) -> None:
        """Check each row of a table that a journal row about a customer, or keys (None), wrote."""
        self._require_open()
        self.row_check.require_every(table, customer_id)

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
        session = self.connection.session()
        return session is None or server_user is None or session.is_of(server_user)

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

    def outbox_is_empty(self) -> bool:
        """Return whether the outbox has no row, of any home."""
        if self.has_pending is None:
            self.has_pending = self._first(_PENDING, ())[1] is not None
        return not self.has_pending

    def registry_id(self) -> str | None:
        """Return the permanent id of the registry; None if it is missing."""
        if self._state is not None:
            return self._state.registry_id
        return self.value(text, REGISTRY_ID)

    def team_settings(self) -> dict[str, str]:
        """Return the text of each setting that all homes share, after a check with the journal.

        They become part of licenses. One query reads them, since most commands need them.

        Raises:
            RegistryDamaged: (`registry_damaged`) when a row was added, changed or deleted by an
                edit.
        """
        digest = row_digests(("name", "value"))

        def compared(row: Row) -> tuple[str, Value]:
            name, value, body = text(row[0]), row[1], row[2]
            recorded = None if body is None else recorded_rows(as_bytes(body)).get(name, "")
            key = name.partition("/")[2]
            if recorded != (None if value is None else digest((key, value))):
                raise self.edited(name)
            return key, value

        rows = self.each_row(compared, *SETTINGS_QUERY)
        return {key: text(value) for key, value in rows if value is not None}

    def damaged(self, what: str) -> RegistryDamaged:
        """Return the error for inconsistent rows; `what` follows the path in the message."""
        return damaged(self.connection.place, what)

    def tampered(self, what: str) -> RegistryDamaged:
        """Return the error for a change that was made outside this tool."""
        return tampered(self.connection.place, what)

    def edited(self, name: str) -> RegistryDamaged:
        """Return the error for a row, such as `licenses/ID`, that differs from the journal."""
        return changed_row(self.connection.place, name)

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
            raise damaged_row(self.connection.place, sql, row) from error

    def _require_open(self) -> None:
        if self._ended:
            raise RegistryMisuse("the transaction has ended")

    def _first(self, sql: str, params: Params) -> tuple[tuple[Any, ...], Row | None]:
        """Execute a statement and return its first row, as `Connection.first`."""
        self._require_open()
        return self.connection.first(sql, params)

    def _run(self, sql: str, params: Params) -> Cursor:
        self._require_open()
        cursor = self.connection.run(sql, params)
        self._cursors.add(cursor)
        return cursor

    def _stream(self, cursor: Cursor) -> Iterator[Row]:
        try:
            yield from self.connection.fetch_all(cursor)
        finally:
            if not self._ended:  # `end` has closed all cursors, and the connection may be closed
                cursor.close()
