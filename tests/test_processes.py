"""Parallel work in processes: in order, not far ahead, and no process is left over."""

import subprocess
import sys
from contextlib import closing
from multiprocessing import active_children
from multiprocessing.connection import wait
from pathlib import Path
from threading import Event, Thread
from typing import Any, get_args

import pytest
from support.jobs import Doubling, Faulty, Large

from polygent_issuer.errors import InternalError, NotFound
from polygent_issuer.processes import (
    CHUNK,
    Method,
    ProcessLost,
    another,
    cores,
    in_order,
    method,
)

METHODS: tuple[Method, ...] = get_args(Method)
# Newer Pythons warn of what `method` avoids and these tests do on purpose: pytest has threads.
pytestmark = pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")

PROGRAM = """
import sys
from support.jobs import Large
from polygent_issuer.processes import in_order
results = in_order(Large(), range(10_000), processes=2, start=sys.argv[1])
next(results)
print("begun", flush=True)
sys.stdin.read()
"""


def run(job: Doubling, count: int, **how: Any) -> list[int]:
    """Return all results."""
    given = {"processes": 2, "start": "fork", **how}
    return [each for chunk in in_order(job, range(count), **given) for each in chunk]


@pytest.mark.parametrize("start", METHODS)
@pytest.mark.parametrize("processes", [1, 2, 3])
@pytest.mark.parametrize("count", [0, 1, CHUNK, 7 * CHUNK + 5])
def test_results_come_in_order(start: Method, processes: int, count: int) -> None:
    """The order does not depend on the number of processes, the start method or the last chunk."""
    doubled = run(Doubling(), count, processes=processes, start=start)
    assert doubled == [2 * number for number in range(count)]
    assert active_children() == []


@pytest.mark.parametrize("start", METHODS)
def test_results_may_exceed_a_pipe(start: Method) -> None:
    """Each process waits for the reader, and not for another process."""
    assert len(run(Large(), 10 * CHUNK, start=start)) == 10 * CHUNK * 2_500


@pytest.mark.slow
@pytest.mark.parametrize("start", METHODS)
def test_processes_are_not_far_ahead_of_the_reader(tmp_path: Path, start: Method) -> None:
    """The work ahead of the reader depends on the number of processes, not on that of the items."""
    noted = tmp_path / "noted"
    with closing(in_order(Large(noted), range(60 * CHUNK), processes=2, start=start)) as results:
        for read, chunk in enumerate(results, 1):
            assert len(chunk) == CHUNK * 2_500
            assert len(noted.read_bytes()) <= read + 2 * 2
    assert len(noted.read_bytes()) == 60


def test_a_single_process_works_on_demand(tmp_path: Path) -> None:
    """Without other processes, a chunk is done when the reader asks for it."""
    noted = tmp_path / "noted"
    results = in_order(Doubling(noted), range(10 * CHUNK), processes=1, start="fork")
    next(results)
    assert len(noted.read_bytes()) == 1


@pytest.mark.parametrize("how", ["die", "die writing"])
@pytest.mark.parametrize("start", METHODS)
def test_a_process_that_dies_is_an_error(start: Method, how: str) -> None:
    """It ends the run, also within a result; the results before it come in order."""
    results = in_order(Faulty(at=3 * CHUNK, how=how), range(8 * CHUNK), processes=2, start=start)
    read: list[int] = []
    with pytest.raises(ProcessLost, match="worker process was killed") as lost:
        read.extend(number for chunk in results for number in chunk)
    assert read == [2 * number for number in range(len(read))]
    assert len(read) <= 3 * CHUNK
    assert (lost.value.code, lost.value.exit_code) == ("process_lost", 1)
    assert active_children() == []


def test_a_reader_that_stops_does_not_wait_for_a_partial_result() -> None:
    """The processes are ended, though one was killed while it wrote a result."""
    # The fifth chunk of two processes is begun when the first result is read.
    job = Faulty(at=4 * CHUNK, how="die writing")
    results = in_order(job, range(8 * CHUNK), processes=2, start="fork")
    next(results)
    wait([process.sentinel for process in active_children()])
    results.close()
    assert active_children() == []


