"""The events of a server's license: what is logged, and what background services are notified of.

The logger is that of this module (standard library `logging`). Changes of the state, uploads and
refusals are logged, without the bytes of any license. Foreign text is escaped and cut. A client can
cause any number of refusals, so each code is logged once a minute at most, with the number of those
in between.
"""

import logging
from collections.abc import Callable
from datetime import datetime, timedelta
from threading import RLock
from typing import Final, Protocol

from ..verifier import License
from ..verifier.errors import quoted
from .refusals import NOT_OPEN, InstallRefused, Refusal, Standing
from .store import StoreFailed

_LOG: Final = logging.getLogger(__name__)
_EVERY: Final = timedelta(minutes=1)
_UNAVAILABLE: Final = 503


class Events:
    """The events of one `ServerLicense`; threads may share it. Times are UTC.

    It has no lock, which a fork could copy while it is taken. Two threads at the same time may
    repeat a message or miss one in a number.
    """

    def __init__(self) -> None:
        """Begin without a state."""
        self._state: tuple[str, str | None] | None = None
        # The time of each kind's last message, and the number of events since.
        self._last: dict[str, tuple[datetime, int]] = {}

    def judged(self, result: Standing | StoreFailed) -> None:
        """Log the state if it has changed, or if another process has installed a license."""
        if isinstance(result, StoreFailed):
            state: tuple[str, str | None] = result.code, None
        else:
            state = result.state, None if result.license is None else result.license.jti
        if state == self._state:
            return
        self._state = state
        if isinstance(result, StoreFailed):
            _LOG.error("the license store failed: %s; %s", result.message, result.hint)
        elif result.active:
            _LOG.info("license state: active%s", _which(result.license))
        else:
            _LOG.warning(
                "license state: %s%s: %s", result.state, _which(result.license), result.message
            )

    def installed(self, license_: License, by: str) -> None:
        """Log an upload that was installed."""
        _LOG.info("an upload by %s was installed%s", quoted(by), _which(license_))

    def upload_failed(self, error: InstallRefused | StoreFailed, now: datetime, by: str) -> None:
        """Log an upload that was refused or cannot be stored."""
        if isinstance(error, StoreFailed):
            text = f"an upload by {quoted(by)} was not stored: {error.message}; {error.hint}"
            self._report(logging.ERROR, f"upload {error.code}", now, text)
            return
        refused = error
        text = f"an upload by {quoted(by)} was refused{_which(refused.license)}: {refused.code}"
        self._report(logging.WARNING, f"upload {refused.code}", now, f"{text}: {refused.message}")

    def request_failed(self, failed: StoreFailed, now: datetime) -> None:
        """Log a failure of the store during a request, whose client does not see the reason."""
        text = f"the license store failed during a request: {failed.message}; {failed.hint}"
        self._report(logging.ERROR, f"request {failed.code}", now, text)

    def refused(self, refusal: Refusal, now: datetime, host: str | None) -> None:
        """Log a refusal, with the Host header for one of the domain."""
        level = logging.WARNING if refusal.status == _UNAVAILABLE else logging.INFO
        text = "" if host is None else f", host {quoted(host)}"
        text = f"refused: {refusal.status} {refusal.code}: {refusal.message}{text}"
        self._report(level, refusal.code, now, text)

    def not_opened(self, error: Exception, now: datetime) -> None:
        """Log the error of a callable that does not return the license."""
        text = f"the license is not open: {type(error).__name__}: {error}"
        self._report(logging.ERROR, NOT_OPEN.code, now, text)

    def _report(self, level: int, kind: str, now: datetime, text: str) -> None:
        last, more = self._last.get(kind, (None, 0))
        # A clock that was set back must not silence a kind until it has caught up.
        if last is not None and timedelta(0) <= now - last < _EVERY:
            self._last[kind] = last, more + 1
            return
        self._last[kind] = now, 0
        _LOG.log(level, "%s%s", text, f" (and {more:,} more before)" if more else "")


def _which(license_: License | None) -> str:
    return "" if license_ is None else f", license {license_.jti} of {quoted(license_.customer)}"


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
