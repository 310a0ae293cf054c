"""An open transaction: `Reading` for one snapshot, `Writing` for changes and their journal row."""

import sqlite3
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from hashlib import sha256
from itertools import islice
from pathlib import Path
from typing import Any, Final, TypeVar
from weakref import WeakSet

from polygent_issuer.registry.columns import (
    Row,
    Value,
    blob,
    canonical,
    moment_text,
    text,
    whole,
)
from polygent_issuer.registry.connection import Connection, Params
from polygent_issuer.registry.digests import GENESIS, chain_hash, row_digests
from polygent_issuer.registry.errors import RegistryDamaged, RegistryMisuse
from polygent_issuer.registry.failures import damaged, damaged_row, tampered
from polygent_issuer.registry.records import Actor
from polygent_issuer.registry.schema import JOURNALED, KEYS

Key = str | int

_Record = TypeVar("_Record")
_CHUNK: Final = 256

# What reading a column, or building a record of it, raises when the file is damaged.
_UNREADABLE = (ValueError, TypeError, LookupError, OverflowError, RecursionError)


class Reading:
    """One snapshot of the registry; rows can be read until its `with` block ends."""

    def __init__(self, connection: Connection) -> None:
        """Read within the transaction that is open on a connection."""
        self._connection = connection
        self._cursors: WeakSet[sqlite3.Cursor] = WeakSet()
        self._ended = False
        self._known: dict[str, dict[Hashable, Any]] = {}

    def once(self, table: str, name: Hashable, read: Callable[[], _Record]) -> _Record:
        """What `read` gives, remembered until a row of the table is written.

        Args:
            table: the one that `read` looks at.
            name: of what it reads, within the table.
        """
        known = self._known.setdefault(table, {})
        if name not in known:
            known[name] = read()
        return known[name]  # type: ignore[no-any-return]

    def execute(self, sql: str, params: Params = ()) -> Iterator[Row]:
        """Run one statement now; its rows are streamed.

        Raises:
            RegistryMisuse: (`registry_misuse`) when the transaction has ended.
            IssuerError: each failure of SQLite as `failures` maps it.
        """
        return self._stream(self._run(sql, params))

    def each(
        self, build: Callable[[Row], _Record], sql: str, params: Params = ()
    ) -> Iterator[_Record]:
        """Stream the records that `build` makes of the rows.

        Raises:
            RegistryDamaged: (`registry_damaged`) when a row cannot be read as one.
        """
        for row in self.execute(sql, params):
            yield self._built(build, sql, row)

    def one(self, build: Callable[[Row], _Record], sql: str, params: Params = ()) -> _Record | None:
        """The first record, or None; errors as `each`."""
        row = self._first(sql, params)
        return None if row is None else self._built(build, sql, row)

    def copy_into(self, path: Path, *, named: Path) -> None:
        """Copy the whole registry, as this transaction sees it, into an empty file.

        Args:
            path: the file, which is not synced; messages name `named` in its place.

        Raises:
            OutputProblem: (`output_failed`) when the copy cannot be written.
            RegistryDamaged: (`registry_damaged`) when the registry cannot be read to its end.
        """
        self._connection.copy_into(path, named=named)

    def end(self) -> None:
        """Let go of every row that was not fetched; nothing can be read from now on."""
        self._ended = True
        for cursor in tuple(self._cursors):
            cursor.close()

    def damaged(self, what: str) -> RegistryDamaged:
        """Return the error for rows that contradict each other: "the registry PATH" and `what`."""
        return damaged(self._connection.path, what)

    def _built(self, build: Callable[[Row], _Record], sql: str, row: Row) -> _Record:
        try:
            return build(row)
        except _UNREADABLE as error:
            raise damaged_row(self._connection.path, sql, row) from error

    def _require_open(self) -> None:
        if self._ended:
            raise RegistryMisuse("the transaction has ended")

    def _first(self, sql: str, params: Params) -> Row | None:
        self._require_open()
        return self._connection.first(sql, params)

    def _run(self, sql: str, params: Params) -> sqlite3.Cursor:
        self._require_open()
        cursor = self._connection.run(sql, params)
        self._cursors.add(cursor)
        return cursor

    def _stream(self, cursor: sqlite3.Cursor) -> Iterator[Row]:
        with closing(cursor):
            while rows := self._connection.fetch(cursor, _CHUNK):
                yield from rows


@dataclass(frozen=True, kw_only=True, slots=True)
class _Layout:
    """Where a table has its key and the bytes of a `.lic`, and what makes the digest of a row."""

    key: int
    file: int | None
    digest: Callable[[Row], str]

    @classmethod
    def of(cls, table: str, names: Sequence[str]) -> "_Layout":
        """The layout of a table with these columns."""
        has_file = table == "licenses" and "file" in names
        file = names.index("file") if has_file else None
        return cls(key=names.index(KEYS[table]), file=file, digest=row_digests(names))


