"""Processes that share one license store: exact counts, uploads at once, and kill -9.

They use the public API alone. Each test has one process more than its workers: this one.
"""

from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from support import store_workers
from support.lic_files import ISSUED, Issuer, license_id
from support.store_workers import NOW, SPAWNING, Gauge, Site, Worker, current
from support.strace import RENAME, UNLINK, Fault, attached, called, has_struck
from support.waiting import eventually

from polygent_issuer.enforcement import Connection, HostKind, ServerLicense
from polygent_issuer.enforcement.store import INSTALLED
from polygent_issuer.verifier import Limits

pytestmark = pytest.mark.slow

WORKERS = 4
WRITES = f"?open,openat,pwrite64,write,fsync,fdatasync,ftruncate,fcntl,flock,{UNLINK},{RENAME}"
"""The system calls between which the kernel may see a process die."""
KILLS = 24
LIMITS = Limits(users=5, session_hosts=4, deploy_hosts=1_000)


@pytest.fixture
def issuer() -> Issuer:
    """The vendor."""
    return Issuer()


@pytest.fixture
def site(tmp_path: Path, issuer: Issuer) -> Site:
    """A server's store with a license for 4 session hosts and many deploy hosts."""
    made = Site(path=tmp_path / "license.db", pem=issuer.signer.public_key.to_pem())
    with made.license() as license_:
        license_.install(newer(issuer, 0), now=NOW, by="ada")
    return made


@pytest.fixture
def here(site: Site) -> Iterator[ServerLicense]:
    """The license in this process."""
    with site.license() as license_:
        yield license_


def test_ten_thousand_connections_are_counted_exactly(site: Site, here: ServerLicense) -> None:
    """Never more hosts than the cap, each reconnect of a live host succeeds, and none is left."""
    start, gauge = SPAWNING.Barrier(WORKERS), Gauge()
    always = here.connect(HostKind.SESSION, "always", NOW)
    assert isinstance(always, Connection)
    with ExitStack() as stack:
        workers = [
            stack.enter_context(store_workers.running(store_workers.churn, site, start, gauge))
            for _ in range(WORKERS)
        ]
        counts: Counter[str] = sum((each.answer() for each in workers), Counter())
        rounds = WORKERS * store_workers.THREADS * store_workers.ROUNDS
        assert rounds >= 10_000
        assert counts["reconnected"] == rounds
        assert counts["connected"] + counts["host_limit"] == rounds
        assert counts["host_limit"] > 0, "the cap was reached"
        assert gauge.most <= 3, "and the host that is always connected"
        assert here.hosts.connected(HostKind.SESSION) == 1
    here.hosts.disconnect(always)
    assert here.hosts.connected(HostKind.SESSION) == 0


def test_a_thousand_uploads_leave_one_license(
    site: Site, here: ServerLicense, issuer: Issuer
) -> None:
    """Four workers upload at once; all have the same license, and the log has every upload."""
    start = SPAWNING.Barrier(WORKERS)
    files = [newer(issuer, number) for number in range(1, 1_001)]
    with ExitStack() as stack:
        workers = [
            stack.enter_context(
                store_workers.running(store_workers.upload, site, start, files[number::WORKERS])
            )
            for number in range(WORKERS)
        ]
        outcomes = [until_done(each) for each in workers]
        for each in workers:
            each.pipe.send(license_id(1_000))
        assert [each.answer() for each in workers] == [license_id(1_000)] * WORKERS
    assert eventually(lambda: current(here) == license_id(1_000))
    with site.license() as later:
        assert current(later) == license_id(1_000)
    answers = [each for worker in outcomes for each in worker]
    log = Counter(each.outcome for each in site.log())
    assert log["superseded"] == answers.count("superseded")
    assert log[INSTALLED] == 1 + len(answers) - log["superseded"]


def until_done(worker: Worker) -> list[str]:
    """Return the answers of a worker that uploads."""
    return list(iter(worker.answer, "done"))


def test_a_killed_worker_loses_nothing(
    site: Site, here: ServerLicense, issuer: Issuer, tmp_path: Path
) -> None:
    """Killed at calls from the first to the last: what it acknowledged is there, and all is whole.

    Its hosts are given back within a minute; those of this process stay connected.
    """
    own = here.connect(HostKind.DEPLOY, "own", NOW)
    assert isinstance(own, Connection)
    log = tmp_path / "strace"
    whole = work(site, newer(issuer, 1), Fault(calls=WRITES, what="delay_enter=1"), log)
    assert whole == ["installed", "connected", "connected"]
    calls, acknowledged, struck = called(WRITES, log), {license_id(1)}, 0
    assert calls > KILLS
    for number in range(2, KILLS + 2):
        at = 1 + (number - 2) * (calls - 1) // (KILLS - 1)
        fault = Fault(calls=WRITES, what="signal=KILL", number=at)
        answers = work(site, newer(issuer, number), fault, log)
        struck += has_struck(fault, log)
        if "installed" in answers:
            acknowledged.add(license_id(number))
        assert here.hosts.connected(HostKind.DEPLOY) >= 1
        check(site, here, acknowledged)
    assert struck > KILLS // 2
    assert eventually(lambda: here.hosts.connected(HostKind.DEPLOY) == 1)
    here.hosts.disconnect(own)
    assert here.hosts.connected(HostKind.DEPLOY) == 0


def newer(issuer: Issuer, number: int) -> bytes:
    """Return a file that supersedes those of smaller numbers."""
    return issuer.file(number, iat=int(ISSUED.timestamp()) + number, limits=LIMITS)


def work(site: Site, file: bytes, fault: Fault, log: Path) -> list[str]:
    """Let a worker install and connect under a fault; return its answers."""
    with store_workers.running(
        store_workers.install_and_connect, site, file, f"worker-{fault.number}"
    ) as worker:
        assert worker.answer() == "ready"
        with attached(worker.process.pid or 0, [fault], log):
            worker.pipe.send("go")
            answers = worker.rest()
    return [str(each) for each in answers]


def check(site: Site, here: ServerLicense, acknowledged: set[str]) -> None:
    """Check that this process and a new one have one license, and a log that is whole."""
    installed = [each.license_id for each in site.log() if each.outcome == INSTALLED]
    assert len(installed) == len(set(installed)), "no row is there twice"
    assert acknowledged <= set(installed)
    with site.license() as new:
        assert current(new) == installed[0], "the newest row is the current license"
    assert eventually(lambda: current(here) == installed[0])
