"""The same work on many items by all cores, through `concurrent.futures`.

Processes, since signature checks hold the interpreter. Results come in the order of the items, and
no more than two chunks for each process are waiting for the reader.
"""

import os
import signal
import sys
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import cached_property, partial
from itertools import islice
from typing import TYPE_CHECKING, Any, Final, Literal, Protocol

from polygent_issuer.errors import ExitCode, InternalError, IssuerError

if TYPE_CHECKING:
    from concurrent.futures import Future, ProcessPoolExecutor
    from multiprocessing.process import BaseProcess

Method = Literal["fork", "spawn"]

CHUNK: Final = 128
"""How many items make one result: some 20 ms of verifying, so that a reader sees them come."""
_AHEAD: Final = 2
"""How many chunks of each process are under way or wait for the reader."""
_LOOK_AFTER: Final = 1.0
"""Seconds without a result after which the processes are counted."""


class Work(Protocol):
    """The work; it reaches another process by pickle."""

    def begin(self) -> AbstractContextManager[Callable[[Sequence[Any]], Any]]:
        """Open what the work needs, once for each process; returns what makes a chunk's result."""
        ...


class ProcessLost(IssuerError):
    """A process that worked for this command was ended from outside; its results are missing."""

    code = "process_lost"
    exit_code = ExitCode.BUG


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
    job: Work, items: Sequence[Any], *, processes: int, start: Method
) -> Generator[Any, None, None]:
    """Yield the job's result for each chunk of the items, in order.

    Args:
        job: the work.
        items: what it is done to.
        processes: how many work at most; 1 is this one.
        start: how they are started.

    Raises:
        ProcessLost: (`process_lost`) when one is ended from outside.
        IssuerError: what the job raised; an `InternalError` (`bug`) for anything else.
    """
    chunks = (items[begin : begin + CHUNK] for begin in range(0, len(items), CHUNK))
    count = min(processes, -(-len(items) // CHUNK))
    with ExitStack() as closing:
        pool = closing.enter_context(_pool(job, count, start)) if count > 1 else None
        if pool is None:
            yield from map(partial(_result, closing.enter_context(job.begin())), chunks)
        else:
            yield from _from_pool(pool, chunks, _AHEAD * count)


def _from_pool(
    pool: "ProcessPoolExecutor", chunks: Iterator[Sequence[Any]], ahead: int
) -> Iterator[Any]:
    from concurrent.futures.process import BrokenProcessPool  # noqa: PLC0415  # 20 ms

    try:
        waiting = deque(pool.submit(_work, chunk) for chunk in islice(chunks, ahead))
        while waiting:
            result = _wait(pool, waiting.popleft())
            waiting.extend(pool.submit(_work, chunk) for chunk in islice(chunks, 1))
            yield result
    except BrokenProcessPool:
        raise ProcessLost(
            "a process that worked for this command was ended from outside",
            hint="is memory short? run the command again",
        ) from None


def _wait(pool: "ProcessPoolExecutor", future: "Future[Any]") -> Any:  # noqa: ANN401
    from concurrent.futures.process import BrokenProcessPool  # noqa: PLC0415 - as in _pool

    while True:
        try:
            return future.result(timeout=_LOOK_AFTER)
        except TimeoutError:
            # The pool itself does not notice a process that was killed while it wrote a result.
            if not all(process.is_alive() for process in _processes(pool)) and not future.done():
                raise BrokenProcessPool from None


def _abandon(pool: "ProcessPoolExecutor") -> None:
    """End the processes, whatever they do.

    They share one pipe for results. With half a result in it the pool waits for the rest as long as
    any process can write there, this one included.
    """
    for process in _processes(pool):
        process.kill()
    pool._result_queue._writer.close()  # type: ignore[attr-defined]  # noqa: SLF001 - it has no public name


def _processes(pool: "ProcessPoolExecutor") -> "tuple[BaseProcess, ...]":
    return tuple((pool._processes or {}).values())  # noqa: SLF001 - likewise


@contextmanager
def _pool(job: Work, count: int, start: Method) -> "Iterator[ProcessPoolExecutor | None]":
    """A pool of processes, or None where the system allows none; at the end none is left."""
    import multiprocessing  # noqa: PLC0415  # 20 ms
    from concurrent.futures import ProcessPoolExecutor  # noqa: PLC0415

    context = multiprocessing.get_context(start)
    try:
        pool = ProcessPoolExecutor(count, mp_context=context, initializer=_begin, initargs=(job,))
        with _without_interrupts():
            for _ in range(count):
                pool.submit(int)  # starts a process
    except (OSError, NotImplementedError):  # too few file descriptors, processes or semaphores
        for child in multiprocessing.active_children():
            child.kill()
        yield None
        return
    try:
        yield pool
    except BaseException:
        _abandon(pool)
        raise
    finally:
        pool.shutdown(cancel_futures=True)


class _Worker:
    """A process of the pool: it opens what its job needs at the first chunk, until it ends."""

    job: Work
    closing: ExitStack

    @cached_property
    def work(self) -> Callable[[Sequence[Any]], Any]:
        """What makes a chunk's result."""
        self.closing = ExitStack()
        return self.closing.enter_context(self.job.begin())


_worker: Final = _Worker()


def _begin(job: Work) -> None:
    """Make this process one that works for another, and ends with it; Ctrl-C is the other's."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    _worker.job = job


def _end_with_parent() -> None:
    """End this process when its parent is killed: it would wait for work for ever."""
    from multiprocessing import parent_process  # noqa: PLC0415 - as in _pool

    parent = parent_process()
    if parent is not None:
        parent.join()
        os.kill(os.getpid(), signal.SIGTERM)


def _work(chunk: Sequence[Any]) -> Any:  # noqa: ANN401 - the job's own
    return _result(_worker.work, chunk)


def _result(work: Callable[[Sequence[Any]], Any], chunk: Sequence[Any]) -> Any:  # noqa: ANN401
    """Do a chunk; a bug is no exception by which a stream reports that it cannot be written."""
    try:
        return work(chunk)
    except IssuerError:
        raise
    except Exception as error:  # noqa: BLE001 - its place is lost on the way to another process
        raise InternalError.at(error) from None


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
