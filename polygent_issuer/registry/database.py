"""The registry: create it explicitly, open it, begin transactions."""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

from polygent_issuer.errors import HomeProblem
from polygent_issuer.files.reading import LOOK_FOR_CHANGES, require_unexposed
from polygent_issuer.registry import schema
from polygent_issuer.registry.engine import Connection, Query
from polygent_issuer.registry.errors import (
    Place,
    RegistryDamaged,
    RegistryFailed,
    RegistryMissing,
    RegistryMisuse,
    damaged,
    display_place,
    exists,
    moved,
)
from polygent_issuer.registry.reading import Reading
from polygent_issuer.registry.records import Actor, as_bytes, json_object
from polygent_issuer.registry.sqlite import BESIDE, SqliteConnection
from polygent_issuer.registry.sqlite_file import make_private, migrate_file, unusable
from polygent_issuer.registry.writing import Writing
from polygent_issuer.text import Hint, run

if TYPE_CHECKING:
    from polygent_issuer.registry.row_check import RowCheck

REGISTRY_FILE: Final = "registry.db"
BUSY_TIMEOUT: Final = timedelta(seconds=30)


class Registry:
    """An open registry; a transaction is a `with` block, and only one can be open.

    If another process locks it for longer than the timeout, RegistryLocked (`registry_locked`) is
    raised.

    Attributes:
        connection: that of the engine.
    """

    def __init__(self, connection: Connection) -> None:
        """Use a connection that `create` or `open` has checked."""
        self.connection = connection
        self._id: str | None = None
        # The data version of the file after the last transaction, and its compared rows.
        self._last_check: tuple[int | None, RowCheck] | None = None

    @classmethod
    def create(
        cls,
        place: Place,
        *,
        now: datetime,
        actor: Actor,
        registry_id: str,
        fill: Callable[[Writing], Mapping[str, object]] = lambda _: {},
        busy_timeout: timedelta = BUSY_TIMEOUT,
    ) -> Self:
        """Create a registry in one transaction; an interrupted creation is started again.

        Args:
            place: the new file in an existing folder, or the URI of an existing database
                (`registry_exists` if there is a registry).
            registry_id: the permanent id of the registry.
            fill: writes the first rows, and returns further details of the journal row.
            busy_timeout: the longest time to wait for another process.
        """
        connection = _created(place, busy_timeout)
        registry = cls(connection)
        with connection.closed_on_error():
            # Another process may have created it in between.
            with registry.writing(now=now, actor=actor, judge=connection.require_blank) as db:
                connection.create_tables()
                db.insert("about", name="registry_id", value=registry_id)
                db.record("registry-created", details={"registry": registry_id, **fill(db)})
            connection.settle()
        return registry

    @classmethod
    def open(
        cls,
        place: Place,
        *,
        busy_timeout: timedelta = BUSY_TIMEOUT,
        migrate: bool = True,
        read_only: bool = False,
        closed: bool = False,
    ) -> Self:
        """Open an existing registry and migrate its file; never create one.

        Args:
            place: the file, or the URI of the database.
            busy_timeout: the longest time to wait for another process.
            migrate: bring older tables up to date; without it `is_up_to_date` is False for them.
            read_only: never write to the file.
            closed: also open a registry that was moved, or that a move has not yet opened.

        Raises:
            RegistryMoved: (`registry_moved`) when its content is in another place now.
            RegistryMissing: (`registry_missing`) when the file does not exist.
            RegistryDamaged: (`registry_damaged`) when the file is not a registry.
            HomeProblem: (`registry_newer`) when a later version of this tool wrote it.
            RegistryFailed: (`registry_failed`) when the system cannot read it; with `read_only`
                also when a command was interrupted, or the tables are of an older version.
        """
        connection = _opened(place, busy_timeout=busy_timeout, migrate=migrate, read_only=read_only)
        if not closed:
            with connection.closed_on_error():
                require_in_use(connection)
        return cls(connection)

    @property
    def id(self) -> str:
        """The permanent id that was given to `create`."""
        if self._id is None and (state := self.connection.state) is not None:
            self._id = state.registry_id
        if self._id is None:
            with self.reading(checked=False) as db:
                self._id = db.registry_id()
        if self._id is None:
            raise damaged(self.place, "has no id")
        return self._id

    @property
    def place(self) -> Place:
        """The registry's file, or the URI of its database."""
        return self.connection.place

    def again(self) -> "Callable[..., Registry] | None":
        """Return a function with which another process opens the registry; None if it cannot."""
        # A snapshot of a server is that of one connection.
        if isinstance(self.place, str):
            return None
        return partial(Registry.open, self.place, migrate=False)

    @property
    def tables(self) -> int:
        """The version of the tables: the number of migrations so far."""
        return self.connection.tables()

    @property
    def is_up_to_date(self) -> bool:
        """True if the tables have the version of this tool."""
        return self.tables == len(schema.MIGRATIONS)

    def allows(self, role: str) -> bool:
        """Return whether the user has a role; a file has none, and allows everything."""
        session = self.connection.session()
        return session is None or role in session.roles

    def require_role(self, role: str) -> None:
        """Check that the user has a role (`registry_role`); a file has none."""
        session = self.connection.session()
        if session is not None and role not in session.roles:
            from polygent_issuer.registry.postgres.roles import missing  # noqa: PLC0415  # a server's

            raise missing(self.place, role, session.user)

    @contextmanager
    def reading(self, *, checked: bool = True, ahead: Sequence[Query] = ()) -> Iterator[Reading]:
        """Open a snapshot. Commits of other processes wait for it, so never prompt within it.

        Args:
            ahead: queries that will follow; a server returns their rows in the same round trip.
            checked: compare rows with the journal before use; False only for display.
        """
        connection = self.connection
        connection.read_ahead(ahead)
        connection.begin_reading()
        db = Reading(connection, checked=checked, state=connection.state)
        try:
            if checked:
                version = connection.data_version()
                db.row_check = self._compared(version) or db.row_check
                self._last_check = version, db.row_check
            yield db
        finally:
            db.end()
            connection.end_reading()

    @contextmanager
    def writing(
        self,
        *,
        now: datetime,
        actor: Actor,
        judge: Callable[[], None] | None = None,
        journal: bool = True,
        ahead: Sequence[Query] = (),
    ) -> Iterator[Writing]:
        """Open the write transaction: committed at the end of the block, undone on any exception.

        Args:
            judge: checks the file, which now cannot change; default: its tables must be as this
                tool creates them, and its content must not have been moved.
            journal: False for a change that the journal does not record, which the next command
                makes again if it is lost.
            ahead: as for `reading`, before the first write.

        Raises:
            RegistryMoved: (`registry_moved`) when its content was moved.
            RegistryMisuse: (`registry_misuse`) for a change without a journal row.
            RegistryChanged: (`registry_changed`) when the file was replaced by a restored one.
            RegistryDamaged: (`registry_damaged`) when its tables were changed, earlier rows violate
                a constraint, or a written row is missing before the COMMIT.
        """
        connection = self.connection
        connection.read_ahead(ahead)
        connection.begin_writing(journal=journal)
        db = Writing(connection, now=now, actor=actor)
        try:
            version = connection.data_version()
            db.row_check = self._compared(version) or db.row_check
            self._last_check = None
            (judge or self._require_usable)()
            yield db
            db.check_written()
            db.end()
            connection.commit(db.written_head)
            db.row_check.forget_journal()
            self._last_check = connection.version_after(version, db.written_head), db.row_check
        except BaseException as error:
            db.end()
            connection.roll_back()
            if isinstance(error, RegistryMisuse):
                # If earlier rows violate a constraint, this is not a bug of the writing command.
                with self.reading() as read:
                    problems = read.connection.damage()
                if problems:
                    raise damaged(self.place, f"is damaged: {problems[0]}") from error
            raise

    def _require_usable(self) -> None:
        self.connection.require_current()
        require_in_use(self.connection)

    def _compared(self, version: int | None) -> "RowCheck | None":
        """Return the rows that the last transaction compared, if no other connection wrote since.

        `version` is the present data version of the file.
        """
        last = self._last_check
        if version is None or last is None or last[0] != version:
            return None
        if self.connection.state is not None:  # of a server, whose version is the journal's head
            last[1].forget_unread()
        return last[1]

    def close(self) -> None:
        """Close the file and undo an open transaction."""
        self.connection.close()

    def __enter__(self) -> Self:
        """Return the registry, which is closed at the end of the block."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the file."""
        self.close()


