"""Pragmas of a connection, and the wait for locks."""

import os
import sqlite3
import threading
import time
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest
from support.registries import ACTOR, NOW, new_registry, writing

from polygent_issuer.errors import HomeProblem
from polygent_issuer.files.disk import Queue
from polygent_issuer.registry import Registry, customers
from polygent_issuer.registry.engine import Connection
from polygent_issuer.registry.errors import RegistryFailed, RegistryLocked, RegistryMisuse
from polygent_issuer.registry.schema import require_sqlite
from polygent_issuer.registry.sqlite import SqliteConnection, pragmas

BRIEFLY = timedelta(milliseconds=50)


def pragma(registry: Registry, name: str) -> object:
    """Return the value of a pragma in the registry's connection."""
    return registry.connection.run(f"PRAGMA {name}").fetchone()[0]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("journal_mode", "delete"),
        ("synchronous", 3),
        ("trusted_schema", 0),
        ("foreign_keys", 1),
        ("recursive_triggers", 1),
        ("cell_size_check", 1),
        ("temp_store", 2),
    ],
)
@pytest.mark.usefixtures("unhurried")
def test_a_connection_has_its_pragmas(path: Path, name: str, value: object) -> None:
    """A created or opened registry has durable writes, foreign keys and an untrusted schema."""
    with new_registry(path.parent) as made:
        assert pragma(made, name) == value
    with Registry.open(path) as opened:
        assert pragma(opened, name) == value


def test_the_journal_mode_is_restored(registry: Registry, path: Path) -> None:
    """A file in WAL mode is set back to the rollback journal."""
    registry.close()
    with closing(sqlite3.connect(path)) as raw:
        raw.execute("PRAGMA journal_mode = WAL")
    with Registry.open(path) as opened:
        assert pragma(opened, "journal_mode") == "delete"


def test_on_macos_the_disk_is_flushed() -> None:
    """On macOS fsync is not enough, so fullfsync is on."""
    assert "PRAGMA fullfsync = ON" in pragmas("darwin")
    assert "PRAGMA fullfsync = ON" not in pragmas("linux")


def test_an_old_sqlite_is_refused() -> None:
    """A SQLite without STRICT tables (before 3.37) is refused."""
    with pytest.raises(HomeProblem, match=r"has SQLite 3\.36\.9, but the registry needs 3\.37"):
        require_sqlite((3, 36, 9))
    require_sqlite((3, 37, 0))
    require_sqlite(sqlite3.sqlite_version_info)


@pytest.mark.parametrize("suffix", ["", "-journal", "-wal"])
def test_only_a_regular_file_is_opened(path: Path, suffix: str) -> None:
    """A pipe in the place of the registry or of its journal is refused."""
    if suffix:
        new_registry(path.parent).close()
    place = Path(f"{path}{suffix}")
    os.mkfifo(place, 0o600)
    with pytest.raises(RegistryFailed) as caught:
        Registry.open(path)
    assert caught.value.message == f"{place} is a pipe, not a file of the registry"
    assert ("restore" in str(caught.value.hint)) == (not suffix)


def test_a_second_writer_gets_registry_locked(registry: Registry, path: Path) -> None:
    """A writer that waits too long for another one gets `registry_locked`."""
    with Registry.open(path, busy_timeout=BRIEFLY) as other, writing(registry):
        with pytest.raises(RegistryLocked) as caught, writing(other):
            pass
        assert caught.value.code == "registry_locked"


@pytest.mark.parametrize("wait", [timedelta(0), timedelta(milliseconds=450)])
def test_the_busy_timeout(registry: Registry, path: Path, wait: timedelta) -> None:
    """The wait for a lock takes as long as the busy timeout, and not much longer."""
    with Registry.open(path, busy_timeout=wait) as other, writing(registry):
        began = time.monotonic()
        with pytest.raises(RegistryLocked), writing(other):
            pass
        waited = timedelta(seconds=time.monotonic() - began)
    assert wait * 0.9 <= waited < wait + timedelta(seconds=5)


def test_a_reader_blocks_a_commit(registry: Registry, path: Path) -> None:
    """A commit that cannot get its lock in time is undone, and is an error."""
    with Registry.open(path, busy_timeout=BRIEFLY) as other:
        with registry.reading() as db:
            assert list(customers.every(db)) == []
            with pytest.raises(RegistryLocked), writing(other) as written:
                customers.add(written, slug="acme", name="Acme")
        with other.reading() as db:
            assert list(customers.every(db)) == []


