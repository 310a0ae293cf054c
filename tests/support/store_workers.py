"""Processes that share one license store, each with its own `ServerLicense`."""

import multiprocessing
import os
import signal
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from multiprocessing.connection import Connection as Pipe
from multiprocessing.process import BaseProcess
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any

from polygent_issuer.enforcement import (
    Connection,
    HostKind,
    InstallRefused,
    LogEntry,
    ServerLicense,
    SqliteStore,
)
from polygent_issuer.verifier import KeySet, Verifier
from support.lic_files import ISSUED
from support.servers import MACHINE
from support.waiting import eventually

DEADLINE = 60.0
NOW = ISSUED + timedelta(days=1)
THREADS, ROUNDS = 8, 313
"""Of each process in `churn`: four of them connect their own hosts 10,016 times."""
SPAWNING = multiprocessing.get_context("spawn")


@dataclass(frozen=True, kw_only=True)
class Site:
    """A store's file and the key that its processes trust; `now` does not move."""

    path: Path
    pem: bytes

    def log(self) -> tuple[LogEntry, ...]:
        """Return the log of installs, as a new process reads it."""
        with closing(SqliteStore(self.path)) as store:
            return store.install_log()

    @contextmanager
    def license(self) -> Iterator[ServerLicense]:
        """Open the store, as each process does."""
        with closing(SqliteStore(self.path)) as store:
            yield ServerLicense(
                Verifier(KeySet.from_pem(self.pem)),
                store,
                fingerprint=MACHINE,
                freshness_window=timedelta(days=14),
            )


def current(license_: ServerLicense) -> str | None:
    """Return the ID of the license, which is active."""
    standing = license_.standing(NOW)
    assert standing.active
    return None if standing.license is None else standing.license.jti


@dataclass
class Worker:
    """A process and the pipe of its answers."""

    process: BaseProcess
    pipe: Pipe

    def answer(self) -> Any:
        """Return its next answer; `EOFError` once it has ended."""
        assert self.pipe.poll(DEADLINE), "the worker does not answer"
        return self.pipe.recv()

    def rest(self) -> list[Any]:
        """Return all further answers, up to its end."""
        answers = []
        try:
            while True:
                answers.append(self.answer())
        except EOFError:
            self.process.join(DEADLINE)
            return answers


@contextmanager
def running(work: Callable[..., None], *arguments: Any) -> Iterator[Worker]:
    """Run `work(pipe, *arguments)` in a process, which is killed at the end if it still runs."""
    ours, theirs = SPAWNING.Pipe()
    process = SPAWNING.Process(target=work, args=(theirs, *arguments))
    process.start()
    theirs.close()
    try:
        yield Worker(process, ours)
    finally:
        process.kill()
        process.join(DEADLINE)
        ours.close()


class Gauge:
    """The number of hosts that are connected for certain, counted apart from the store."""

    def __init__(self) -> None:
        """Begin at zero."""
        self._live = SPAWNING.Value("i", 0)
        self._most = SPAWNING.Value("i", 0)

    def up(self) -> None:
        """Count a host after it was connected."""
        with self._live.get_lock():
            self._live.value += 1
            self._most.value = max(self._most.value, self._live.value)

    def down(self) -> None:
        """Count a host no longer, before it disconnects."""
        with self._live.get_lock():
            self._live.value -= 1

    @property
    def most(self) -> int:
        """The largest number at any time."""
        return int(self._most.value)


def churn(pipe: Pipe, site: Site, start: Barrier, gauge: Gauge) -> None:
    """Connect and disconnect hosts in threads; answer how often what happened.

    Each thread has a host of its own, and in every round also reconnects `always`, which another
    process keeps connected.
    """
    with site.license() as license_, ThreadPoolExecutor(THREADS) as threads:
        start.wait(DEADLINE)
        hosts = [f"{os.getpid()}-{number}" for number in range(THREADS)]
        counts = threads.map(lambda host: _churn_host(license_, host, gauge), hosts)
        pipe.send(sum(counts, Counter()))


def _churn_host(license_: ServerLicense, host: str, gauge: Gauge) -> Counter[str]:
    counts: Counter[str] = Counter()
    for _ in range(ROUNDS):
        again = license_.connect(HostKind.SESSION, "always", NOW)
        made = license_.connect(HostKind.SESSION, host, NOW)
        if isinstance(made, Connection):
            counts["connected"] += 1
            gauge.up()
            gauge.down()
            license_.hosts.disconnect(made)
        else:
            counts[made.code] += 1
        if isinstance(again, Connection):
            counts["reconnected"] += 1
            license_.hosts.disconnect(again)
    return counts


def upload(pipe: Pipe, site: Site, start: Barrier, files: list[bytes]) -> None:
    """Install files one after another; answer each ID or refusal.

    Then, for the ID of the license that all have soon, answer that of this process's license.
    """
    with site.license() as license_:
        start.wait(DEADLINE)
        for file in files:
            try:
                pipe.send(license_.install(file, now=NOW, by="ada").jti)
            except InstallRefused as refused:
                pipe.send(refused.code)
        pipe.send("done")
        last = pipe.recv()
        eventually(lambda: current(license_) == last)
        pipe.send(current(license_))


def install_and_connect(pipe: Pipe, site: Site, file: bytes, name: str) -> None:
    """When asked to, install a file and connect two hosts; answer each step, and be killed."""
    with site.license() as license_:
        pipe.send("ready")
        pipe.recv()
        license_.install(file, now=NOW, by=name)
        pipe.send("installed")
        for host in ("a", "b"):
            assert isinstance(license_.connect(HostKind.DEPLOY, f"{name}-{host}", NOW), Connection)
            pipe.send("connected")
        os.kill(os.getpid(), signal.SIGKILL)
