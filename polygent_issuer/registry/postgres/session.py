"""A session on a PostgreSQL server: its settings, and its statements in few round trips.

A statement whose result is not needed waits for the next one, and both are sent together. Queries
that will follow are sent together, too (`read_ahead`). The end of a snapshot is sent at once, but
its answer is read before the next statement: so no transaction is open while something is shown,
asked or signed, and the command does not wait for its end.
"""

import logging
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from datetime import timedelta
from functools import lru_cache
from typing import Any, Final

import psycopg
from psycopg.generators import fetch_many
from psycopg.pq import TransactionStatus

from polygent_issuer.registry.engine import Cursor, Params, Query
from polygent_issuer.registry.errors import RegistryFailed, display_place
from polygent_issuer.registry.postgres.errors import FOREIGN, unreachable
from polygent_issuer.registry.postgres.server import APPLICATION
from polygent_issuer.registry.records import Row
from polygent_issuer.registry_uri import VERIFIED
from polygent_issuer.text import Hint, run

_CONNECT_TIMEOUT: Final = timedelta(seconds=10)
SEARCH_PATH: Final = "polygent,pg_catalog,pg_temp"
_SETTINGS: Final = {
    "search_path": SEARCH_PATH,
    "client_encoding": "UTF8",
    "bytea_output": "hex",
    "standard_conforming_strings": "on",
    # A COMMIT that did not wait for its standby has a warning, which a user's setting would hide.
    "client_min_messages": "warning",
    # The server notices within half a minute that a computer is gone, and releases its lock.
    "tcp_keepalives_idle": 10,
    "tcp_keepalives_interval": 5,
    "tcp_keepalives_count": 3,
}
_END: Final = "ROLLBACK"

Connected = psycopg.Connection[tuple[Any, ...]]

# Otherwise a statement that fails among several ones would print the library's log on stderr.
logging.getLogger("psycopg").addHandler(logging.NullHandler())


def connect(place: str, *, timeout: timedelta) -> Connected:
    """Connect to a database.

    Args:
        place: a URI from `registry_uri.parse`.
        timeout: the longest time to wait for a lock, or for a network without an answer.

    Raises:
        RegistryFailed: (`registry_failed`) when the server cannot be reached.
    """
    wait = round(timeout.total_seconds() * 1000)
    settings = {**_SETTINGS, "lock_timeout": wait}
    try:
        # On a local socket libpq disregards `sslmode`.
        return psycopg.connect(
            place,
            autocommit=True,
            sslmode=VERIFIED,
            gssencmode="disable",  # with a ticket of Kerberos libpq would disregard `sslmode`
            application_name=APPLICATION,
            connect_timeout=math.ceil(min(_CONNECT_TIMEOUT, timeout).total_seconds()),
            keepalives_idle=10,
            keepalives_interval=5,
            keepalives_count=3,
            tcp_user_timeout=wait,
            options=" ".join(f"-c {name}={value}" for name, value in settings.items()),
        )
    except psycopg.Error as error:
        raise unreachable(error, place) from error


def without_settings(place: str) -> RegistryFailed:
    """Return the error for a pool of connections that drops the settings of a session."""
    return RegistryFailed(
        f"cannot use the registry {display_place(place)}: a pool of connections such as PgBouncer "
        "drops the settings of the session",
        hint=Hint("name the server itself in the URI: ", run("help", "team")),
    )


@lru_cache(maxsize=512)
def _formatted(sql: str) -> str:
    """Return a statement with the marks of psycopg."""
    return sql.replace("%", "%%").replace("?", "%s")


class _Ahead(psycopg.Cursor[Row]):
    """The rows of a query that was executed ahead, which may be needed again."""

    def close(self) -> None:
        """Keep the rows."""