def test_a_reader_and_an_open_write_transaction_do_not_block_each_other(
    registry: Registry, path: Path
) -> None:
    """Until the COMMIT readers see the state before a write transaction."""
    with Registry.open(path, busy_timeout=BRIEFLY) as other:
        with writing(registry) as db:
            customers.add(db, slug="acme", name="Acme")
            with other.reading() as seen:
                assert list(customers.every(seen)) == []
        with other.reading() as seen:
            assert [customer.slug for customer in customers.every(seen)] == ["acme"]


def test_a_writer_waits_for_another_one(registry: Registry, path: Path) -> None:
    """A writer waits for another one within the busy timeout."""
    entered, waiting = threading.Event(), threading.Event()

    def second() -> None:
        with Registry.open(path, busy_timeout=timedelta(seconds=20)) as other:
            assert entered.wait(20)
            waiting.set()
            with writing(other) as db:
                customers.add(db, slug="second", name="Second")

    thread = threading.Thread(target=second)
    thread.start()
    with writing(registry) as db:
        entered.set()
        assert waiting.wait(20)
        customers.add(db, slug="first", name="First")
    thread.join(30)
    with registry.reading() as read:
        found = {customer.slug: customer.id for customer in customers.every(read)}
    assert found == {"first": 1, "second": 2}


def waits_in_queue(connection: Connection, sql: str, path: Path) -> bool:
    """Begin a transaction while another place is the first in the queue of the folder."""
    entered, enter = list[bool](), Queue.enter

    def note(queue: Queue) -> bool:
        entered.append(enter(queue))
        return entered[-1]

    assert isinstance(connection, SqliteConnection)
    queue = Queue(path.parent, timedelta(0))
    assert queue.enter()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Queue, "enter", note)
        connection.begin(sql)
    connection.roll_back()
    queue.leave()
    return entered == [False]


@pytest.mark.usefixtures("registry")
def test_only_writers_wait_in_the_queue(path: Path) -> None:
    """Afterwards they try once: a foreign program may have locked the folder.

    Nor does a private copy: `registry restore` writes to one while it has the registry's lock.
    """
    with Registry.open(path, busy_timeout=BRIEFLY) as other:
        connection = other.connection
        assert waits_in_queue(connection, "BEGIN IMMEDIATE", path)
        assert waits_in_queue(connection, "BEGIN EXCLUSIVE", path)
        assert not waits_in_queue(connection, "BEGIN", path)
    copy = SqliteConnection(path, busy_timeout=BRIEFLY, named=path.with_name("backup"))
    with closing(copy):
        assert not waits_in_queue(copy, "BEGIN IMMEDIATE", path)


def test_a_writer_leaves_the_queue_when_it_has_the_lock_or_gives_up(
    registry: Registry, path: Path
) -> None:
    """So the next one is awake and looks for the lock when a transaction ends."""
    queue = Queue(path.parent, timedelta(0))
    with Registry.open(path, busy_timeout=BRIEFLY) as other, writing(registry):
        assert queue.enter()
        queue.leave()
        with pytest.raises(RegistryLocked), writing(other):
            pass
        assert queue.enter()
    queue.leave()


def test_unread_rows_do_not_keep_a_lock(registry: Registry, path: Path) -> None:
    """A stream that is not read to its end is closed with its transaction."""
    with writing(registry) as written:
        for number in range(600):
            customers.add(written, slug=f"customer-{number}", name=f"Customer {number}")
    with registry.reading() as db:
        stream = customers.every(db)
        next(stream)
    with Registry.open(path, busy_timeout=BRIEFLY) as other, writing(other) as written:
        customers.add(written, slug="late", name="Late")
    with pytest.raises(RegistryMisuse):
        list(stream)


def test_only_one_transaction_can_be_open(registry: Registry) -> None:
    """A transaction within another one is `registry_misuse`."""
    with registry.reading(), pytest.raises(RegistryMisuse), registry.reading():
        pass
    with (
        registry.reading(),
        pytest.raises(RegistryMisuse),
        registry.writing(now=NOW, actor=ACTOR),
    ):
        pass


def test_each_statement_of_an_opening_waits_for_a_writer(
    path: Path, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Outside a transaction no statement gives up because a writer has the lock."""
    registry.close()
    hurried: list[str] = []

    def watched(name: str) -> None:
        real = getattr(SqliteConnection, name)

        def call(self: SqliteConnection, sql: str, *args: object) -> object:
            if not self._sqlite.in_transaction:
                hurried.append(sql)
            return real(self, sql, *args)

        monkeypatch.setattr(SqliteConnection, name, call)

    watched("first")
    watched("run")
    Registry.open(path).close()
    assert hurried == []
