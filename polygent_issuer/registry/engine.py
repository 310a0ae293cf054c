"""The interface to a database engine, and the SQL that both engines take.

`sqlite` is for a registry in a file, `postgres` for one in a database. Statements have `?` for each
parameter, and aliases for sub-selects.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from functools import cache
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol, TypeVar

from polygent_issuer.errors import HomeProblem
from polygent_issuer.registry import schema
from polygent_issuer.registry.errors import display_place
from polygent_issuer.registry.records import Row, Value

if TYPE_CHECKING:
    from polygent_issuer.registry.postgres.roles import Session
    from polygent_issuer.registry.postgres.server import ServerFacts

# Rows of one fetch, and parameters of one statement.
CHUNK: Final = 256
MOVED_TO: Final = "SELECT value FROM about WHERE name = 'moved_to'"
REGISTRY_ID: Final = "SELECT value FROM about WHERE name = 'registry_id'"

Params = tuple[Value, ...]
Query = tuple[str, Params]
"""A SELECT with its parameters."""
Change = tuple[str, Iterable[Params]]
"""A statement, and the sets of parameters with which it is executed."""
_Item = TypeVar("_Item")


def where_clause(conditions: Sequence[tuple[str, Params]]) -> tuple[str, Params]:
    """Join conditions with AND; return the clause and its parameters."""
    sql = f"WHERE {' AND '.join(part for part, _ in conditions)} " if conditions else ""
    return sql, tuple(value for _, params in conditions for value in params)


def marks(values: Sequence[object]) -> str:
    """Return a question mark for each value, for the list of an SQL statement."""
    return ", ".join("?" * len(values))


@cache
def inserting(table: str, columns: tuple[str, ...]) -> str:
    """Return the statement that inserts one row into a table."""
    return f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({marks(columns)})"  # noqa: S608  # names of our own


def in_chunks(values: Iterable[_Item]) -> Iterator[tuple[_Item, ...]]:
    """Split values into parts that are small enough for the parameters of one statement."""
    rest = iter(values)
    while chunk := tuple(islice(rest, CHUNK)):
        yield chunk


class State(NamedTuple):
    """The state of a database that the begin of a transaction returns, in the same round trip.

    Attributes:
        version: the version of the tables.
        seq, hash, at: of the last journal row; None without one.
        moved_to: as `Connection.moved_to`.
        registry_id: the permanent id of the registry.
        has_pending: whether the outbox has a row, of any home.
    """

    version: int
    seq: int | None
    hash: bytes | None
    at: str | None
    moved_to: str | None
    registry_id: str | None
    has_pending: bool


class Cursor(Protocol):
    """The rows of a statement."""

    @property
    def description(self) -> Any:  # noqa: ANN401  # PEP 249: a sequence for each column
        """The columns; the first item of each is its name."""

    def fetchone(self) -> Any:  # noqa: ANN401  # a row or None
        """Return the next row, or None."""

    def __iter__(self) -> Iterator[Any]:
        """Iterate over the rows."""

    def close(self) -> None:
        """Free the rows."""


class Connection(ABC):
    """A connection to an existing registry.

    Every error of the engine is translated to one of `errors`.

    Attributes:
        place: the file or the database; its text is for messages.
        reads_back: whether written rows must be read back before the COMMIT.
        state: at the opening, or at the last begin; None for a file, and before there are tables.
    """

    place: Path | str
    reads_back: bool = True
    state: State | None = None

    @abstractmethod
    def tables(self) -> int:
        """Return the version of the tables: the number of migrations so far."""

    def require_known(self, version: int) -> None:
        """Refuse tables that a later version of this tool wrote (`registry_newer`)."""
        known = len(schema.MIGRATIONS)
        if version > known:
            raise HomeProblem(
                f"the registry {display_place(self.place)} was written by a newer polygent-issue "
                f"(its tables have version {version}; this tool supports {known})",
                hint="update this tool to that version",
                code="registry_newer",
            )

    @abstractmethod
    def moved_to(self) -> str | None:
        """Return the place to which the content was moved; None for a registry in use."""

    @abstractmethod
    def require_blank(self) -> None:
        """Refuse a place that has any table: `registry_exists`."""

    @abstractmethod
    def create_tables(self) -> None:
        """Create the tables of this version in the open transaction."""

    def settle(self) -> None:  # noqa: B027  # of one engine
        """Make lasting settings after the creation; call this only for a registry."""

    def session(self) -> "Session | None":
        """Return the user at a server with the roles that it has; None for a file."""
        return None

    def upgrade(self) -> int:
        """Upgrade the tables in a database, as their owner; return their earlier version.

        The next command that opens a file upgrades it, so this does nothing.

        Raises:
            HomeProblem: (`registry_newer`, `registry_role`) for tables of a later version, or a
                user who is not the owner.
            RegistryDamaged: (`registry_damaged`) when the tables were changed.
        """
        return self.tables()

    @abstractmethod
    def begin_reading(self) -> None:
        """Begin a transaction that sees one snapshot and cannot write."""

    @abstractmethod
    def end_reading(self) -> None:
        """End the transaction of `begin_reading`."""

    @abstractmethod
    def begin_writing(self, *, journal: bool = True) -> None:
        """Begin a transaction that writes, after all others that write have ended.

        Args:
            journal: whether it writes journal rows. If not, a server lets it overtake others, and
                may lose it in a crash, after which the next command does the same.

        Raises:
            RegistryLocked: (`registry_locked`) after the time limit.
            RegistryMisuse: (`registry_misuse`) when a transaction is open.
            RegistryChanged: (`registry_changed`) when the registry was replaced meanwhile.
        """

    @abstractmethod
    def require_current(self) -> None:
        """Check within a transaction that writes that the tables are as this tool creates them."""

    @abstractmethod
    def commit(self, head: tuple[int, bytes] | None) -> None:
        """Commit the open transaction.

        Args:
            head: the number and the hash of the last journal row that it wrote, if any.
        """

    @abstractmethod
    def roll_back(self) -> None:
        """Undo the transaction if it is still open; never raises an error."""

    @abstractmethod
    def begin_part(self) -> None:
        """Begin a part of the transaction that can be undone alone."""

    def end_part(self) -> None:
        """Keep the part."""
        self.run("RELEASE SAVEPOINT part").close()

    @abstractmethod
    def undo_part(self) -> None:
        """Undo the part; if this fails, nothing is committed."""

    @abstractmethod
    def data_version(self) -> int | None:
        """Return a number that another connection's commit changes, or None without one."""

    def version_after(self, version: int | None, head: tuple[int, bytes] | None) -> int | None:  # noqa: ARG002  # of one engine
        """Return what `data_version` is after a commit of this connection.

        Args:
            version: before the transaction.
            head: as for `commit`.
        """
        return version

    @abstractmethod
    def run(self, sql: str, params: Params = ()) -> Cursor:
        """Execute one statement."""

    def read_ahead(self, queries: Sequence[Query]) -> None:  # noqa: B027  # of a server alone
        """Execute queries that will follow before the next write, in one round trip to a server.

        Before a transaction that is the round trip of its begin.
        """

    @abstractmethod
    def first(self, sql: str, params: Params = ()) -> tuple[tuple[Any, ...], Row | None]:
        """Return the description of each column (PEP 249) and the first row, or None."""

    @abstractmethod
    def change(self, sql: str, params: Params) -> int:
        """Execute a statement without result rows; return how many rows it changed."""

    @abstractmethod
    def insert(self, sql: str, params: Params, key: str) -> tuple[int, Value]:
        """Execute an INSERT of one row; return how many rows it inserted, and a number made for it.

        Args:
            key: the column with that number, if its value is not given.
        """

    def add(self, sql: str, params: Params) -> int:
        """Execute an INSERT of one row whose key is given; return how many rows it inserted.

        A server may get it together with the next statement, which then raises its error.
        """
        return self.change(sql, params)

    @abstractmethod
    def run_many(self, sql: str, several: Iterable[Params]) -> None:
        """Execute a statement without result rows once for each set of parameters."""

    @abstractmethod
    def fetch(self, cursor: Any, count: int) -> list[Row]:  # noqa: ANN401  # as returned by `run`
        """Return up to `count` rows of a cursor; an empty list at its end."""

    @abstractmethod
    def columns(self, table: str) -> tuple[str, ...]:
        """Return the columns of a table in their order; empty without such a table."""

    @abstractmethod
    def schema_problems(self, version: int | None = None) -> tuple[str, ...]:
        """Return a line for each table, index, view or trigger that is not as this tool creates it.

        Args:
            version: the version of the tables; default: that of this tool.
        """

    def damage(self) -> tuple[str, ...]:
        """Check the stored pages and references; return a line for each problem.

        A server checks its pages, and keeps every reference.
        """
        return ()

    def facts(self) -> "ServerFacts | None":
        """Return facts about the server, or None for a file."""
        return None

    @abstractmethod
    def copy_into(self, path: Path, *, named: Path, then: Iterable[Change] = ()) -> None:
        """Copy the whole registry, as the open transaction sees it, to an empty SQLite file.

        The file is not synced. An error of the copy is `output_failed` and names `named`.

        Args:
            path: the file.
            named: the path for messages.
            then: changes of the copy, each a statement with the sets of its parameters.
        """

    @abstractmethod
    def close(self) -> None:
        """Close the connection and undo an open transaction; never raises an error."""

    def stream(self, sql: str, params: Params = ()) -> Iterator[Row]:
        """Execute one statement, and yield its rows."""
        with closing(self.run(sql, params)) as cursor:
            yield from self.fetch_all(cursor)

    def fetch_all(self, cursor: Cursor) -> Iterator[Row]:
        """Yield the remaining rows of a cursor."""
        while rows := self.fetch(cursor, CHUNK):
            yield from rows

    @contextmanager
    def closed_on_error(self) -> Iterator[None]:
        """Close the connection if the block raises anything."""
        try:
            yield
        except BaseException:
            self.close()
            raise
