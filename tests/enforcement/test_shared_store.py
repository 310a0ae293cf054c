"""Several processes share one store: what one writes, all have; a fork shares nothing else."""

import gc
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from threading import Event, get_ident

import pytest
from support.lic_files import Issuer
from support.servers import DAY, Server, running

from polygent_issuer.enforcement import Refusal, Route, SqliteStore, State, StoreFailed
from polygent_issuer.enforcement.threads import Watch
from polygent_issuer.verifier import ClockGuard

SOON = 30.0
"""Seconds until a test gives up waiting."""


class Sync:
    """A background service."""

    def __init__(self) -> None:
        """Begin paused."""
        self.paused, self.resumed = Event(), Event()

    def pause(self, _reason: Refusal) -> None:
        """Pause."""
        self.resumed.clear()
        self.paused.set()

    def resume(self) -> None:
        """Resume."""
        self.paused.clear()
        self.resumed.set()


class Looks:
    """Fails twice, when something has changed."""

    def __init__(self) -> None:
        """Begin without a look."""
        self.count, self.looked = 0, Event()

    def look(self, changed: bool = True) -> None:  # noqa: FBT001, FBT002 - as the store calls it
        """Look."""
        self.count += changed
        if changed and self.count < 3:
            raise ZeroDivisionError
        if changed:
            self.looked.set()


@pytest.fixture
def two(tmp_path: Path) -> Iterator[tuple[Server, Server]]:
    """Two servers that share one store, as two workers of a machine do."""
    path, issuer = tmp_path / "license.db", Issuer()
    with running(path, issuer=issuer) as one, running(path, issuer=issuer) as other:
        yield one, other


def test_an_upload_takes_effect_in_the_other(two: tuple[Server, Server]) -> None:
    """Services of the other process resume, and it judges by the new license, without a request."""
    one, other = two
    sync = Sync()
    other.license.listen(sync, other.now)
    assert other.answer().code == "license_none"
    one.install(0)
    assert sync.resumed.wait(SOON)
    assert other.held() == one.held()


def test_a_store_that_fails_pauses_the_other(two: tuple[Server, Server]) -> None:
    """A process whose store was deleted refuses, and does not go on with a file without a name."""
    one, _ = two
    sync = Sync()
    one.install(0)
    one.license.listen(sync, one.now)
    assert sync.resumed.is_set()
    one.path.unlink()
    assert sync.paused.wait(SOON)
    assert one.answer().code == "license_store_failed"
    with pytest.raises(StoreFailed, match="was deleted while the server was running") as failed:
        one.install(1)
    assert "put it back" in str(failed.value.hint)
    assert not one.path.exists()


def test_a_restored_file_takes_effect(two: tuple[Server, Server]) -> None:
    """Another file of the same name is read, and written, from now on."""
    one, other = two
    before = one.path.read_bytes()
    one.install(0)
    sync = Sync()
    other.license.listen(sync, other.now)
    copy = one.path.with_name("copy")
    copy.write_bytes(before)
    copy.replace(one.path)
    assert sync.paused.wait(SOON)
    assert other.answer().code == "license_none"
    other.install(0)
    assert one.store.load().in_force == other.held().jti


def test_a_file_that_is_replaced_in_a_transaction_is_not_written(server: Server) -> None:
    """A write to a file that lost its name fails; the next one is in the new file."""
    copy = server.path.with_name("copy")
    copy.write_bytes(server.path.read_bytes())
    server.refused(b"x")
    (entry,) = server.log()

    def write_and_replace() -> None:
        with server.store.transaction():
            server.store.log_refusal(entry)
            copy.replace(server.path)
            server.store.version()

    with pytest.raises(StoreFailed, match="replaced or deleted meanwhile") as failed:
        write_and_replace()
    assert "try again" in str(failed.value.hint)
    assert server.log() == ()
    server.store.log_refusal(entry)
    assert server.log() == (entry,)


