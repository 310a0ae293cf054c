"""An open transaction: `Reading` for one snapshot, `Writing` for changes and their journal row."""

import sqlite3
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import Any, Final, TypeVar
from weakref import WeakSet

from polygent_issuer.registry.columns import Row, Value, blob, canonical, moment_text, whole
from polygent_issuer.registry.connection import Connection, Params
from polygent_issuer.registry.digests import GENESIS, chain_hash, row_digest
from polygent_issuer.registry.errors import RegistryMisuse
from polygent_issuer.registry.failures import damaged
from polygent_issuer.registry.records import Actor
from polygent_issuer.registry.schema import JOURNALED

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
            try:
                record = build(row)
            except _UNREADABLE as error:
                raise damaged(self._connection.path, "holds a row that cannot be read") from error
            yield record

    def one(self, build: Callable[[Row], _Record], sql: str, params: Params = ()) -> _Record | None:
        """The first record, or None; errors as `each`."""
        return next(self.each(build, sql, params), None)

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

    def _run(self, sql: str, params: Params) -> sqlite3.Cursor:
        if self._ended:
            raise RegistryMisuse("the transaction has ended")
        cursor = self._connection.run(sql, params)
        self._cursors.add(cursor)
        return cursor

    def _stream(self, cursor: sqlite3.Cursor) -> Iterator[Row]:
        with closing(cursor):
            while rows := self._connection.fetch(cursor, _CHUNK):
                yield from rows


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
        self._touched: dict[tuple[str, Key], None] = {}
        self._head: tuple[int, bytes] | None = None

    @property
    def at(self) -> str:
        """`now` as rows store it."""
        return moment_text(self.now)

    def insert(self, table: str, **columns: Value) -> int:
        """Add one row, noted for the journal; the rowid.

        Raises:
            Taken: (`taken`) when what must be unique is there already.
        """
        names, marks = ", ".join(columns), ", ".join("?" * len(columns))
        sql = f"INSERT INTO {table} ({names}) VALUES ({marks})"  # noqa: S608  # names of our own
        cursor = self._run(sql, tuple(columns.values()))
        rowid = whole(cursor.lastrowid)
        key = columns.get(JOURNALED[table])
        self.touch(table, key if isinstance(key, str) else rowid)
        return rowid

    def update(self, table: str, key: Key, only: str = "1", /, **columns: Value) -> bool:
        """Change one row by its key, noted for the journal; whether there was one to change.

        Args:
            only: a condition on the row, as SQL of our own.
            columns: the new values.

        Raises:
            Taken: (`taken`) when what must be unique is there already.
        """
        names = ", ".join(f"{name} = ?" for name in columns)
        sql = f"UPDATE {table} SET {names} WHERE {JOURNALED[table]} = ? AND {only}"  # noqa: S608  # likewise
        if self._run(sql, (*columns.values(), key)).rowcount == 0:
            return False
        self.touch(table, key)
        return True

    def touch(self, table: str, key: Key) -> None:
        """Note that a row was written or deleted; `record` journals what it is by then."""
        self._touched[table, key] = None
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
        """Append one journal row with the digests of the rows touched since the last one.

        Args:
            event: what was done, such as `license-signed`.
            customer: the slug; `license` the `jti`; `kid` the key that it is about.
            accepted: codes of the findings that were accepted; `reason` says why.
            details: what else explains the act; JSON.
        """
        seq, previous = self._journal_head()
        rows, files = self._digests()
        body = canonical(
            {
                "accepted": [str(code) for code in accepted],
                "at": self.at,
                "customer": customer,
                "event": event,
                "files": files,
                "host": self.actor.host,
                "kid": kid,
                "license": license,
                "operator": self.actor.operator,
                "os_user": self.actor.os_user,
                "particulars": dict(details or {}),
                "reason": reason,
                "rows": rows,
                "seq": seq + 1,
                "uid": self.actor.uid,
            }
        ).encode()
        chained = chain_hash(previous, body)
        sql = "INSERT INTO journal (seq, previous, bytes, hash) VALUES (?, ?, ?, ?)"
        self._run(sql, (seq + 1, previous, body, chained))
        self._head = seq + 1, chained
        self._known["journal"] = {"newest": self.now}

    @contextmanager
    def part(self) -> Iterator[None]:
        """What is written in the block stands or falls together, and the rest with neither.

        Raises:
            RegistryMisuse: (`registry_misuse`) where something is not journalled yet.
            IssuerError: what the block raises, when all that it wrote is undone.
        """
        self._require_journalled()
        self._run("SAVEPOINT part", ()).close()
        try:
            yield
        except BaseException:
            self._touched.clear()
            self._known.clear()
            self._head = None
            self._connection.undo_part()
            raise
        self._run("RELEASE part", ()).close()

    def end(self) -> None:
        """As `Reading.end`; then nothing may be left that no journal row tells of.

        Raises:
            RegistryMisuse: (`registry_misuse`) for a forgotten `record`.
        """
        super().end()
        self._require_journalled()

    def _require_journalled(self) -> None:
        if self._touched:
            tables = ", ".join(sorted({table for table, _ in self._touched}))
            raise RegistryMisuse(f"rows of {tables} were written without a journal row")

    def _journal_head(self) -> tuple[int, bytes]:
        if self._head is None:
            sql = "SELECT seq, hash FROM journal ORDER BY seq DESC LIMIT 1"
            self._head = self.one(lambda row: (whole(row[0]), blob(row[1])), sql) or (0, GENESIS)
        return self._head

    def _digests(self) -> tuple[dict[str, str | None], dict[str, str]]:
        """Of the touched rows (None for a deleted one), and of the `.lic` among them."""
        rows: dict[str, str | None] = {}
        files: dict[str, str] = {}
        for table, key in self._touched:
            sql = f"SELECT * FROM {table} WHERE {JOURNALED[table]} = ?"  # noqa: S608  # likewise
            with closing(self._run(sql, (key,))) as cursor:
                names = [column[0] for column in cursor.description]
                found = self._connection.fetch(cursor, 1)
            rows[f"{table}/{key}"] = row_digest(names, found[0]) if found else None
            for name, value in zip(names, found[0], strict=True) if found else ():
                if (table, name) == ("licenses", "file"):
                    files[str(key)] = sha256(blob(value)).hexdigest()
        self._touched.clear()
        return rows, files
