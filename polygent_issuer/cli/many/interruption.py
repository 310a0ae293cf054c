"""Ctrl-C in a batch: the item in hand is finished, then the command ends."""

import signal
import threading
from types import FrameType, TracebackType
from typing import Any, Self


class Interruption:
    """While it is entered, the first Ctrl-C is noted, and the second interrupts at once.

    Attributes:
        came: whether there was one.
    """

    def __init__(self) -> None:
        """Wait for none yet."""
        self.came = False
        self._before: Any = None

    def __enter__(self) -> Self:
        """Begin to note it, where signals can be heard."""
        if threading.current_thread() is threading.main_thread():
            self._before = signal.signal(signal.SIGINT, self._note)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        raised: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Leave it to whoever heard it before."""
        if self._before is not None:
            signal.signal(signal.SIGINT, self._before)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.came:
            signal.default_int_handler(number, frame)
        self.came = True
