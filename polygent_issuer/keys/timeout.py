"""A deadline for calls that may wait for ever: a stopped daemon, an unanswered prompt."""

import threading
from collections.abc import Callable
from datetime import timedelta
from typing import TypeVar

T = TypeVar("T")


class TimeoutExpired(Exception):
    """The call had not returned in time; it is left behind in its thread."""


def run_with_timeout(timeout: timedelta, call: Callable[[], T]) -> T:
    """What `call` returns or raises, if it does so in time.

    It runs in a daemon thread, which is left behind when the deadline passes: the libraries below
    offer no way to interrupt them, and a daemon thread does not keep the process alive.

    Args:
        timeout: how long to wait.
        call: takes no arguments; it must own whatever it opens, for nobody waits for it.

    Raises:
        DeadlinePassed: when it has not returned in time.
    """
    returned: list[T] = []
    raised: list[BaseException] = []

    def run() -> None:
        try:
            returned.append(call())
        except BaseException as error:  # noqa: BLE001 -- raised again below, in the caller's thread
            raised.append(error)

    thread = threading.Thread(target=run, name="key store", daemon=True)
    thread.start()
    thread.join(timeout.total_seconds())
    if returned:
        return returned[0]
    if raised:
        raise raised[0]
    raise TimeoutExpired
