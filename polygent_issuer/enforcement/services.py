"""Background services, which pause while the license is not active."""

import logging
from collections.abc import Callable
from threading import RLock
from typing import Final, Protocol

from .refusals import Refusal

_LOG: Final = logging.getLogger(__name__)


class Pausable(Protocol):
    """A queue, automations, a sync: any work without a request.

    Both methods are called in the thread that noticed the change, and must return at once.
    """

    def pause(self, reason: Refusal) -> None:
        """Start nothing more until `resume`."""

    def resume(self) -> None:
        """Resume work."""


class Services:
    """Notifies each service once of each change, in the order of the changes."""

    def __init__(self) -> None:
        """Begin without services."""
        self.lock = RLock()  # a service may use the license meanwhile
        self._services: list[Pausable] = []
        self._running: list[bool | None] = []

    def add(self, service: Pausable) -> None:
        """Add a service, from the next `notify` on."""
        with self.lock:
            self._services.append(service)
            self._running.append(None)

    def notify(self, why_not: Callable[[], Refusal | None]) -> None:
        """Pause or resume every service for the current state.

        `why_not` is called under the lock, so that the last call of a service has the latest
        reason. A service that raises is called again by the next `notify`. It does not affect the
        others.
        """
        with self.lock:
            for number, service in enumerate(self._services):
                reason = why_not()
                if self._running[number] == (reason is None):
                    continue
                self._running[number] = reason is None  # before the call, which may use the license
                try:
                    service.resume() if reason is None else service.pause(reason)
                except Exception as error:  # noqa: BLE001 - one service must not stop the others
                    self._running[number] = None
                    what = "active" if reason is None else reason.code
                    _LOG.error(
                        "a background service was not notified of %s: %s",
                        what,
                        type(error).__name__,
                    )