def place_text(place: Place) -> str:
    """Return a place as `registry move --to` takes it."""
    return place if isinstance(place, str) else f"sqlite:{place.absolute()}"


def last_row(connection: Connection) -> dict[str, Any]:
    """Return the last journal row; that of a closed registry records the move."""
    _, row = connection.first("SELECT bytes FROM journal ORDER BY seq DESC LIMIT 1")
    try:
        return json_object(as_bytes(row and row[0]))
    except (ValueError, TypeError):
        raise damaged(connection.place) from None


def require_in_use(connection: Connection) -> None:
    """Refuse a registry whose content was moved, and an unfinished copy (`registry_moved`)."""
    target = connection.moved_to()
    if target is not None:
        is_unfinished = target == place_text(connection.place)
        raise moved(connection.place, target, last_row(connection), is_unfinished=is_unfinished)


def _created(place: Place, busy_timeout: timedelta) -> Connection:
    """Create a file, or use an empty one of an interrupted creation; connect to a database."""
    if isinstance(place, str):
        return connect(place, busy_timeout=busy_timeout)
    make_private(place)
    require_file(place)
    try:
        connection = SqliteConnection(place, busy_timeout=busy_timeout)
        with connection.closed_on_error():
            connection.require_blank()
    except RegistryDamaged:
        raise exists(place) from None
    return connection


