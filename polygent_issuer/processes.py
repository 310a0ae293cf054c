"""Parallel work in other processes, with `concurrent.futures`.

It uses processes, since signature checks hold the interpreter's lock. Results come in the order of
the items, and at most two chunks for each process are in progress or waiting for the reader.
"""

import os
import signal
import sys
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import cached_property, partial
from itertools import islice
from math import ceil
from typing import TYPE_CHECKING, Any, Final, Literal, Protocol

from polygent_issuer.errors import ExitCode, InternalError, IssuerError

if TYPE_CHECKING:
    from concurrent.futures import Future, ProcessPoolExecutor
    from multiprocessing.process import BaseProcess

Method = Literal["fork", "spawn"]
Ask = Callable[[Iterable[Any]], Iterator[Any]]
"""Give chunks to another process; return their results in order, as they are needed."""

CHUNK: Final = 500
"""The most items of one result: about 40 ms of verification, so that results come steadily."""
_AHEAD: Final = 2
"""The number of chunks of each process that are in progress or wait for the reader."""
_LOOK_AFTER: Final = 1.0
"""Seconds without a result after which the processes are checked."""


class Work(Protocol):
    """The work, which is pickled for another process."""

    def begin(self) -> AbstractContextManager[Callable[[Any], Any]]:
        """Open the resources of one process; return the function for a chunk."""
        ...


class ProcessLost(IssuerError):
    """A worker process was killed, so its results are missing."""

    code = "process_lost"
    exit_code = ExitCode.BUG


def cores() -> int:
    """Return the number of cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def method() -> Method:
    """Return the start method of processes.

    A fork takes milliseconds, while a new interpreter imports everything again. But a fork is safe
    only if no other thread can have a lock, and never on macOS.
    """
    return "fork" if sys.platform == "linux" and threading.active_count() == 1 else "spawn"


def in_order(
    work: Work, items: Sequence[Any], *, processes: int, start: Method
) -> Generator[Any, None, None]:
    """Yield the result of the work for each chunk of the items, in order.

    The chunks have one size, so that all processes end at about the same time.

    Args:
        work: opened once in each process.
        processes: the maximum number of processes; 1 is this process.
        start: their start method.

    Raises:
        ProcessLost: (`process_lost`) a process was killed.
        IssuerError: the work raised it; any other error becomes an `InternalError` (`bug`).
    """
    count = max(1, min(processes, ceil(len(items) / CHUNK)))
    share = max(1, ceil(len(items) / count))
    size = ceil(share / ceil(share / CHUNK))
    chunks = (items[begin : begin + size] for begin in range(0, len(items), size))
    with ExitStack() as closing:
        pool = closing.enter_context(_pool(work, count, start)) if count > 1 else None
        if pool is None:
            yield from map(partial(_do, closing.enter_context(work.begin())), chunks)
        else:
            yield from _from_pool(pool, chunks, _AHEAD * count)


@contextmanager
def another(work: Work, *, start: Method) -> "Iterator[Ask | None]":
    """Start one other process, which ends with the block.

    Yield a function that gives all chunks to the process now, and returns an iterator over their
    results in order, with the errors of `in_order`; None if the system allows no process.
    """
    with _pool(work, 1, start) as pool:
        yield None if pool is None else partial(_ask, pool)


def _ask(pool: "ProcessPoolExecutor", chunks: Iterable[Any]) -> Iterator[Any]:
    with _reporting_lost():
        waiting = deque(pool.submit(_do_in_worker, chunk) for chunk in chunks)
    return _results(pool, waiting, iter(()))


def _from_pool(
    pool: "ProcessPoolExecutor", chunks: Iterator[Sequence[Any]], ahead: int
) -> Iterator[Any]:
    with _reporting_lost():
        waiting = deque(pool.submit(_do_in_worker, chunk) for chunk in islice(chunks, ahead))
    yield from _results(pool, waiting, chunks)


def _results(
    pool: "ProcessPoolExecutor", waiting: "deque[Future[Any]]", chunks: Iterator[Any]
) -> Iterator[Any]:
    """Yield results in order; for each, give the pool the next chunk."""
    with _reporting_lost():
        while waiting:
            result = _wait(pool, waiting.popleft())
            waiting.extend(pool.submit(_do_in_worker, chunk) for chunk in islice(chunks, 1))
            yield result


@contextmanager
def _reporting_lost() -> Iterator[None]:
    from concurrent.futures.process import BrokenProcessPool  # noqa: PLC0415  # 20 ms

    try:
        yield
    except BrokenProcessPool:
        raise ProcessLost(
            "a worker process was killed",
            hint="check that there is enough memory, and run the command again",
        ) from None


def _wait(pool: "ProcessPoolExecutor", future: "Future[Any]") -> Any:  # noqa: ANN401
    from concurrent.futures.process import BrokenProcessPool  # noqa: PLC0415 - as in _pool

    while True:
        try:
            return future.result(timeout=_LOOK_AFTER)
        except TimeoutError:
            # The pool does not notice a process that was killed while it wrote a result.
            if not all(process.is_alive() for process in _processes(pool)) and not future.done():
                raise BrokenProcessPool from None


def _abandon(pool: "ProcessPoolExecutor") -> None:
    """Kill the processes.

    They share one pipe for results. If it contains a partial result, the pool waits for the rest as
    long as any process can write there, including this one.
    """
    for process in _processes(pool):
        process.kill()
    pool._result_queue._writer.close()  # type: ignore[attr-defined]  # noqa: SLF001 - not public


def _processes(pool: "ProcessPoolExecutor") -> "tuple[BaseProcess, ...]":
    return tuple((pool._processes or {}).values())  # noqa: SLF001 - not public


@contextmanager
def _pool(work: Work, count: int, start: Method) -> "Iterator[ProcessPoolExecutor | None]":
    """Yield a pool of processes, or None if the system allows none; end all of them on exit."""
    import multiprocessing  # noqa: PLC0415  # 20 ms
    from concurrent.futures import ProcessPoolExecutor  # noqa: PLC0415

    context = multiprocessing.get_context(start)
    try:
        pool = ProcessPoolExecutor(count, mp_context=context, initializer=_set_up, initargs=(work,))
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
    """A process of the pool: it opens its resources at the first chunk and keeps them."""

    work: Work
    closing: ExitStack

    @cached_property
    def function(self) -> Callable[[Any], Any]:
        """The function for a chunk."""
        self.closing = ExitStack()
        return self.closing.enter_context(self.work.begin())


_worker: Final = _Worker()


def _set_up(work: Work) -> None:
    """Set up a worker process: it ignores Ctrl-C and ends with its parent."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    _worker.work = work


def _end_with_parent() -> None:
    """End this process when its parent is killed, else it would wait permanently."""
    from multiprocessing import parent_process  # noqa: PLC0415 - as in _pool

    parent = parent_process()
    if parent is not None:
        parent.join()
        os.kill(os.getpid(), signal.SIGTERM)


def _do_in_worker(chunk: Any) -> Any:  # noqa: ANN401 - of the work
    return _do(_worker.function, chunk)


def _do(function: Callable[[Any], Any], chunk: Any) -> Any:  # noqa: ANN401 - of the work
    """Process a chunk; an unexpected exception becomes an `InternalError`."""
    try:
        return function(chunk)
    except IssuerError:
        raise
    except Exception as error:  # noqa: BLE001 - its traceback does not reach the other process
        raise InternalError.at(error) from None


@contextmanager
def _without_interrupts() -> Iterator[None]:
    """Block Ctrl-C inside the block, and permanently in processes that are started there."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
