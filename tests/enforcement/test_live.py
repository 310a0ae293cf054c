"""Connected hosts and claims of all processes that share a store."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from polygent_issuer.enforcement import Connection, HostKind, Refusal, SqliteStore, StoreFailed
from polygent_issuer.enforcement.live import _BEAT, _PATIENCE, Live
from polygent_issuer.enforcement.refusals import STORE_FAILED

SESSION, DEPLOY = HostKind.SESSION, HostKind.DEPLOY


class Worker(Live):
    """The part of one process; its disk fails at statements that begin with one of `fails`."""

    fails: tuple[str, ...] = ()

    def _rows(self, statement: str, *values: object) -> list[Any]:
        if statement.startswith(self.fails):
            raise OSError(28, "No space left on device")
        return super()._rows(statement, *values)

    def host(self, name: str, cap: int, kind: HostKind = SESSION) -> Connection | None:
        """Connect a host; None if it was refused."""
        made = self.connect(kind, name, cap=cap)
        return None if isinstance(made, Refusal) else made


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the workers meet."""
    return tmp_path / "license.db-live"


@contextmanager
def working(path: Path) -> Iterator[Worker]:
    """Run a worker."""
    with closing(Worker(path, patience=timedelta(seconds=5))) as worker:
        yield worker


@pytest.fixture
def one(path: Path) -> Iterator[Worker]:
    """A worker."""
    with working(path) as worker:
        yield worker


@pytest.fixture
def other(path: Path) -> Iterator[Worker]:
    """Another worker."""
    with working(path) as worker:
        yield worker


def waits(worker: Worker, rounds: int = _PATIENCE + 2 * _BEAT) -> None:
    """Let a worker look as often as it does in less than a minute, while others do not."""
    for _ in range(rounds):
        worker.look()


def test_caps_count_all_processes(one: Worker, other: Worker) -> None:
    """A limit counts the hosts of both, each kind apart; a reconnect succeeds wherever it lands."""
    first = one.host("a", 2)
    assert first
    assert other.host("b", 2)
    assert other.host("c", 2) is None
    assert one.host("c", 2) is None
    assert one.host("c", 1, DEPLOY)
    again = other.host("a", 2)
    assert again
    assert (one.connected(SESSION), other.connected(DEPLOY)) == (2, 1)
    one.disconnect(first)
    assert one.connected(SESSION) == 2
    other.disconnect(again)
    other.disconnect(again)
    assert one.connected(SESSION) == 1
    assert one.host("c", 2)


def test_a_process_that_ends_gives_its_hosts_back(one: Worker, other: Worker) -> None:
    """They are given back at once when it closes its store."""
    assert one.host("a", 1)
    one.close()
    assert other.host("b", 1)


def test_a_dead_process_gives_its_hosts_back(one: Worker, other: Worker) -> None:
    """Within a minute without a sign of life, and not before."""
    assert one.host("a", 1)
    waits(other, _PATIENCE)
    assert other.host("b", 1) is None
    waits(other, 2 * _BEAT)
    assert other.host("b", 1)


def test_a_living_process_keeps_its_hosts(one: Worker, other: Worker) -> None:
    """However long the other looks."""
    assert one.host("a", 1)
    for _ in range(10):
        waits(other, _PATIENCE // 2)
        waits(one, _BEAT)
    assert other.host("b", 1) is None


def test_a_process_that_was_taken_for_dead_counts_again(one: Worker, other: Worker) -> None:
    """One that was stopped for longer has its hosts and claims again once it goes on."""
    assert one.host("a", 2)
    assert one.claim("mail")
    waits(other)
    assert (other.connected(SESSION), other.lost()) == (0, frozenset({"mail"}))
    waits(one, _BEAT)
    assert (other.connected(SESSION), other.lost()) == (1, frozenset())


@pytest.mark.parametrize("damage", ["deleted", "no database", "another's rows"])
def test_the_file_may_be_lost(one: Worker, other: Worker, path: Path, damage: str) -> None:
    """Each process writes its own part into a new one."""
    assert one.host("a", 2)
    assert other.host("b", 2)
    if damage == "deleted":
        path.unlink()
    elif damage == "no database":
        path.write_bytes(b"no database" * 1000)
    else:
        with closing(sqlite3.connect(path)) as raw:
            raw.execute("DELETE FROM process")
            raw.execute("DELETE FROM connection")
            raw.commit()
    for worker in (one, other) * 2:
        waits(worker, _BEAT)
    assert (one.connected(SESSION), other.connected(SESSION)) == (2, 2)


@pytest.mark.parametrize("fails", ["", "COMMIT"])
def test_a_full_disk_forgets_no_end(one: Worker, other: Worker, fails: str) -> None:
    """A connection that ended while the file failed is given back later; a new one is refused."""
    made = one.host("a", 2)
    assert made
    one.fails = (fails,)
    one.disconnect(made)
    waits(one, _BEAT)
    assert one.connect(SESSION, "c", cap=2) is STORE_FAILED
    assert other.connected(SESSION) == 1
    one.fails = ()
    waits(one, _BEAT)
    assert other.connected(SESSION) == 0


def test_a_damaged_file_that_cannot_be_removed_fails_as_a_store(
    one: Worker, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on Windows, while another process has it open; later it is made anew."""

    def denied(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    path.write_bytes(b"no database" * 1000)
    with monkeypatch.context() as patched:
        patched.setattr(Path, "unlink", denied)
        with pytest.raises(StoreFailed, match="not a database"):
            one.claim("mail")
        assert one.connect(SESSION, "a", cap=1) is STORE_FAILED
    waits(one, _BEAT)
    assert one.host("a", 1)


def test_one_process_has_a_claim(one: Worker, other: Worker) -> None:
    """No other process gets it, before and after it is done."""
    assert [one.claim("mail"), one.claim("mail"), other.claim("mail")] == [True, False, False]
    one.done("mail")
    one.close()
    assert (other.lost(), other.claim("mail")) == (frozenset(), False)


def test_a_dead_processes_claim_is_lost(one: Worker, other: Worker) -> None:
    """Another process may have it."""
    assert one.claim("mail")
    assert other.lost() == frozenset()
    waits(other)
    assert other.lost() == {"mail"}
    assert other.claim("mail")
    assert other.lost() == frozenset()


def test_a_store_refuses_hosts_while_the_file_fails(tmp_path: Path) -> None:
    """The refusal is that of a store; no host is counted."""
    with closing(SqliteStore(tmp_path / "license.db")) as store:
        (tmp_path / "license.db-live").mkdir()
        refused = store.hosts.connect(SESSION, "a", cap=1)
        assert isinstance(refused, Refusal)
        assert refused.code == "license_store_failed"
        (tmp_path / "license.db-live").rmdir()
        assert isinstance(store.hosts.connect(SESSION, "a", cap=1), Connection)
        assert (tmp_path / "license.db-live").stat().st_mode & 0o777 == 0o600