def _opened(place: Place, *, busy_timeout: timedelta, migrate: bool, read_only: bool) -> Connection:
    if isinstance(place, str):
        _require_library()
        from polygent_issuer.registry.postgres.connection import open_database  # noqa: PLC0415  # an extra

        return open_database(place, busy_timeout=busy_timeout, migrate=migrate)
    require_file(place)
    connection = SqliteConnection(place, busy_timeout=busy_timeout, read_only=read_only)
    with connection.closed_on_error():
        connection.require_registry()
        is_current = connection.tables() == len(schema.MIGRATIONS)
        if read_only and not is_current:
            raise RegistryFailed(
                f"the tables of the registry {display_place(place)} are of an older version",
                hint=Hint("any other command updates them, such as ", run("customer", "list")),
            )
        if migrate and not read_only:
            connection.settle()
            if not is_current:
                migrate_file(connection)
    return connection


def connect(place: str, *, busy_timeout: timedelta = BUSY_TIMEOUT) -> Connection:
    """Connect to a database, which may have no registry."""
    _require_library()
    from polygent_issuer.registry.postgres.connection import PostgresConnection  # noqa: PLC0415  # an extra

    return PostgresConnection(place, busy_timeout=busy_timeout, blank=True)


def _require_library() -> None:
    try:
        import psycopg  # noqa: PLC0415, F401  # an extra
    except ImportError:
        raise HomeProblem(
            "a registry in PostgreSQL needs the library psycopg, which is not installed",
            hint="install it: pip install 'polygent-issuer[postgres]'",
            code="registry_library_missing",
        ) from None


def require_file(path: Path) -> None:
    """Refuse a missing registry, or one that another user can change, before SQLite opens it."""
    try:
        require_safe(path)
    except FileNotFoundError:
        raise RegistryMissing(
            f"the registry {display_place(path)} does not exist",
            hint=Hint(run("registry", "restore", "BACKUP"), "; in a new home: ", run("init")),
        ) from None
    except OSError as error:
        raise unusable(path, error) from error


def require_safe(path: Path) -> None:
    """Refuse a registry that another user can change.

    The files that SQLite puts next to it count too: a journal that another user left there would
    be applied to it. So does the folder of a link's target. Otherwise its folder is the home.

    Raises:
        HomeProblem: (`unsafe_file`) when another user owns one of them or may write to it.
        OSError: when it cannot be examined.
    """
    real = Path(os.path.realpath(path))  # as SQLite does
    require_unexposed(real, "registry", then=LOOK_FOR_CHANGES)
    if real.parent != Path(os.path.realpath(path.parent)):  # else it is the home, checked before
        require_unexposed(real.parent, "registry's folder", then=LOOK_FOR_CHANGES)
    for suffix in BESIDE:
        with suppress(FileNotFoundError):
            require_unexposed(Path(f"{real}{suffix}"), "registry's file")
