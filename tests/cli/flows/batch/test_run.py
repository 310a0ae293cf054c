"""Ctrl-C in a batch: the first one is noted, and the second one interrupts."""

import signal
import threading

import pytest

from polygent_issuer.cli.flows.batch.run import Interruption


def test_the_first_ctrl_c_is_noted() -> None:
    """Nothing is raised, and the previous handler is restored afterwards."""
    before = signal.getsignal(signal.SIGINT)
    interruption = Interruption()
    with interruption.noted():
        came = [interruption.came]
        signal.raise_signal(signal.SIGINT)
        came.append(interruption.came)
    assert came == [False, True]
    assert signal.getsignal(signal.SIGINT) is before


def test_the_second_ctrl_c_interrupts() -> None:
    """It raises KeyboardInterrupt."""
    before = signal.getsignal(signal.SIGINT)

    def press_twice() -> None:
        with Interruption().noted():
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        press_twice()
    assert signal.getsignal(signal.SIGINT) is before


def test_another_thread_installs_no_handler() -> None:
    """Only the main thread receives signals."""
    heard = []

    def work() -> None:
        interruption = Interruption()
        with interruption.noted():
            heard.append(interruption.came)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert heard == [False]