def test_a_process_that_exits_is_an_error() -> None:
    """A process that exits ends the run with an error."""
    with pytest.raises(ProcessLost, match="worker process was killed"):
        run(Faulty(at=0, how="exit"), 1_000)


@pytest.mark.parametrize("processes", [1, 2])
def test_an_error_of_a_job_is_raised_in_the_parent(processes: int) -> None:
    """Its code, message and hint are preserved."""
    with pytest.raises(NotFound, match="no such thing") as refused:
        run(Faulty(at=500), 1_000, processes=processes)
    assert refused.value.hint == "look elsewhere"
    assert active_children() == []


@pytest.mark.parametrize("processes", [1, 2])
def test_a_bug_is_reported_with_its_type_and_place(processes: int) -> None:
    """It is not an OSError, which would be reported as a full disk."""
    with pytest.raises(InternalError, match=r": KeyError at jobs\.py:\d+$"):
        run(Faulty(at=500, how="slip"), 1_000, processes=processes)


@pytest.mark.parametrize("start", METHODS)
def test_a_reader_that_stops_ends_the_processes(start: Method) -> None:
    """They end at once, though they have more results."""
    results = in_order(Large(), range(10_000), processes=2, start=start)
    next(results)
    assert len(active_children()) == 2
    results.close()
    assert active_children() == []


@pytest.mark.parametrize("start", METHODS)
def test_processes_end_with_their_parent(start: Method) -> None:
    """They end even if the parent is killed: their common stderr is closed."""
    command = [sys.executable, "-c", PROGRAM, start]
    environ = {"PYTHONPATH": str(Path(__file__).parent)}
    pipes: dict[str, Any] = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    with subprocess.Popen(command, env=environ, **pipes) as started:
        assert started.stdout is not None
        assert started.stderr is not None
        assert started.stdout.readline() == b"begun\n"
        started.kill()
        assert b"Traceback" not in started.stderr.read()


@pytest.mark.parametrize("start", METHODS)
def test_another_process_works_while_this_one_does(tmp_path: Path, start: Method) -> None:
    """All chunks are done before a result is read; the results come in order."""
    noted = tmp_path / "noted"
    with another(Doubling(noted), start=start) as ask:
        assert ask is not None
        results = ask([[1, 2], [3], [4]])
        [process] = active_children()
        while not noted.exists() or len(noted.read_bytes()) < 3:  # a hang fails by timeout
            assert process.is_alive()
        assert list(results) == [[2, 4], [6], [8]]
    assert active_children() == []


def test_another_process_ends_with_the_block() -> None:
    """Ctrl-C and errors end it at once, though it has more work."""

    def interrupted() -> None:
        with another(Large(), start="fork") as ask:
            assert ask is not None
            next(ask([range(CHUNK)] * 100))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert active_children() == []


def test_the_loss_of_another_process_is_an_error() -> None:
    """It is reported when its result is read."""
    with another(Faulty(at=2, how="die"), start="fork") as ask:
        assert ask is not None
        results = ask([[1], [2], [3]])
        with pytest.raises(ProcessLost):
            list(results)
    assert active_children() == []


def test_without_processes_the_parent_does_the_work() -> None:
    """If no more files can be opened, this process does the work alone."""
    program = (
        "import os, resource, concurrent.futures.process, multiprocessing.popen_fork\n"
        "from support.jobs import Doubling\n"
        "from polygent_issuer.processes import another, in_order\n"
        "most = max(map(int, os.listdir('/proc/self/fd'))) + 1\n"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))\n"
        "print(sum(map(len, in_order(Doubling(), range(500), processes=2, start='fork'))))\n"
        "with another(Doubling(), start='fork') as ask:\n"
        "    print(ask)\n"
    )
    environ = {"PYTHONPATH": str(Path(__file__).parent)}
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, env=environ, capture_output=True, check=False)
    assert (done.stdout, done.stderr) == (b"500\nNone\n", b"")


def test_a_process_with_threads_is_not_forked() -> None:
    """A thread may have a lock that the other process would wait for."""
    assert cores() >= 1
    assert method() == ("fork" if sys.platform == "linux" else "spawn")
    release = Event()
    thread = Thread(target=release.wait)
    thread.start()
    try:
        assert method() == "spawn"
    finally:
        release.set()
        thread.join()
