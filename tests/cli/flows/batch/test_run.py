"""Ctrl-C in a batch: noted first, obeyed at once the second time."""

import signal
import threading

import pytest

from polygent_issuer.cli.flows.batch.run import Interruption


def test_the_first_is_noted() -> None:
    """Nothing is raised, and whoever heard it before hears it again afterwards."""
    before = signal.getsignal(signal.SIGINT)
    with Interruption() as interruption:
        came = [interruption.came]
        signal.raise_signal(signal.SIGINT)
        came.append(interruption.came)
    assert came == [False, True]
    assert signal.getsignal(signal.SIGINT) is before


def test_the_second_interrupts() -> None:
    """Whoever presses it twice means it."""
    before = signal.getsignal(signal.SIGINT)

    def press_twice() -> None:
        with Interruption():
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        press_twice()
    assert signal.getsignal(signal.SIGINT) is before


def test_where_no_signal_is_heard() -> None:
    """In another thread it does nothing, and no harm."""
    heard = []

    def work() -> None:
        with Interruption() as interruption:
            heard.append(interruption.came)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert heard == [False]
