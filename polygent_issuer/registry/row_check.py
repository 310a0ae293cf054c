"""Compare rows with the journal before a decision or an export rests on them.

`row_journal` names the newest journal row that wrote each row. A row is as recorded when

1. it has the digest that this journal row gives it, and
2. no later journal row about the same customer wrote it (of a key: no later row about keys).

This finds edits of the tables alone. Whoever also edits the journal, or adds rows that nothing
looks for, is found by `journal verify`; whoever writes the whole chain anew, by a head that was
noted elsewhere.
"""

from collections.abc import Mapping
from contextlib import closing
from typing import Final

from polygent_issuer.registry.columns import Value, as_bytes, as_int
from polygent_issuer.registry.connection import Connection
from polygent_issuer.registry.digests import recorded_rows, row_digests
from polygent_issuer.registry.schema import JOURNALED
from polygent_issuer.registry.sqlite_errors import changed_row, damaged

# The column that names the customer whom a table's rows belong to, and whom their journal rows
# are about; the journal rows of keys are about no customer.
_CUSTOMER: Final[dict[str, str | None]] = {
    "aliases": "customer_id",
    "customers": "id",
    "keys": None,
    "licenses": "customer_id",
    "machines": "customer_id",
}
_ABOUT_A_CUSTOMER: Final = """SELECT seq, bytes FROM journal WHERE customer IN (
    SELECT slug FROM customers WHERE id = ? UNION ALL
    SELECT slug FROM aliases WHERE customer_id = ?) ORDER BY seq"""
# In so many words, as the index has it.
_ABOUT_KEYS: Final = """SELECT seq, bytes FROM journal
    WHERE license IS NULL AND kid IS NOT NULL ORDER BY seq"""
_WITH_JOURNAL: Final = """SELECT {0}.*, journal.seq, journal.bytes FROM {0}
    LEFT JOIN row_journal ON row_journal.name = ? LEFT JOIN journal ON journal.seq = row_journal.seq
    WHERE {0}.{1} = ?"""
_RECORDED: Final = """SELECT bytes FROM journal
    WHERE seq = (SELECT seq FROM row_journal WHERE name = ?)"""


class RowCheck:
    """The rows of one transaction that are as the journal last recorded them."""

    def __init__(self, connection: Connection) -> None:
        """Compare within the transaction that is open on a connection."""
        self._connection = connection
        self._names: dict[str, tuple[str, ...]] = {}
        self._sound: set[str] = set()
        self._newest: dict[int | None, dict[str, int]] = {}
        self._complete: set[tuple[str, int | None]] = set()

    def note(self, name: str) -> None:
        """Note a row that this transaction wrote and journals itself."""
        self._sound.add(name)

    def require(self, table: str, key: str | int) -> None:
        """Check that a row, or its absence, is what the journal last recorded.

        Raises:
            RegistryDamaged: (`registry_damaged`) when it is not.
        """
        name = f"{table}/{key}"
        if name in self._sound:
            return
        sql = _WITH_JOURNAL.format(table, JOURNALED[table])
        described, row = self._connection.first(sql, (name, key))
        if row is None:
            self._require_no_row(name)
            return
        names = self._names.get(table)
        if names is None:
            names = self._names[table] = tuple(column[0] for column in described)[:-2]
        if row[-2] is None or self._rows(row[-1]).get(name) != row_digests(names)(row):
            raise changed_row(self._connection.path, name)
        if table in _CUSTOMER:
            column = _CUSTOMER[table]
            about = None if column is None else as_int(row[names.index(column)])
            if self._newest_of(about).get(name, 0) > as_int(row[-2]):
                raise changed_row(self._connection.path, name)
        self._sound.add(name)

    def require_every(self, table: str, customer_id: int | None) -> None:
        """Check each row of a table that journal rows about a customer wrote.

        A row that was moved away, deleted or marked as replaced would not be looked for else.

        Args:
            customer_id: None for the keys.

        Raises:
            RegistryDamaged: (`registry_damaged`) for the first that is not as recorded.
        """
        if (table, customer_id) in self._complete:
            return
        for name in self._newest_of(customer_id):
            of, _, key = name.partition("/")
            if of == table:
                self.require(table, key)
        self._complete.add((table, customer_id))

    def _newest_of(self, customer_id: int | None) -> Mapping[str, int]:
        """The newest of the journal rows about a customer, or about keys, by the row it wrote."""
        if customer_id not in self._newest:
            newest: dict[str, int] = {}
            about_keys = customer_id is None
            sql = _ABOUT_KEYS if about_keys else _ABOUT_A_CUSTOMER
            params = () if about_keys else (customer_id, customer_id)
            with closing(self._connection.run(sql, params)) as cursor:
                while rows := self._connection.fetch(cursor, 256):
                    for row in rows:
                        newest.update(dict.fromkeys(self._rows(row[1]), as_int(row[0])))
            self._newest[customer_id] = newest
        return self._newest[customer_id]

    def _require_no_row(self, name: str) -> None:
        _, recorded = self._connection.first(_RECORDED, (name,))
        if recorded is not None and self._rows(recorded[0]).get(name, "") is not None:
            raise changed_row(self._connection.path, name)

    def _rows(self, body: Value) -> Mapping[str, str | None]:
        try:
            return recorded_rows(as_bytes(body))
        except (ValueError, TypeError, RecursionError):
            what = "is damaged: a journal row cannot be read"
            raise damaged(self._connection.path, what) from None
