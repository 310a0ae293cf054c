"""Compare rows with the journal, by the digests in it.

`row_journal` has the newest journal row that wrote each row. A row is as recorded if

1. it has the digest in this journal row, and
2. no later journal row about the same customer (for a key: about keys) wrote it.

This finds edits of tables. `journal verify` also finds edits of the journal and added rows that no
command reads. Only a head that was noted elsewhere shows that the whole chain was rewritten.
"""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import closing
from functools import cache
from hashlib import sha256
from itertools import islice
from json.encoder import encode_basestring
from typing import Final

from polygent_issuer.registry.engine import Connection, Params, Query, in_chunks, marks
from polygent_issuer.registry.errors import RegistryDamaged, changed_row, damaged
from polygent_issuer.registry.records import Fields, Row, RowKey, Value, as_bytes, as_int
from polygent_issuer.registry.schema import JOURNALED

Recorded = dict[str, tuple[int, str | None]]
"""By the name of a row: the newest journal row that wrote it, and its digest (None: deleted)."""

GENESIS: Final = bytes(32)  # the hash before the first journal row
# In the canonical bytes only a member's name looks like this, because quotes within a text are
# escaped. The last match is the member of the row itself: no name after it contains an object.
_ROWS: Final = b',"rows":'
_DECODE: Final = json.JSONDecoder().raw_decode
_MOST_KEPT: Final = 4096  # beyond that rows and customers are read again, to save memory

# The column of a table with the customer of its rows and of their journal rows. The journal rows of
# keys have no customer.
_CUSTOMER: Final[dict[str, str | None]] = {
    "aliases": "customer_id",
    "customers": "id",
    "keys": None,
    "licenses": "customer_id",
    "machines": "customer_id",
}
_ABOUT_CUSTOMERS: Final = """SELECT customer_id, seq, bytes FROM (
    SELECT id AS customer_id, slug FROM customers WHERE id IN ({0}) UNION ALL
    SELECT customer_id, slug FROM aliases WHERE customer_id IN ({0}))
    AS named CROSS JOIN journal WHERE journal.customer = slug ORDER BY seq"""
# The condition is that of the partial index, without which SQLite would read the whole journal.
_ABOUT_KEYS: Final = """SELECT NULL, seq, bytes FROM journal
    WHERE license IS NULL AND kid IS NOT NULL ORDER BY seq"""
_ROWS_OF: Final = "SELECT *, NULL FROM {0} WHERE {2}"
_WITH_SEQ: Final = """SELECT {0}.*, row_journal.seq FROM {0}
    LEFT JOIN row_journal ON row_journal.name = '{0}/' || {0}.{1} WHERE {2}"""
_WITH_SLUG: Final = "SELECT id FROM customers WHERE slug = ?"
_ALIASES_OF: Final = f"SELECT customer_id, slug FROM aliases WHERE customer_id IN ({_WITH_SLUG})"  # noqa: S608  # of our own
_WHOLE: Final = {
    "customers": "customers.slug = ?",
    "licenses": f"licenses.customer_id IN ({_WITH_SLUG})",
    "machines": f"machines.customer_id IN ({_WITH_SLUG})",
}
_EVERY: Final = "TRUE"
_RECORDED: Final = """SELECT bytes FROM journal
    WHERE seq = (SELECT seq FROM row_journal WHERE name = ?)"""


