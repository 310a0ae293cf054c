"""A thread that looks at something four times a second, while the one who looks is alive."""

import logging
from collections.abc import Callable
from threading import Event, Thread, current_thread
from typing import Any, Final
from weakref import WeakMethod

ROUND: Final = 0.25
"""Seconds between two looks."""
_PATIENCE: Final = 5.0
"""Seconds that the end of a look is waited for."""
_LOG: Final = logging.getLogger(__name__)


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