def test_a_store_keeps_its_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A relative path is that of the opening, also if it is opened again after a fork."""
    monkeypatch.chdir(tmp_path)
    with SqliteStore(Path("license.db")) as store:
        before = store.load()
        (tmp_path / "sub").mkdir()
        monkeypatch.chdir(tmp_path / "sub")
        store.stop_before_fork()
        store.lock_before_fork()
        store.go_on_after_fork(child=False)
        assert store.load() == before


def test_what_the_other_installed_supersedes(two: tuple[Server, Server]) -> None:
    """An upload is decided on what is stored, not on what this process read before."""
    one, other = two
    assert other.state() is State.NONE
    one.now, other.now = one.now + 2 * DAY, other.now + 2 * DAY
    one.install(2)
    assert other.refused(one.issuer.file(1)).code == "superseded"
    assert [each.outcome for each in one.log()] == ["superseded", "installed"]


def test_the_time_seen_by_the_other_counts(two: tuple[Server, Server]) -> None:
    """A clock that is set back is noticed by a process that did not see it ahead."""
    one, other = two
    one.install(0)
    other.held()
    one.now += 9 * DAY
    one.held()
    other.now += 3 * DAY
    other.license.active(other.now)
    assert one.guard() == ClockGuard(one.now, tampered=True)


def test_judging_reads_no_file(two: tuple[Server, Server], monkeypatch: pytest.MonkeyPatch) -> None:
    """Between two stored times no request runs a statement."""
    server, _ = two
    server.install(0)
    server.held()
    statements, run = [], SqliteStore._rows

    def noted(store: SqliteStore, statement: str, *values: object) -> list[object]:
        if get_ident() == threading.main_thread().ident:
            statements.append(statement)
        return run(store, statement, *values)

    monkeypatch.setattr(SqliteStore, "_rows", noted)
    for second in range(59):
        assert server.license.judge(Route.API, now=server.now + timedelta(seconds=second)) is None
    assert statements == []


def test_no_request_waits_for_the_time_to_be_stored(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The thread stores the time seen first, so requests of ten minutes run no statement."""
    server.install(0)
    server.held()
    statements, run = [], SqliteStore._rows

    def noted(store: SqliteStore, statement: str, *values: object) -> list[object]:
        if get_ident() == threading.main_thread().ident:
            statements.append(statement)
        return run(store, statement, *values)

    monkeypatch.setattr(SqliteStore, "_rows", noted)
    for _ in range(60):
        server.now += timedelta(seconds=10)
        server.held()
        looking = threading.Thread(target=server.store._look)
        looking.start()
        looking.join()
    assert statements == []
    last_seen = server.guard().last_seen
    assert last_seen is not None
    assert server.now - timedelta(seconds=50) <= last_seen


