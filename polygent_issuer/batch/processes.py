"""The same work on many items by all cores; processes, since the library holds the interpreter.

Each process takes every n-th chunk of one list, so nothing is handed out while they work. It sends
each result through a pipe of its own and waits while that is full: results come in the order of the
items, and no process is further ahead of who reads them than a chunk and a pipe's buffer.
"""

import os
import signal
import sys
import threading
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from polygent_issuer.batch.work import Done, Job, Share, chunks, result
from polygent_issuer.errors import ExitCode, IssuerError

if TYPE_CHECKING:
    from multiprocessing.connection import Connection
    from multiprocessing.process import BaseProcess

    End = Connection[Any, Any]

Method = Literal["fork", "spawn"]


class ProcessLost(IssuerError):
    """A process that worked for this command was ended from outside; its results are missing."""

    code = "process_lost"
    exit_code = ExitCode.BUG


@dataclass(frozen=True, kw_only=True, slots=True)
class _Worker:
    process: "BaseProcess"
    results: "End"


def cores() -> int:
    """How many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def method() -> Method:
    """How processes are started here.

    A fork takes milliseconds where a new interpreter imports everything again, but is sound only
    where no other thread may hold a lock, and not on macOS.
    """
    return "fork" if sys.platform == "linux" and threading.active_count() == 1 else "spawn"


def in_order(
    job: Job, items: Sequence[Any], *, processes: int, start: Method
) -> Generator[Any, None, None]:
    """The job's result for each chunk of the items, in order; closed early, it ends its processes.

    Args:
        processes: how many work at most; 1 is this one.
        start: how they are started.

    Raises:
        ProcessLost: (`process_lost`) when one is ended from outside.
        IssuerError: what the job raised.
        WorkFailed: for anything else that the job raised.
    """
    whole, count = Share(job=job, items=items), min(processes, chunks(items))
    with _crew(whole, count, start) as crew:
        if crew:
            for number in range(chunks(items)):
                yield result(_received(crew[number % count]))
        else:
            yield from map(result, whole.outcomes())


@contextmanager
def _crew(whole: Share, count: int, start: Method) -> Iterator[list[_Worker]]:
    """Processes at work, or none where one is enough, or no more are allowed.

    However the block ends, none is left.
    """
    crew: list[_Worker] = []
    try:
        with _without_interrupts():
            for first in range(count if count > 1 else 0):
                share = Share(job=whole.job, items=whole.items, first=first, step=count)
                crew.append(_started(share, start))
    except OSError:
        _end(crew)
        yield []
        return
    except BaseException:
        _end(crew)
        raise
    try:
        yield crew
    finally:
        _end(crew)


def _end(crew: Sequence[_Worker]) -> None:
    """End what is not at its end yet; it writes nothing, so there is nothing to finish."""
    for each in crew:
        each.results.close()
        each.process.kill()
    for each in crew:
        each.process.join()


def _started(share: Share, start: Method) -> _Worker:
    from multiprocessing import get_context  # noqa: PLC0415  # 20 ms

    context: Any = get_context(start)
    results, sending = context.Pipe(duplex=False)
    # A fork has the reading end too; held open, it would hide that nobody else reads any more.
    inherited = results if start == "fork" else None
    process = context.Process(target=_work, args=(share, sending, inherited), daemon=True)
    process.start()
    sending.close()
    return _Worker(process=process, results=results)


def _work(share: Share, sending: "End", inherited: "End | None") -> None:
    """What a process does. Ctrl-C is the business of who started it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if inherited is not None:
        inherited.close()
    with suppress(OSError):  # nobody reads any more
        for outcome in share.outcomes():
            sending.send(outcome)


def _received(worker: _Worker) -> Done | Exception:
    try:
        received: Done | Exception = worker.results.recv()
    except (EOFError, OSError):  # between two results, or within one
        worker.process.join()
        raise _lost(worker.process.exitcode or 0) from None
    return received


def _lost(exit_code: int) -> ProcessLost:
    how = f"by signal {-exit_code}" if exit_code < 0 else f"with exit {exit_code}"
    return ProcessLost(
        f"a process that worked for this command was ended from outside, {how}",
        hint="is memory short? run the command again",
    )


@contextmanager
def _without_interrupts() -> Iterator[None]:
    """Hold Ctrl-C back for a moment; a process that is started in it never sees one."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