@cache
def _inserting(table: str, columns: tuple[str, ...]) -> str:
    names, marks = ", ".join(columns), ", ".join("?" * len(columns))
    return f"INSERT INTO {table} ({names}) VALUES ({marks}) RETURNING *"  # noqa: S608  # names of our own


@cache
def _updating(table: str, columns: tuple[str, ...], only: str) -> str:
    names = ", ".join(f"{name} = ?" for name in columns)
    where = f"{JOURNALED[table]} = ? AND {only}"
    return f"UPDATE {table} SET {names} WHERE {where} RETURNING *"  # noqa: S608  # the same


class Writing(Reading):
    """The one writer: what it changes is journalled in the same transaction, or undone.

    Attributes:
        now: the instant of everything that it writes, aware.
        actor: who acts.
    """

    def __init__(self, connection: Connection, *, now: datetime, actor: Actor) -> None:
        """Write within the transaction that is open on a connection."""
        super().__init__(connection)
        self.now = now
        self.actor = actor
        self._written: dict[str, str | None] = {}
        self._files: dict[str, str] = {}
        self._layouts: dict[str, _Layout] = {}
        self._head: tuple[int, bytes] | None = None
        # What must be there at the COMMIT: rows (None: deleted), and journal rows by their hash.
        self._rows: list[tuple[str, Key, str | None]] = []
        self._chained: list[tuple[int, bytes]] = []

    @property
    def at(self) -> str:
        """`now` as rows store it."""
        return moment_text(self.now)

    def insert(self, table: str, **columns: Value) -> Key:
        """Add one row, noted for the journal; its key.

        Raises:
            Taken: (`taken`) when what must be unique is there already.
        """
        return self._note(table, self._inserted(table, columns))

    def insert_unjournalled(self, table: str, **columns: Value) -> None:
        """Add one row to a table that the journal does not vouch for.

        Raises:
            Taken: (`taken`) when what must be unique is there already.
        """
        self._follow(table, self._inserted(table, columns))

    def delete_unjournalled(self, table: str, keys: Iterable[Key]) -> None:
        """Delete rows by their keys from a table that the journal does not vouch for."""
        self._require_open()
        gone = tuple(keys)
        sql = f"DELETE FROM {table} WHERE {KEYS[table]} = ?"  # noqa: S608  # names of our own
        self._connection.run_many(sql, ((key,) for key in gone))
        self._rows.extend((table, key, None) for key in gone)

    def update(self, table: str, key: Key, only: str = "1", /, **columns: Value) -> bool:
        """Change one row by its key, noted for the journal; whether there was one to change.

        Args:
            only: a condition on the row, as SQL of our own.
            columns: the new values.

        Raises:
            Taken: (`taken`) when what must be unique is there already.
        """
        row = self._first(_updating(table, tuple(columns), only), (*columns.values(), key))
        if row is None:
            self._require_no_such_row(table, key, only)
            return False
        self._note(table, row)
        return True

    def delete(self, table: str, key: Key) -> None:
        """Delete one row by its key, noted for the journal."""
        self._run(f"DELETE FROM {table} WHERE {JOURNALED[table]} = ?", (key,))  # noqa: S608  # names of our own
        self._written[f"{table}/{key}"] = None
        self._rows.append((table, key, None))
        self._known.pop(table, None)

    def record(
        self,
        event: str,
        *,
        customer: str | None = None,
        license: str | None = None,  # noqa: A002  # the word of the field
        kid: str | None = None,
        accepted: Iterable[str] = (),
        reason: str | None = None,
        details: Mapping[str, object] | None = None,
    ) -> None:
        """Append one journal row with the digests of the rows written since the last one.

        Args:
            event: what was done, such as `license-signed`.
            customer: the slug; `license` the `jti`; `kid` the key that it is about.
            accepted: codes of the findings that were accepted; `reason` says why.
            details: what else explains the act; JSON.
        """
        seq, previous = self._journal_head()
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
                "rows": self._written,
                "seq": seq + 1,
                "uid": self.actor.uid,
            }
        ).encode()
        chained = chain_hash(previous, body)
        sql = "INSERT INTO journal (seq, previous, bytes, hash) VALUES (?, ?, ?, ?)"
        self._first(sql, (seq + 1, previous, body, chained))
        self._written.clear()
        self._files.clear()
        self._head = seq + 1, chained
        self._chained.append(self._head)
        self._known["journal"] = {"newest": self.now}

    @contextmanager
    def part(self) -> Iterator[None]:
        """What is written in the block stands or falls together, and the rest with neither.

        Raises:
            RegistryMisuse: (`registry_misuse`) where something is not journalled yet.
            IssuerError: what the block raises, when all that it wrote is undone.
        """
        self._require_journalled()
        rows, chained = len(self._rows), len(self._chained)
        self._run("SAVEPOINT part", ()).close()
        try:
            yield
        except BaseException:
            self._written.clear()
            self._files.clear()
            self._known.clear()
            self._head = None
            del self._rows[rows:], self._chained[chained:]
            self._connection.undo_part()
            raise
        self._run("RELEASE part", ()).close()

    def end(self) -> None:
        """As `Reading.end`, after `check_written`."""
        self.check_written()
        super().end()

    def check_written(self) -> None:
        """Read back what this transaction wrote, before its COMMIT or a file that goes with it.

        A trigger can swallow or change a row without an error.

        Raises:
            RegistryMisuse: (`registry_misuse`) for a forgotten `record`.
            RegistryDamaged: (`registry_damaged`) when a row is not there as it was written.
        """
        self._require_journalled()
        self._require_chained()
        self._require_rows()

    def _require_journalled(self) -> None:
        if self._written:
            tables = ", ".join(sorted({name.partition("/")[0] for name in self._written}))
            raise RegistryMisuse(f"rows of {tables} were written without a journal row")

    def _require_chained(self) -> None:
        if not self._chained:
            return
        first, _ = self._chained[0]
        sql = "SELECT seq, previous, bytes, hash FROM journal WHERE seq >= ? ORDER BY seq"
        stored = self.each(
            lambda row: (whole(row[0]), chain_hash(blob(row[1]), blob(row[2])), blob(row[3])),
            sql,
            (first,),
        )
        if list(stored) != [(seq, hashed, hashed) for seq, hashed in self._chained]:
            raise self._not_kept("journal")

    def _require_rows(self) -> None:
        latest: dict[str, dict[Key, str | None]] = {}
        for table, key, digest in self._rows:
            latest.setdefault(table, {})[key] = digest
        for table, digests in latest.items():
            keys = iter(digests)
            while some := tuple(islice(keys, _CHUNK)):
                stored = self._digests(table, some)
                if any(stored.get(key) != digests[key] for key in some):
                    raise self._not_kept(table)

    def _digests(self, table: str, keys: Sequence[Key]) -> dict[Value, str]:
        """The digests of the rows that have these keys, by key."""
        layout = self._layout(table)
        marks = ", ".join("?" * len(keys))
        sql = f"SELECT * FROM {table} WHERE {KEYS[table]} IN ({marks})"  # noqa: S608  # the same
        return {row[layout.key]: layout.digest(row) for row in self._run(sql, tuple(keys))}

    def _require_no_such_row(self, table: str, key: Key, only: str) -> None:
        """Check that an update found nothing because nothing is there: a trigger can ignore it."""
        sql = f"SELECT 1 FROM {table} WHERE {KEYS[table]} = ? AND {only}"  # noqa: S608  # the same
        if self._first(sql, (key,)) is not None:
            raise self._not_kept(table)

    def _not_kept(self, table: str) -> RegistryDamaged:
        return tampered(
            self._connection.path, f"a row of {table} that was written did not stay as it was"
        )

    def _journal_head(self) -> tuple[int, bytes]:
        if self._head is None:
            sql = "SELECT seq, hash FROM journal ORDER BY seq DESC LIMIT 1"
            self._head = self.one(lambda row: (whole(row[0]), blob(row[1])), sql) or (0, GENESIS)
        return self._head

    def _note(self, table: str, row: Row) -> Key:
        """Note what a row is now, as SQLite gave it back: `record` journals it; its key."""
        key, digest = self._follow(table, row)
        self._written[f"{table}/{key}"] = digest
        file = self._layout(table).file
        if file is not None:
            self._files[str(key)] = sha256(blob(row[file])).hexdigest()
        return key

    def _follow(self, table: str, row: Row) -> tuple[Key, str]:
        """Remember a row that was written for `check_written`; its key and digest."""
        layout = self._layout(table)
        key = row[layout.key]
        if not isinstance(key, str | int):
            raise damaged(self._connection.path, "holds a row without a key")
        digest = layout.digest(row)
        self._rows.append((table, key, digest))
        self._known.pop(table, None)
        return key, digest

    def _inserted(self, table: str, columns: Mapping[str, Value]) -> Row:
        """Insert one row; the row as SQLite returned it."""
        row = self._first(_inserting(table, tuple(columns)), tuple(columns.values()))
        if row is None:
            raise self._not_kept(table)
        return row

    def _layout(self, table: str) -> _Layout:
        if table not in self._layouts:
            names = list(self.each(lambda row: text(row[1]), f"PRAGMA table_info({table})"))
            self._layouts[table] = _Layout.of(table, names)
        return self._layouts[table]
