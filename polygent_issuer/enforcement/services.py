"""Background services, which pause while the license is not active."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
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


@dataclass(slots=True)
class _Listener:
    service: Pausable
    running: bool | None = None

    def tell(self, reason: Refusal | None) -> None:
        self.running = reason is None  # first: the service may ask the license meanwhile
        try:
            if reason is None:
                self.service.resume()
            else:
                self.service.pause(reason)
        except Exception as error:  # noqa: BLE001 - one service must not stop the others
            self.running = None
            code = "active" if reason is None else reason.code
            _LOG.error("a background service was not told %s: %s", code, type(error).__name__)


class Services:
    """Tells each service once per change, in the order of the changes."""

    def __init__(self) -> None:
        """With no service."""
        self._lock = RLock()  # a service may ask the license meanwhile
        self._listeners: list[_Listener] = []

    def add(self, service: Pausable) -> None:
        """Tell this one too, from the next `tell` on."""
        with self._lock:
            self._listeners.append(_Listener(service))

    def tell(self, why_not: Callable[[], Refusal | None]) -> None:
        """Bring every service to what is true now.

        Args:
            why_not: why they pause, or None; asked under the lock, so that what a service is told
                last is the latest.

        A service that raises is told again at the next call, and keeps no other from being told.
        """
        with self._lock:
            for listener in self._listeners:
                reason = why_not()
                if listener.running != (reason is None):
                    listener.tell(reason)
