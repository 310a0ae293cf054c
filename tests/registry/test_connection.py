"""What every connection is set to, and how long it waits."""

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
from polygent_issuer.registry import Registry, customers
from polygent_issuer.registry.connection import pragmas, require_sqlite
from polygent_issuer.registry.errors import (
    RegistryFailed,
    RegistryLocked,
    RegistryMisuse,
)

BRIEFLY = timedelta(milliseconds=50)


def pragma(registry: Registry, name: str) -> object:
    """What the registry's own connection says of a setting."""
    return registry._connection.run(f"PRAGMA {name}").fetchone()[0]


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
def test_an_opened_registry_has_our_settings(path: Path, name: str, value: object) -> None:
    """Durable, strict, and nothing of the file's own schema is trusted; made or opened."""
    with new_registry(path.parent) as made:
        assert pragma(made, name) == value
    with Registry.open(path) as opened:
        assert pragma(opened, name) == value


def test_a_file_left_in_another_journal_mode_is_put_back(registry: Registry, path: Path) -> None:
    """The rollback journal is what the power cuts were measured with."""
    registry.close()
    with closing(sqlite3.connect(path)) as raw:
        raw.execute("PRAGMA journal_mode = WAL")
    with Registry.open(path) as opened:
        assert pragma(opened, "journal_mode") == "delete"


def test_on_macos_the_disk_is_flushed() -> None:
    """There fsync alone is not enough."""
    assert "PRAGMA fullfsync = ON" in pragmas("darwin")
    assert "PRAGMA fullfsync = ON" not in pragmas("linux")


def test_an_old_sqlite_is_refused() -> None:
    """STRICT tables came with 3.37."""
    with pytest.raises(HomeProblem, match=r"has SQLite 3\.36\.9, but the registry needs 3\.37"):
        require_sqlite((3, 36, 9))
    require_sqlite((3, 37, 0))
    require_sqlite(sqlite3.sqlite_version_info)


@pytest.mark.parametrize("suffix", ["", "-journal", "-wal"])
def test_nothing_but_a_regular_file_is_opened(path: Path, suffix: str) -> None:
    """A pipe is refused by name, in the place of the file or of its journal."""
    if suffix:
        new_registry(path.parent).close()
    place = Path(f"{path}{suffix}")
    os.mkfifo(place, 0o600)
    with pytest.raises(RegistryFailed) as caught:
        Registry.open(path)
    assert caught.value.message == f"{place} is a pipe, not a file of the registry"
    assert ("restore" in str(caught.value.hint)) == (not suffix)


def test_a_second_writer_is_told_that_it_is_locked(registry: Registry, path: Path) -> None:
    """Another's open transaction ends the wait with our error."""
    with Registry.open(path, busy_timeout=BRIEFLY) as other, writing(registry):
        with pytest.raises(RegistryLocked) as caught, writing(other):
            pass
        assert caught.value.code == "registry_locked"


@pytest.mark.parametrize("wait", [timedelta(0), timedelta(milliseconds=450)])
def test_the_busy_timeout_is_waited_out(registry: Registry, path: Path, wait: timedelta) -> None:
    """As long as was told, and not much longer."""
    with Registry.open(path, busy_timeout=wait) as other, writing(registry):
        began = time.monotonic()
        with pytest.raises(RegistryLocked), writing(other):
            pass
        waited = timedelta(seconds=time.monotonic() - began)
    assert wait * 0.9 <= waited < wait + timedelta(seconds=5)


def test_a_reader_keeps_a_writer_from_committing(registry: Registry, path: Path) -> None:
    """A commit that cannot have its lock in time is undone and told."""
    with Registry.open(path, busy_timeout=BRIEFLY) as other:
        with registry.reading() as db:
            assert list(customers.every(db)) == []
            with pytest.raises(RegistryLocked), writing(other) as written:
                customers.add(written, slug="acme", name="Acme")
        with other.reading() as db:
            assert list(customers.every(db)) == []


def test_a_reader_and_a_writer_under_way_do_not_disturb_each_other(
    registry: Registry, path: Path
) -> None:
    """Until the commit a writer only reserves; readers see what was before."""
    with Registry.open(path, busy_timeout=BRIEFLY) as other:
        with writing(registry) as db:
            customers.add(db, slug="acme", name="Acme")
            with other.reading() as seen:
                assert list(customers.every(seen)) == []
        with other.reading() as seen:
            assert [customer.slug for customer in customers.every(seen)] == ["acme"]


def test_a_writer_waits_for_the_one_before(registry: Registry, path: Path) -> None:
    """Within the busy timeout a lock is a queue, not an error."""
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


def test_rows_left_unread_lock_nobody_out(registry: Registry, path: Path) -> None:
    """A stream that is abandoned lets go of the file when its transaction ends."""
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


def test_transactions_are_one_at_a_time(registry: Registry) -> None:
    """A transaction inside another is a bug, told before anything happens."""
    with registry.reading(), pytest.raises(RegistryMisuse), registry.reading():
        pass
    with (
        registry.reading(),
        pytest.raises(RegistryMisuse),
        registry.writing(now=NOW, actor=ACTOR),
    ):
        pass
