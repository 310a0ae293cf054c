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
        ...

    def resume(self) -> None:
        """Work again."""
        ...


class Services:
    """Tells each service once per change, in the order of the changes."""

    def __init__(self) -> None:
        """With no service."""
        # A service may ask the license while it is told.
        self._lock = RLock()
        self._told: list[tuple[Pausable, list[bool]]] = []

    def add(self, service: Pausable) -> None:
        """Tell this one too, from the next `tell` on."""
        with self._lock:
            self._told.append((service, []))

    def tell(self, why_not: Callable[[], Refusal | None]) -> None:
        """Bring every service to what holds now.

        Args:
            why_not: why they pause, or None; asked under the lock, so that what a service is told
                last is the latest.

        A service that raises is told again at the next call, and keeps no other from being told.
        """
        with self._lock:
            for service, told in self._told:
                reason = why_not()
                if told != [reason is None]:
                    told[:] = [reason is None]
                    _tell(service, told, reason)


def _tell(service: Pausable, told: list[bool], reason: Refusal | None) -> None:
    try:
        if reason is None:
            service.resume()
        else:
            service.pause(reason)
    except Exception as error:  # noqa: BLE001 - one service must not stop the others
        told.clear()
        code = "active" if reason is None else reason.code
        _LOG.error("a background service was not told %s: %s", code, type(error).__name__)
