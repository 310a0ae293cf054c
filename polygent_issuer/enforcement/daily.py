"""The clock of a server: check the license every minute, and mail its alerts once a day at 09:00.

    with DailyRuns(license, admins=admins, send=send):
        ...

In an ASGI lifespan it is `async with`. Every worker process may have one: of all that share a
store, one sends each mail.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta, tzinfo
from threading import Event, Thread
from typing import Final, Self

from .alerts import Admin, Alert
from .server_license import ServerLicense
from .store import ProcessBound, StoreFailed

_LOG: Final = logging.getLogger(__name__)


class _ServerZone(tzinfo):
    """The time zone of this machine with its changes; `astimezone()` has the offset of an instant.

    A daily run at 09:00 needs the offset of the next day, too.
    """

    def utcoffset(self, local: datetime | None) -> timedelta | None:
        return None if local is None else local.replace(tzinfo=None).astimezone().utcoffset()

    def dst(self, _: datetime | None) -> None:
        return None

    def tzname(self, local: datetime | None) -> str | None:
        return None if local is None else local.replace(tzinfo=None).astimezone().tzname()

    def fromutc(self, instant: datetime) -> datetime:
        there = instant.replace(tzinfo=UTC).astimezone()
        local = there.replace(tzinfo=self)
        # The second occurrence of an hour that the clocks repeat.
        return local if local.utcoffset() == there.utcoffset() else local.replace(fold=1)


def server_now() -> datetime:
    """Return the time of this machine's clock, in its time zone."""
    return datetime.now(_ServerZone())


class DailyRuns(ProcessBound):
    """Calls `ServerLicense.run_daily` every minute in a thread, from `start` to `stop`.

    As a context manager, also an asynchronous one, it starts and stops.
    """

    def __init__(
        self,
        license: ServerLicense,
        *,
        admins: Callable[[], Sequence[Admin]],
        send: Callable[[Alert], object],
        now: Callable[[], datetime] = server_now,
        every: timedelta = timedelta(minutes=1),
    ) -> None:
        """Start nothing yet.

        Args:
            admins: returns the recipients; called in the thread, when a run is due.
            send: sends a mail before it returns, in the thread; see `ServerLicense.run_daily`.
            now: the server's clock, aware. Runs are at 09:00 in its time zone, by default that of
                this machine.
            every: the time between two checks.
        """
        self._license = license
        self._admins = admins
        self._send = send
        self._now = now
        self._every = every
        self._stopped = Event()
        self._thread: Thread | None = None

    def start(self) -> None:
        """Start the thread in this process, after a fork; the first check is immediate.

        Raises:
            RuntimeError: it is running.
        """
        if self._thread is not None:
            raise RuntimeError("the daily runs have started; stop them first")
        self._stopped.clear()
        self._thread = Thread(target=self._run, name="license-daily-runs", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop the thread, after the mail that it is sending; a second call changes nothing."""
        self._stopped.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def __enter__(self) -> Self:
        """Start."""
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop."""
        self.stop()

    async def __aenter__(self) -> Self:
        """Start."""
        self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        """Stop, without blocking the event loop."""
        await asyncio.to_thread(self.stop)

    def _run(self) -> None:
        while True:
            self._check()
            if self._stopped.wait(self._every.total_seconds()):
                return

    def _check(self) -> None:
        try:
            self._license.run_daily(self._now(), self._admins, send=self._send)
        except StoreFailed as failed:
            _LOG.error("the license was not checked: %s; %s", failed.message, failed.hint)
        except Exception as error:  # noqa: BLE001 - the next minute tries again
            _LOG.error("the license was not checked: %s", type(error).__name__)