def test_who_keeps_the_file_locked_is_named(server: Server) -> None:
    """The hint names the process, and once it lets go everything works."""
    script = (
        "import sqlite3, sys; other = sqlite3.connect(sys.argv[1], isolation_level=None)\n"
        "other.execute('BEGIN EXCLUSIVE'); print('locked', flush=True); sys.stdin.read()"
    )
    held = server.install(0)
    with subprocess.Popen(
        [sys.executable, "-c", script, str(server.path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdin is not None
        assert holder.stdout.readline() == b"locked\n"
        with pytest.raises(StoreFailed, match="database is locked") as failed:
            server.install(0)
        assert f"process {holder.pid} " in str(failed.value.hint)
        server.store._look()
        assert server.held() == held, "the license in memory is as good as before"
        holder.stdin.close()
    assert server.install(0) == server.held()


def test_an_error_does_not_end_the_watch(caplog: pytest.LogCaptureFixture) -> None:
    """It is logged once, and the next look comes."""
    looks = Looks()
    watch = Watch(looks.look)
    watch.start()
    assert looks.looked.wait(SOON)
    watch.stop()
    assert [each.message for each in caplog.records] == [
        "the license store is not watched: ZeroDivisionError"
    ]


def test_a_listener_that_failed_is_called_again(two: tuple[Server, Server]) -> None:
    """So that the license of a server is current even if reading its fingerprint failed once."""
    one, other = two
    looks = Looks()
    other.store.watch(looks.look)
    one.install(0)
    assert looks.looked.wait(SOON)


def test_opening_twice_drops_no_lock(server: Server) -> None:
    """A second store in a process, opened and closed in a transaction, leaves the first locked."""
    with server.store.transaction():
        SqliteStore(server.path).close()
        # In a process of its own, since SQLite knows the locks of its own process without the file.
        script = (
            "import sqlite3, sys; other = sqlite3.connect(sys.argv[1], timeout=0)\n"
            "other.execute('BEGIN IMMEDIATE')"
        )
        ran = subprocess.run(
            [sys.executable, "-c", script, str(server.path)],
            capture_output=True,
            text=True,
            check=False,
        )
    assert "database is locked" in ran.stderr


FORK = """
import logging, os, sys, warnings
warnings.simplefilter("error")
logging.disable()
from datetime import datetime, timedelta
from pathlib import Path
from polygent_issuer.enforcement import HostKind, ServerLicense, SqliteStore
from polygent_issuer.verifier import KeySet, Verifier

path, pem, now = sys.argv[1:]
now = datetime.fromisoformat(now)
store = SqliteStore(Path(path))
license = ServerLicense(
    Verifier(KeySet.from_pem(Path(pem).read_bytes())), store, fingerprint="sha256:" + "ab" * 32
)
logging.disable(logging.WARNING)  # of a child over the limit, if the other has not ended
license.install(sys.stdin.buffer.read(), now=now, by="parent")
own = license.connect(HostKind.SESSION, "parent's", now)
reading, writing = os.pipe()
for child in range(2):
    if os.fork() == 0:
        license.connect(HostKind.SESSION, f"{child}", now)
        store.log_refusal(store.install_log()[-1])
        os.write(writing, b"x")
        sys.stdin.close()
        store.close()
        os._exit(0)
os.read(reading, 1), os.read(reading, 1)
assert [os.wait()[1] for _ in range(2)] == [0, 0]
assert len(store.install_log()) == 3
assert license.hosts.connected(HostKind.SESSION) == 1, "those of the children are given back"
license.hosts.disconnect(own)
assert license.hosts.connected(HostKind.SESSION) == 0
print(license.active(now + timedelta(minutes=2)).customer)
store.close()
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_fork_shares_the_file_alone(tmp_path: Path) -> None:
    """Parent and children write through connections of their own, and count only their hosts."""
    with running(tmp_path / "license.db") as server:
        pem = tmp_path / "key.pem"
        pem.write_bytes(server.issuer.signer.public_key.to_pem())
        ran = subprocess.run(
            [sys.executable, "-c", FORK, str(server.path), str(pem), server.now.isoformat()],
            input=server.issuer.file(0),
            capture_output=True,
            check=False,
            timeout=60,
        )
        assert (ran.stderr.decode(), ran.stdout.decode()) == ("", "Acme GmbH\n")
        assert [each.by for each in server.log()] == ["parent"] * 3


FORKS = """
import logging, os, signal, sys, threading, warnings
warnings.simplefilter("ignore")  # of forks with threads, which this is about
logging.disable()
from datetime import datetime
from pathlib import Path
from polygent_issuer.enforcement import Connection, HostKind, ServerLicense, SqliteStore
from polygent_issuer.verifier import KeySet, Verifier

path, pem, now, what = sys.argv[1:]
now = datetime.fromisoformat(now)
store = SqliteStore(Path(path))
license = ServerLicense(
    Verifier(KeySet.from_pem(Path(pem).read_bytes())), store, fingerprint="sha256:" + "ab" * 32
)
done = threading.Event()

def connect():
    made = license.connect(HostKind.SESSION, "host", now)
    assert isinstance(made, Connection), made
    license.hosts.disconnect(made)

def work():
    while not done.is_set():
        connect()

def fork():
    pid = os.fork()
    if pid == 0:
        signal.alarm(30)
        connect()
        store.install_log()
        os._exit(0)
    assert os.waitpid(pid, 0)[1] == 0

def forks():
    for _ in range(40):
        fork()

signal.alarm(60)
if what == "no thread":
    started = threading.Thread.start
    def start(thread):
        raise RuntimeError("can't start new thread")
    threading.Thread.start = start
    fork()
    threading.Thread.start = started
else:
    threads = [threading.Thread(target=each, daemon=True) for each in (forks, forks, work)]
    for thread in threads:
        thread.start()
    for thread in threads[:2]:
        thread.join()
    done.set()
    threads[2].join()
connect()
store.close()
"""


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.parametrize("what", ["two threads fork", "no thread"])
def test_a_fork_leaves_no_lock(server: Server, what: str) -> None:
    """Also if two threads fork at once, or if no thread can be started after it."""
    server.install(0)
    pem = server.path.with_name("key.pem")
    pem.write_bytes(server.issuer.signer.public_key.to_pem())
    # Without pipes, which a child that hangs would keep open.
    ran = subprocess.run(
        [sys.executable, "-c", FORKS, str(server.path), str(pem), server.now.isoformat(), what],
        stdin=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        check=False,
        timeout=90,
    )
    assert ran.returncode == 0


# From 3.13 on, Python warns of the connection that it closes.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_store_that_is_not_closed_ends_its_thread(tmp_path: Path) -> None:
    """A dropped store can be collected while it watches."""
    server = Server(tmp_path / "license.db")
    (thread,) = [each for each in threading.enumerate() if each.name == "license store"]
    del server
    gc.collect()
    thread.join(SOON)
    assert not thread.is_alive()
