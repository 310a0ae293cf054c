"""Calls that may never return end for us all the same."""

import threading
from datetime import timedelta

import pytest

from polygent_issuer.keys.signer import TimeoutExpired, run_with_timeout

SOON = timedelta(milliseconds=50)
AMPLE = timedelta(seconds=30)


def test_gives_what_the_call_returns() -> None:
    """A call in time gives its result, None included."""
    assert run_with_timeout(AMPLE, lambda: "result") == "result"
    assert run_with_timeout(AMPLE, lambda: None) is None


def test_raises_what_the_call_raises() -> None:
    """A call that fails in time fails with its own error, in the caller's thread."""

    def fail() -> None:
        raise ValueError("its own")

    with pytest.raises(ValueError, match="its own"):
        run_with_timeout(AMPLE, fail)


def test_leaves_a_hanging_call_behind() -> None:
    """A call that hangs is given up at the deadline and does not keep the process alive."""
    release = threading.Event()
    threads: list[threading.Thread] = []

    def hang() -> None:
        threads.append(threading.current_thread())
        release.wait()

    with pytest.raises(TimeoutExpired):
        run_with_timeout(SOON, hang)
    assert threads[0].is_alive()
    assert threads[0].daemon
    release.set()
    threads[0].join()
