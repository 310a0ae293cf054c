"""The log of a server's license, in the logger of this module (standard library `logging`).

Changes of the state, uploads and refusals are logged, without the bytes of any license. Foreign
text is escaped and cut. A client can cause any number of refusals, so each code is logged once a
minute at most, with the number of those in between.
"""

import logging
from datetime import datetime, timedelta
from typing import Final

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
