"""Background services, which pause while the license is not active."""

import logging
from collections.abc import Callable
from threading import RLock
from typing import Final, Protocol

from .refusals import Refusal

_LOG: Final = logging.getLogger(__name__)


class Pausable(Protocol):
    """A queue, automations, a sync: whatever works without a request.

    Both come from the thread that noticed the change, and return at once.
    """

    def pause(self, reason: Refusal) -> None:
        """Start nothing more until `resume`."""

    def resume(self) -> None:
        """Work again."""


class Services:
    """Tells each service once per change, in the order of the changes."""

    def __init__(self) -> None:
        """With no service."""
        self._lock = RLock()  # a service may ask the license meanwhile
        self._services: list[Pausable] = []
        self._running: list[bool | None] = []

    def add(self, service: Pausable) -> None:
        """Tell this one too, from the next `tell` on."""
        with self._lock:
            self._services.append(service)
            self._running.append(None)

    def tell(self, why_not: Callable[[], Refusal | None]) -> None:
        """Bring every service to what is true now.

        `why_not` is asked under the lock, so that what a service is told last is the latest. A
        service that raises is told again at the next call, and keeps no other from being told.
        """
        with self._lock:
            for number, service in enumerate(self._services):
                reason = why_not()
                if self._running[number] == (reason is None):
                    continue
                self._running[number] = reason is None  # first: it may ask the license meanwhile
                try:
                    service.resume() if reason is None else service.pause(reason)
                except Exception as error:  # noqa: BLE001 - one service must not stop the others
                    self._running[number] = None
                    what = "active" if reason is None else reason.code
                    _LOG.error(
                        "a background service was not told %s: %s", what, type(error).__name__
                    )
