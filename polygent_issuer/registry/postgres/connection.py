"""The engine of a registry in PostgreSQL, for a team (extra `[postgres]`).

A transaction that writes first takes one advisory lock, as SQLite's writers take the lock of the
file: so the decision is compared, and the rows and the journal are written, without anyone else.
The server gives the lock to those who wait in their order, and signing happens before. Readers see
a snapshot, and wait for no writer.

A connection that is lost at the COMMIT leaves open whether it happened. Then the journal is asked
on a new connection, after the old transaction has ended.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import timedelta
from itertools import chain, islice
from pathlib import Path
from typing import Any, Final

import psycopg

from polygent_issuer.registry import schema
from polygent_issuer.registry.engine import CHUNK, Change, Connection, Cursor, Params, Query, State
from polygent_issuer.registry.errors import RegistryFailed, RegistryMisuse, damaged, exists
from polygent_issuer.registry.postgres import copying, server, session, tables, transactions
from polygent_issuer.registry.postgres.errors import FOREIGN, translate
from polygent_issuer.registry.postgres.roles import Session
from polygent_issuer.registry.postgres.server import QUERY, ServerFacts, interpret
from polygent_issuer.registry.postgres.session import Statements
from polygent_issuer.registry.records import Row, Value

_PART: Final = "SAVEPOINT part"
# The rows of other statements stay on the server until they are fetched, which takes more round
# trips: those of whole tables are many.
_FEW: Final = (
    *(" = ?", " IN (?", "LIMIT 1", "count(*)", "license IS NULL"),
    *(f"FROM {table}" for table in ("outbox", "keys", "seals", "about", "tables", "pg_attribute")),
)


def open_database(place: str, *, busy_timeout: timedelta, migrate: bool) -> "PostgresConnection":
    """Open the registry of a database, as `Registry.open`.

    With `migrate`, older tables are refused (`registry_older`); they are never changed by the way.
    """
    connection = PostgresConnection(place, busy_timeout=busy_timeout)
    with connection.closed_on_error():
        version = connection.tables()
        connection.require_known(version)
        if migrate:
            tables.require_newest(place, version)
    return connection


class PostgresConnection(Connection):
    """A connection to a database."""

    # Only the owner can add a trigger that changes what others write.
    reads_back = False

    def __init__(self, place: str, *, busy_timeout: timedelta, blank: bool = False) -> None:
        """Connect.

        Args:
            place: a URI from `registry_uri.parse`.
            busy_timeout: the longest time to wait for another command, or for a lost server.
            blank: the tables may not exist yet.
        """
        self._blank = blank
        self.place: str = place
        self._timeout = busy_timeout
        self._session: Session | None = None
        self._warned = False
        self._columns: dict[str, tuple[str, ...]] = {}
        self._ended = False
        self._statements = Statements(self._connect)

    def _connect(self) -> session.Connected:
        connected = session.connect(self.place, timeout=self._timeout)
        connected.add_notice_handler(self._note_warning)
        return connected

    def _note_warning(self, diagnostic: psycopg.errors.Diagnostic) -> None:
        if diagnostic.severity_nonlocalized == "WARNING":
            self._warned = True

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except FOREIGN as error:
            raise translate(error, self.place) from error

    def session(self) -> Session:
        """Return the user with the roles that it has, by its privileges at the opening."""
        if self._session is None:
            self.tables()
        return self._session or Session(user="", roles=())

    # Transactions

    def begin_reading(self) -> None:
        """Begin a transaction that sees one snapshot and cannot write."""
        self._begin((*transactions.SNAPSHOT, transactions.STATE))

    def end_reading(self) -> None:
        """End the transaction of `begin_reading`."""
        self._statements.end()

    def begin_writing(self, *, journal: bool = True) -> None:
        """Begin a transaction, with the advisory lock of all writers if it writes a journal row."""
        begin = transactions.BEGIN if journal else transactions.UNLOCKED
        self._begin(begin if self._blank else (*begin, transactions.STATE))

    def _begin(self, statements: Sequence[str]) -> None:
        """Begin a transaction; a connection that was lost while idle is made again."""
        if self._ended:
            raise RegistryMisuse("the registry was used after closing")
        if not self._statements.is_idle:
            raise RegistryMisuse("a transaction of the registry is open already")
        if not self._is_lost:
            try:
                self._execute_all(statements)
            except RegistryFailed:
                if not self._is_lost:
                    raise
            else:
                return
        self._statements.reconnect()
        self._execute_all(statements)

    @property
    def _is_lost(self) -> bool:
        return self._statements.pg.closed

    def _execute_all(self, statements: Sequence[str]) -> None:
        """Execute the statements of a begin, and keep the state that the last one returns."""
        try:
            row = self._statements.begin(statements)
        except FOREIGN as error:
            self.roll_back()
            raise server.named(translate(error, self.place), self.first) from error
        self.state = None if self._blank or row is None else State(*row)

    def require_current(self) -> None:
        """Check that the tables have the version of this tool."""
        version = 0 if self.state is None else self.state.version
        self.require_known(version)
        if version != len(schema.MIGRATIONS):
            raise damaged(self.place, "has tables of another version")

    def commit(self, head: tuple[int, bytes] | None) -> None:
        """Commit the open transaction; if the connection is lost, find out whether it happened."""
        self._warned = False
        try:
            outcome = self._statements.commit()
            if self._warned:  # it did not wait for its synchronous standby
                self._statements.execute(transactions.CONFIRM).close()
        except KeyboardInterrupt:
            if self._warned:
                raise transactions.unconfirmed(self.place) from None
            raise
        except FOREIGN as error:
            if not self._is_lost or head is None:
                raise translate(error, self.place) from error
            reconnect = self._statements.reconnect
            transactions.require_committed(self, reconnect, head, timeout=self._timeout)
            return
        if outcome != "COMMIT":
            raise RegistryMisuse("a statement of the transaction had failed")
        self._blank = False

    def roll_back(self) -> None:
        """Undo the transaction if it is still open."""
        self._statements.roll_back()

    def begin_part(self) -> None:
        """Begin a part of the transaction that can be undone alone."""
        self._statements.queue(_PART)

    def undo_part(self) -> None:
        """Undo the part; if this fails, nothing is committed."""
        if not self._statements.unqueue(_PART):
            self.run("ROLLBACK TO SAVEPOINT part").close()
            self.end_part()

    def data_version(self) -> int | None:
        """Return the journal's head: every change of a row that is compared changes it."""
        head = None if self.state is None else self.state.hash
        return None if head is None else int.from_bytes(head)

    def version_after(self, version: int | None, head: tuple[int, bytes] | None) -> int | None:
        """Return what `data_version` is after a commit: the head that it wrote."""
        return version if head is None else int.from_bytes(head[1])

    # Statements

    def run(self, sql: str, params: Params = ()) -> Cursor:
        """Execute one statement; the rows of a whole table stay on the server until fetched."""
        with self._translated():
            is_large = sql.startswith("SELECT") and not any(each in sql for each in _FEW)
            if is_large and not self._statements.is_ahead(sql, params):
                return self._statements.execute_large(sql, params)
            return self._statements.select(sql, params)

    def read_ahead(self, queries: Sequence[Query]) -> None:
        """Execute queries that will follow before the next write, in one round trip.

        Before a transaction that is the round trip of its begin.
        """
        with self._translated():
            self._statements.read_ahead(queries)

    def first(self, sql: str, params: Params = ()) -> tuple[tuple[Any, ...], Row | None]:
        """Return the description of each column (PEP 249) and the first row, or None."""
        with self._translated(), closing(self._statements.select(sql, params)) as cursor:
            row: Row | None = cursor.fetchone()
            return tuple(cursor.description or ()), row

    def change(self, sql: str, params: Params) -> int:
        """Execute a statement without result rows; return how many rows it changed."""
        with self._translated(), closing(self._statements.execute(sql, params)) as cursor:
            return cursor.rowcount

    def add(self, sql: str, params: Params) -> int:
        """Execute an INSERT together with the next statement; return 1."""
        self._statements.queue(sql, params)
        return 1

    def insert(self, sql: str, params: Params, key: str) -> tuple[int, Value]:
        """Execute an INSERT of one row; return how many rows it inserted, and its key."""
        returning = f"{sql} RETURNING {key}"
        with self._translated(), closing(self._statements.execute(returning, params)) as cursor:
            row = cursor.fetchone()
            return (0, None) if row is None else (1, row[0])

    def run_many(self, sql: str, several: Iterable[Params]) -> None:
        """Execute a statement without result rows once for each set of parameters."""
        rows = iter(several)
        if len(first := tuple(islice(rows, CHUNK))) < CHUNK:
            for row in first:
                self._statements.queue(sql, row)
            return
        with self._translated():
            self._statements.execute_many(sql, chain(first, rows))

    def fetch(self, cursor: Any, count: int) -> list[Row]:  # noqa: ANN401  # as returned by `run`
        """Return up to `count` rows of a cursor; an empty list at its end."""
        with self._translated():
            rows: list[Row] = cursor.fetchmany(count)
            return rows

    # Tables

    def tables(self) -> int:
        """Return the version of the tables; `registry_missing` without any."""
        try:
            row = self._statements.execute(transactions.OPENING).fetchone()
        except (psycopg.errors.UndefinedTable, psycopg.errors.InsufficientPrivilege):
            self._require_settings()
            raise tables.missing(self) from None
        except FOREIGN as error:
            raise translate(error, self.place) from error
        if row is None:
            self.state, self._session = None, None
            return 0
        self.state, self._session = transactions.opened(row)
        return self.state.version

    def moved_to(self) -> str | None:
        """Return the place that `tables`, or the begin of the transaction, has read."""
        return None if self.state is None else self.state.moved_to

    def _require_settings(self) -> None:
        if self.first("SHOW search_path")[1] != (session.SEARCH_PATH,):
            raise session.without_settings(self.place)

    def require_blank(self) -> None:
        """Refuse a database with a schema of this name: `registry_exists`."""
        self._require_settings()
        if self.first("SELECT to_regnamespace('polygent')::text")[1] != (None,):
            raise exists(self.place)

    def create_tables(self) -> None:
        """Create the schema and the tables of this version in the open transaction."""
        tables.create(self)
        self._note_tables("INSERT INTO tables (version, objects) VALUES (?, ?)")
        self.state = None
        self._columns.clear()

    def upgrade(self) -> int:
        """Upgrade the tables in one transaction, as their owner; return their earlier version."""
        self.begin_writing()
        try:
            version = self.tables()
            self.require_known(version)
            if version < len(schema.MIGRATIONS):
                tables.upgrade(self, version)
                self._note_tables("UPDATE tables SET version = ?, objects = ?")
            self.commit(None)
        except BaseException:
            self.roll_back()
            raise
        return version

    def _note_tables(self, sql: str) -> None:
        self.change(sql, (len(schema.MIGRATIONS), self._objects()))

    def columns(self, table: str) -> tuple[str, ...]:
        """Return the columns of a table in their order; empty without such a table."""
        if not self._columns:  # of all tables in one round trip
            for name, column in self.stream(tables.COLUMNS):
                self._columns[str(name)] = (*self._columns.get(str(name), ()), str(column))
        return self._columns.get(table, ())

    def schema_problems(self, version: int | None = None) -> tuple[str, ...]:  # noqa: ARG002  # in `tables`
        """Return a line for each object that is not as this tool creates it."""
        _, row = self.first("SELECT objects FROM tables")
        return tables.differences(self._objects(), "" if row is None else str(row[0]))

    def _objects(self) -> str:
        sql = f"SELECT string_agg(line, chr(10) ORDER BY line) FROM ({tables.OBJECTS}) AS objects (line)"  # noqa: S608, E501
        _, row = self.first(sql)
        return str(row[0]) if row else ""

    def facts(self) -> ServerFacts:
        """Return facts about the server."""
        return interpret(
            self.first(QUERY)[1],
            self.session(),
            is_local=self._statements.pg.info.host.startswith(("/", "@")),
            has_tls=self._statements.pg.pgconn.ssl_in_use,
        )

    def copy_into(self, path: Path, *, named: Path, then: Iterable[Change] = ()) -> None:
        """Copy the whole registry, as the open transaction sees it, to an empty SQLite file."""
        copying.write_file(self, path, named=named, then=then)

    def close(self) -> None:
        """Close the connection and undo an open transaction."""
        self._ended = True
        self._statements.close()
