"""Threads that watch a store, and objects with threads, locks or open files that survive a fork.

SQLite's locks belong to a process, but its notes of them are copied by a fork, so a child that went
on with its parent's connection would write without a lock (sqlite.org/howtocorrupt.html, 2.6).
"""

import logging
import os
from collections.abc import Callable
from itertools import count
from threading import Event, Lock, Thread, current_thread
from typing import Any, Final, Protocol
from weakref import WeakMethod, WeakValueDictionary

ROUND: Final = 0.25
"""Seconds between two looks."""
_PATIENCE: Final = 5.0
"""Seconds that the end of a look is waited for."""


class Forked(Protocol):
    """An object that takes part in a fork; the steps are those of `os.register_at_fork`."""

    def stop_before_fork(self) -> None:
        """End the threads of the object, which take its locks; by default it has none."""
        return

    def lock_before_fork(self) -> None:
        """Take the locks of the object, and close what the child must not inherit."""

    def go_on_after_fork(self, *, child: bool) -> None:
        """Release the locks; a child forgets what belongs to its parent."""


_numbers: Final = count()
_objects: Final = WeakValueDictionary[int, Forked]()
_locked: Final[list[Forked]] = []
_forking: Final = Lock()
"""Held during a fork, since `_locked` belongs to one fork at a time."""
_LOG: Final = logging.getLogger(__name__)


def take_part_in_forks(forked: Forked) -> None:
    """Let an object take part in each fork while it lives.

    An object is locked before those that took part earlier, which it may use under its own lock.
    """
    _objects[next(_numbers)] = forked


def _before() -> None:
    _forking.acquire()
    # `values` would fail if another thread added an object meanwhile.
    living = (reference() for reference in reversed(_objects.valuerefs()))
    _locked[:] = [each for each in living if each is not None]
    for each in _locked:
        each.stop_before_fork()
    for each in _locked:
        each.lock_before_fork()


def _after(*, child: bool) -> None:
    try:
        while _locked:
            try:
                _locked.pop().go_on_after_fork(child=child)
            except Exception as error:  # noqa: BLE001 - such as that no thread can be started
                _LOG.exception("a fork left a license store unwatched: %s", type(error).__name__)
    finally:
        _forking.release()


if hasattr(os, "register_at_fork"):  # not on Windows, which has no fork
    os.register_at_fork(
        before=_before,
        after_in_parent=lambda: _after(child=False),
        after_in_child=lambda: _after(child=True),
    )


class Watch:
    """Calls a method of an object until it is stopped, or the object is gone."""

    def __init__(self, look: Callable[[], Any]) -> None:
        """Start nothing yet; `look` is a bound method, called again after an error."""
        self._look = WeakMethod(look)
        self._stop = Event()
        self._thread: Thread | None = None

    def start(self) -> None:
        """Start the thread, unless it runs."""
        if self._thread is None:
            self._stop = Event()
            thread = Thread(
                target=_run, args=(self._look, self._stop), name="license store", daemon=True
            )
            thread.start()
            self._thread = thread

    def stop(self) -> bool:
        """End the thread after its present look; return whether it ran."""
        thread, self._thread = self._thread, None
        self._stop.set()
        if thread is not None and thread is not current_thread():
            thread.join(_PATIENCE)
        return thread is not None


def _run(method: "WeakMethod[Callable[[], Any]]", stop: Event) -> None:
    failed = False
    while not stop.wait(ROUND):
        look = method()
        if look is None:
            return
        try:
            look()
            failed = False
        except Exception as error:  # noqa: BLE001 - of a service or of the host's own fingerprint
            if not failed:
                _LOG.exception("the license store is not watched: %s", type(error).__name__)
            failed = True
        del look
