"""A PostgreSQL server with a synchronous standby, or a full disk: nothing that counts is lost."""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from support import team_desk
from support.cli import Desk
from support.postgres import Cluster, cluster, standby
from support.postgres_proxy import Fault, proxy

from polygent_issuer.errors import ExitCode

pytestmark = pytest.mark.slow

WAITING = "SELECT xact_start FROM pg_stat_activity WHERE wait_event = 'SyncRep'"


def sign(desk: Desk, number: int = 0) -> tuple[str, ...]:
    """Return the command that signs a license of another customer."""
    name, fingerprint = f"Customer {number}", f"sha256:{number + 1:064x}"
    return ("sign", "--machine-info", desk.machine_info(customer=name, fingerprint=fingerprint))


@pytest.mark.parametrize("answered", [False, True], ids=["before", "after"])
def test_a_failover_at_the_commit(empty_desk: Desk, tmp_path: Path, *, answered: bool) -> None:
    """The outcome is found on the promoted standby."""
    with cluster(()) as primary:
        name = primary.create()
        desk = team_desk.open_on(empty_desk, primary.uri(name))
        with standby(primary) as second, proxy(primary) as between:
            desk.ok(*sign(desk, 1))
            both = f"{between.uri(name)},{second.folder}&target_session_attrs=read-write"
            there = team_desk.at(desk, tmp_path / "there", both)
            before = team_desk.read(both)

            def fail_over(_: object) -> None:
                primary.crash()
                second.run("pg_ctl", "-D", second.data, "-w", "promote")

            between.arm(Fault(text="COMMIT", answered=answered, act=fail_over))
            outcome = there.run(*sign(there))
            assert outcome.code == (0 if answered else ExitCode.REGISTRY), outcome
            assert team_desk.problems(there, both, before, outcome) == []


@contextmanager
def ctrl_c_at_each_wait(server: Cluster) -> Iterator[None]:
    """Press Ctrl-C whenever a COMMIT waits for a standby."""
    ended = threading.Event()

    def work() -> None:
        pressed = set[object]()
        while not ended.wait(0.05):
            waiting = {
                row[0] for row in server.rows(WAITING.replace("1", "xact_start"), "postgres")
            }
            if waiting - pressed:
                pressed |= waiting
                os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def test_ctrl_c_while_a_standby_does_not_answer(empty_desk: Desk) -> None:
    """The message names what is written; when the standby is back, the next command delivers it."""
    with cluster(()) as server:
        uri = server.uri(server.create())
        desk = team_desk.open_on(empty_desk, uri)
        before = team_desk.read(uri)
        server.set("synchronous_standby_names", "absent")
        argv = sign(desk)
        with ctrl_c_at_each_wait(server):
            outcome = desk.run(*argv)
        assert outcome.code == ExitCode.REGISTRY, outcome
        assert "synchronous standby has not confirmed it" in outcome.err
        assert len(team_desk.read(uri).files) == 1
        server.set("synchronous_standby_names", "")
        assert team_desk.problems(desk, uri, before, outcome) == []


def test_a_full_disk(empty_desk: Desk) -> None:
    """A command that has no space for its rows changes nothing; afterwards the next one works."""
    with cluster(("max_wal_size=2MB", "min_wal_size=2MB"), disk="80m") as server:
        uri = server.uri(server.create())
        desk = team_desk.open_on(empty_desk, uri)
        for number in range(40):
            before = team_desk.read(uri)
            with full(server.data / "filler"):
                outcome = desk.run(*sign(desk, number))
            if outcome.code:
                break
        assert outcome.code == ExitCode.REGISTRY
        if not (server.data / "postmaster.pid").exists():
            server.start()
        assert team_desk.problems(desk, uri, before, outcome) == []
        assert "disk is full" in outcome.err or "lost" in outcome.err


@contextmanager
def full(filler: Path) -> Iterator[None]:
    """Fill the disk of a folder for the block."""
    try:
        with filler.open("wb", buffering=0) as stream:
            try:
                while stream.write(b"x" * 4096):
                    pass
            except OSError:
                pass
        yield
    finally:
        filler.unlink()