class Statements:
    """The statements of one connection, which is made again if it is lost.

    Attributes:
        pg: the present session.
    """

    def __init__(self, connect: Callable[[], Connected]) -> None:
        """Connect."""
        self._connect = connect
        self.pg = connect()
        self._queued: list[tuple[str, Params]] = []
        self._cursors = 0
        # The rows of queries that were executed ahead, which any write may change.
        self._ahead: dict[Query, _Ahead] = {}
        # Those to be executed together with the next begin.
        self._announced: Sequence[Query] = ()
        # Whether the answer to the end of a snapshot is still to be read.
        self._ending = False

    def reconnect(self) -> None:
        """Connect again."""
        self.pg.close()
        self._queued.clear()
        self._ending = False
        self.pg = self._connect()

    @property
    def is_idle(self) -> bool:
        """True if no transaction is open."""
        idle = TransactionStatus.IDLE, TransactionStatus.UNKNOWN
        return self._ending or self.pg.info.transaction_status in idle

    def queue(self, sql: str, params: Params = ()) -> None:
        """Execute a statement together with the next one, which raises its error."""
        self._ahead.clear()
        self._queued.append((sql, params))

    def unqueue(self, sql: str) -> bool:
        """Remove a queued statement with all later ones, or without it all; return which."""
        queued = [each for each, _ in self._queued]
        is_queued = sql in queued
        del self._queued[queued.index(sql) if is_queued else 0 :]
        return is_queued

    def select(self, sql: str, params: Params = ()) -> Cursor:
        """Execute a query, unless it was executed ahead."""
        rows = self._ahead.get((sql, params))
        if rows is None:
            return self.execute(sql, params)
        if rows.rowcount:
            rows.scroll(0, mode="absolute")
        return rows

    def is_ahead(self, sql: str, params: Params) -> bool:
        """Return whether a query was executed ahead."""
        return (sql, params) in self._ahead

    def read_ahead(self, queries: Sequence[Query]) -> None:
        """Execute queries in one round trip; `select` then returns their rows until a write.

        Before a transaction that is the round trip of its begin.
        """
        if self.is_idle:
            self._announced = queries
            return
        missing = [each for each in queries if each not in self._ahead]
        if missing:
            self.send_queued()
            with self._pipeline():
                self._select_each(missing)

    def execute(self, sql: str, params: Params = ()) -> psycopg.Cursor[Row]:
        """Execute a statement after the queued ones, in one round trip."""
        if not sql.startswith("SELECT"):
            self._ahead.clear()
        self._settle()
        queued, self._queued = self._queued, []
        if not queued:
            return self.pg.execute(_formatted(sql), params)
        with self._pipeline():
            self._execute_each(queued)
            return self.pg.execute(_formatted(sql), params)

    def execute_many(self, sql: str, several: Iterable[Params]) -> None:
        """Execute a statement once for each set of parameters, after the queued ones."""
        self._ahead.clear()
        self._settle()
        queued, self._queued = self._queued, []
        with self._pipeline(), self.pg.cursor() as cursor:
            self._execute_each(queued)
            cursor.executemany(_formatted(sql), several)

    def execute_large(self, sql: str, params: Params) -> psycopg.ServerCursor[Row]:
        """Execute a query whose rows stay on the server until they are fetched."""
        self.send_queued()
        self._cursors += 1
        large = self.pg.cursor(name=f"rows_{self._cursors}")
        try:
            return large.execute(_formatted(sql), params)
        except BaseException:
            large.close()
            raise

    def send_queued(self) -> None:
        """Execute the queued statements."""
        if self._queued:
            self.execute(*self._queued.pop()).close()

    def begin(self, statements: Sequence[str]) -> tuple[Any, ...] | None:
        """Execute the statements that begin a transaction; return the row of the last one."""
        self._ahead.clear()
        self._settle()
        if self._announced:
            with self._pipeline():
                for each in statements:
                    cursor = self.pg.execute(each)
                self._select_each(self._announced)
            self._announced = ()
        else:
            cursor = self.pg.execute("; ".join(statements))
            while cursor.nextset():
                pass
        with closing(cursor):
            return cursor.fetchone() if cursor.description else None

    def commit(self) -> str | None:
        """Execute COMMIT after the queued statements, in one round trip; return its outcome."""
        # If one of them fails, the server skips the rest.
        queued, self._queued = self._queued, []
        with self._pipeline():
            self._execute_each(queued)
            cursor = self.pg.execute("COMMIT", prepare=False)
        with closing(cursor):
            return cursor.statusmessage

    def roll_back(self) -> None:
        """Undo the transaction if it is still open."""
        self._queued.clear()
        self._ahead.clear()
        with suppress(*FOREIGN):
            if not self.is_idle:
                self.pg.execute(_END).close()

    def end(self) -> None:
        """Undo the transaction if it is still open, without waiting for the answer."""
        self._queued.clear()
        self._ahead.clear()
        with suppress(*FOREIGN):
            if not self.is_idle:
                self.pg.pgconn.send_query(_END.encode())
                self.pg.pgconn.flush()
                self._ending = True

    def close(self) -> None:
        """Close the connection."""
        with suppress(*FOREIGN):
            self.pg.close()

    @contextmanager
    def _pipeline(self) -> Iterator[None]:
        """Send statements together.

        After an error psycopg would count those that the server skipped as prepared.
        """
        try:
            with self.pg.pipeline():
                yield
        except BaseException:
            self.pg.prepare_threshold = None
            raise

    def _select_each(self, queries: Sequence[Query]) -> None:
        for sql, params in queries:
            self._ahead[sql, params] = _Ahead(self.pg).execute(_formatted(sql), params)

    def _execute_each(self, statements: Iterable[tuple[str, Params]]) -> None:
        for sql, params in statements:
            self.pg.execute(_formatted(sql), params)

    def _settle(self) -> None:
        """Read the answer to the end of a snapshot."""
        if self._ending:
            self._ending = False
            self.pg.wait(fetch_many(self.pg.pgconn))