class RowCheck:
    """Compare rows with the journal, each row once."""

    def __init__(self, connection: Connection, *, checked: bool = True) -> None:
        """Compare within the open transaction of a connection; without `checked` only read."""
        self._connection = connection
        self._checked = checked
        self._names: dict[str, tuple[str, ...]] = {}
        # The rows that were read, each with the number of its newest journal row as last value.
        self._read: dict[str, Row] = {}
        self._sound: set[str] = set()
        # The rows that the journal has not recorded, as far as that was read ahead.
        self._new: set[str] = set()
        # The aliases of customers, as far as they were read ahead, separated by spaces.
        self.aliases: dict[int, str] = {}
        # For each customer, or None for keys: the number of the newest journal row, and the digest
        # in it, by the name of the row that it wrote.
        self._newest: dict[Value, Recorded] = {}
        self._complete: set[tuple[str, int | None]] = set()
        # The ids of the customers whose rows were all read, by slug.
        self.customer_ids: dict[str, int] = {}
        # The keys of those rows, by table and customer (None: signing keys).
        self._whole: dict[tuple[str, int | None], tuple[RowKey, ...]] = {}

    def note(self, name: str) -> None:
        """Note a row that this transaction wrote and will record."""
        self._sound.add(name)
        self._read.pop(name, None)
        self._forget_whole()
        if name.startswith("aliases/"):
            self.aliases.clear()

    def note_undone(self, names: Iterable[str]) -> None:
        """Note that writes of some rows were undone.

        Each of these rows, or its absence, was compared before it was written.
        """
        for name in names:
            self._read.pop(name, None)
        self.aliases.clear()
        self._forget_whole()
        self.forget_journal()

    def _forget_whole(self) -> None:
        self.customer_ids.clear()
        self._whole.clear()

    def forget_unread(self) -> None:
        """Compare again what was not kept: an edit of a row leaves the journal's head as it is."""
        self._sound.intersection_update(self._read)

    def forget_journal(self) -> None:
        """Forget the journal rows that were read, because newer ones were written or undone."""
        self._newest.clear()
        self._complete.clear()
        self._new.clear()

    def read_ahead_new(self, table: str, keys: Iterable[RowKey]) -> None:
        """Look for the keys of many new rows in a few queries; then `require_new` needs none."""
        for sql, some in new_queries(table, keys):
            self._new.update(map(str, some))
            self._new.difference_update(row[0] for row in self._connection.stream(sql, some))

    def require_new(self, name: str) -> None:
        """Check that the journal has not recorded a row with the key of a new one."""
        if name not in self._sound and name not in self._new:
            self._require_no_row(name)

    def read_ahead(self, table: str, keys: Iterable[RowKey]) -> list[Fields]:
        """Read many rows in a few queries; `require` compares each of them later."""
        if len(self._read) > _MOST_KEPT:  # the newer half may be about to be used
            for name in tuple(islice(self._read, _MOST_KEPT // 2)):
                del self._read[name]
        rows: list[Row] = []
        for some in in_chunks(keys):
            where = f"{table}.{JOURNALED[table]} IN ({marks(some)})"
            rows += self._read_rows(table, _rows_query(table, where, self._checked), some)
        if not rows:
            return []
        names = self._names[table]
        if self._checked and (column := _CUSTOMER.get(table)) is not None:
            owners = {row[names.index(column)] for row in rows} - self._newest.keys()
            # A damaged row has any value here, and `require` refuses it.
            self._read_newest({owner for owner in owners if isinstance(owner, int)})
        return [dict(zip(names, row, strict=False)) for row in rows]

    def _read_rows(self, table: str, sql: str, params: Params) -> list[Row]:
        with closing(self._connection.run(sql, params)) as cursor:
            self._names[table] = tuple(column[0] for column in cursor.description)[:-1]
            rows = list(self._connection.fetch_all(cursor))
        names = (f"{table}/{key!s}" for key in self._keys(table, rows))
        read = dict(zip(names, rows, strict=True))
        edited = {name for name, row in read.items() if self._read.get(name, row)[:-1] != row[:-1]}
        self._sound -= edited
        self._read.update(read)
        return rows

    def _keys(self, table: str, rows: Sequence[Row]) -> tuple[RowKey, ...]:
        """Return the keys of rows; another spelling of their column is found in a damaged file."""
        if not rows:
            return ()
        if JOURNALED[table] not in self._names[table]:
            raise damaged(self._connection.place)
        place = self._names[table].index(JOURNALED[table])
        keys = (row[place] for row in rows)
        return tuple(key if isinstance(key, int | str) else str(key) for key in keys)

    def read_customer(self, slug: str) -> None:
        """Read all rows of a customer, and all keys, in one round trip; nothing for another name.

        Then `whole` returns them, and to `require` any of them needs no query.
        """
        if slug in self.customer_ids:
            return
        queries = customer_queries(slug, checked=self._checked)
        self._connection.read_ahead(queries)
        keys = {
            table: self._keys(table, self._read_rows(table, *query))
            for table, query in zip(_WHOLE, queries, strict=False)
        }
        self.every_key()
        if not keys["customers"]:
            return
        customer_id = as_int(keys["customers"][0])
        aliases, journal = queries[len(_WHOLE) : len(_WHOLE) + 2]
        rows = self._connection.stream(*aliases)
        self.aliases[customer_id] = " ".join(str(alias) for _, alias in rows)
        if self._checked:
            self._note_newest((customer_id,), self._connection.stream(*journal))
        self._whole.update(((table, customer_id), its) for table, its in keys.items())
        self.customer_ids[slug] = customer_id

    def every_key(self) -> list[Fields]:
        """Return the rows of all keys, unchecked."""
        if self.whole("keys", None) is None:
            queries = key_queries(checked=self._checked)
            self._connection.read_ahead(queries)
            rows = self._read_rows("keys", *queries[0])
            if self._checked:
                self._read_newest({None})
            self._whole["keys", None] = self._keys("keys", rows)
        return list(filter(None, (self.fields("keys", key) for key in self._whole["keys", None])))

    def whole(self, table: str, owner: int | None) -> tuple[RowKey, ...] | None:
        """Return the keys of all rows of a customer (None: of keys); None if they were not read."""
        keys = self._whole.get((table, owner))
        if keys is None or any(f"{table}/{key}" not in self._read for key in keys):
            return None
        return keys

    def require(self, table: str, key: RowKey) -> None:
        """Check that a row, or its absence, is as the journal last recorded it."""
        name = f"{table}/{key}"
        if name in self._sound or not self._checked:
            return
        if name not in self._read:
            self.read_ahead(table, (key,))
        row = self._read.get(name)
        if row is None:
            self._require_no_row(name)
            return
        names, seq = self._names[table], row[-1]
        newest: tuple[int, str | None] = (0, None)
        if table in _CUSTOMER:
            column = _CUSTOMER[table]
            owner = None if column is None else row[names.index(column)]
            newest = self._newest_of(owner).get(name, newest)
        if not isinstance(seq, int) or seq < newest[0]:
            raise changed_row(self._connection.place, name)
        recorded = newest[1] if seq == newest[0] else self._recorded(name)
        if recorded != row_digests(names)(row):
            raise changed_row(self._connection.place, name)
        self._sound.add(name)

    def fields(self, table: str, key: RowKey) -> Fields | None:
        """Return the values of a row by column, or None."""
        name = f"{table}/{key}"
        if name not in self._read:
            self.read_ahead(table, (key,))
        row = self._read.get(name)
        return None if row is None else dict(zip(self._names[table], row, strict=False))

    def columns(self, table: str) -> tuple[str, ...]:
        """Return the columns of a table in their order."""
        if table not in self._names:
            self._names[table] = self._connection.columns(table)
        return self._names[table]

    def require_every(self, table: str, customer_id: int | None) -> None:
        """Check each row of a table that a journal row about a customer wrote.

        This finds rows that were deleted or moved to another customer, or marked as replaced.
        """
        if (table, customer_id) in self._complete or not self._checked:
            return
        prefix = f"{table}/"
        names = [name for name in self._newest_of(customer_id) if name.startswith(prefix)]
        unread = (name for name in names if name not in self._sound and name not in self._read)
        self.read_ahead(table, (name.removeprefix(prefix) for name in unread))
        for name in names:
            self.require(table, name.removeprefix(prefix))
        self._complete.add((table, customer_id))

    def _newest_of(self, owner: Value) -> Recorded:
        if owner not in self._newest:
            self._read_newest({owner})
        if owner not in self._newest:
            raise self._unreadable()
        return self._newest[owner]

    def _read_newest(self, owners: AbstractSet[Value]) -> None:
        """Read the journal rows about customers (None: about keys).

        A customer is left out if one of these rows cannot be read.
        """
        if len(self._newest) > _MOST_KEPT:
            self._newest.clear()
        for some in in_chunks(owners):
            sql, params = _ABOUT_CUSTOMERS.format(marks(some)), some * 2
            if some == (None,):
                sql, params = _ABOUT_KEYS, ()
            self._note_newest(some, self._connection.stream(sql, params))

    def _note_newest(self, owners: Iterable[Value], rows: Iterable[Row]) -> None:
        """Note the journal rows about customers or keys."""
        newest: dict[Value, Recorded] = {owner: {} for owner in owners}
        for owner, seq, body in rows:
            if owner not in newest:
                continue
            try:
                digests = self._rows(body).items()
            except RegistryDamaged:
                del newest[owner]
            else:
                newest[owner].update((name, (as_int(seq), to)) for name, to in digests)
        self._newest.update(newest)

    def _recorded(self, name: str) -> str | None:
        """Return the digest of a row in its newest journal row; None if no row is recorded."""
        _, row = self._connection.first(_RECORDED, (name,))
        return None if row is None else self._rows(row[0]).get(name, "")

    def _require_no_row(self, name: str) -> None:
        if self._recorded(name) is not None:
            raise changed_row(self._connection.place, name)

    def _rows(self, body: Value) -> Mapping[str, str | None]:
        try:
            return recorded_rows(as_bytes(body))
        except (ValueError, TypeError, RecursionError):
            raise self._unreadable() from None

    def _unreadable(self) -> RegistryDamaged:
        return damaged(self._connection.place, "is damaged: a journal row cannot be read")


def customer_queries(slug: str, *, checked: bool = True) -> list[Query]:
    """Return the queries of `RowCheck.read_customer`."""
    queries = [(_rows_query(table, where, checked), (slug,)) for table, where in _WHOLE.items()]
    journal = _ABOUT_CUSTOMERS.format(_WITH_SLUG), (slug, slug)
    return [*queries, (_ALIASES_OF, (slug,)), journal, *key_queries(checked=checked)]


def key_queries(*, checked: bool) -> list[Query]:
    """Return the queries of `RowCheck.every_key`."""
    return [(_rows_query("keys", _EVERY, checked), ()), (_ABOUT_KEYS, ())]


def new_queries(table: str, keys: Iterable[RowKey]) -> list[Query]:
    """Return the queries of `RowCheck.read_ahead_new`."""
    return [
        (f"SELECT name FROM row_journal WHERE name IN ({marks(some)})", some)  # noqa: S608  # marks
        for some in in_chunks(f"{table}/{key}" for key in keys)
    ]


def _rows_query(table: str, where: str, checked: bool) -> str:  # noqa: FBT001
    return (_WITH_SEQ if checked else _ROWS_OF).format(table, JOURNALED[table], where)


@cache
def row_digests(names: tuple[str, ...]) -> Callable[[Sequence[Value]], str]:
    """Return a function for the SHA-256, in hex, of a row's canonical JSON with these columns.

    Bytes are written as their SHA-256 in hex, a damaged file's float with its point. Empty columns
    are left out: a column that a later migration adds changes no digest, and emptying one does.
    """
    columns = [
        (f"{encode_basestring(name)}:", place)
        for name, place in sorted(zip(names, range(len(names)), strict=True))
    ]

    def digest(row: Sequence[Value]) -> str:
        members = [
            f"{begun}{value}"
            if isinstance(value, int)
            else begun + (encode_basestring(value) if isinstance(value, str) else _digest(value))
            for begun, place in columns
            if (value := row[place]) is not None
        ]
        return sha256(f"{{{','.join(members)}}}".encode()).hexdigest()

    return digest


def _digest(value: bytes | float) -> str:
    return f'"{sha256(value).hexdigest()}"' if isinstance(value, bytes) else f"{value!r}"


def chain_hash(previous: bytes, body: bytes) -> bytes:
    """Return SHA-256(previous ‖ bytes), 32 bytes (DESIGN, "Registry and journal")."""
    return sha256(previous + body).digest()


def recorded_rows(body: bytes) -> dict[str, str | None]:
    """Return the digests of the rows that a journal row wrote, by name; None for a deleted row.

    Args:
        body: the stored bytes of the journal row.

    Raises:
        ValueError, TypeError, RecursionError: for bytes that this tool did not write.
    """
    at = body.rfind(_ROWS)
    if at < 0:
        raise ValueError("no rows")
    rows, _ = _DECODE(body[at + len(_ROWS) :].decode())
    if not isinstance(rows, dict):
        raise TypeError("not an object")
    return rows
