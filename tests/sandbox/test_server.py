"""The web server, and what it does while nobody asks; the command's tests run and stop it."""

import asyncio
import logging
from datetime import timedelta
from threading import Event

import pytest
from starlette.testclient import TestClient
from support.sandboxes import HOST, Sandbox

from polygent_issuer.enforcement import Refusal
from polygent_issuer.sandbox.server import BriefLog, application, hosts, listen


def test_a_bug_is_a_line(caplog: pytest.LogCaptureFixture) -> None:
    """No traceback reaches the terminal, and no text of the error, which may be a visitor's."""
    logger = logging.getLogger("brief")
    logger.addFilter(BriefLog())
    try:
        raise KeyError("\x1b[31m")  # noqa: TRY301 - to be logged
    except KeyError:
        logger.exception("Exception in ASGI application")
    try:
        raise asyncio.CancelledError  # noqa: TRY301 - to be logged
    except asyncio.CancelledError:
        logger.exception("Exception in ASGI application")
    logger.error("Cancel 1 running task(s), timeout graceful shutdown exceeded")
    [bug] = (logging.Formatter().format(record) for record in caplog.records)
    assert bug.startswith("this is a bug in the sandbox: KeyError at test_server.py:")
    assert "\n" not in bug


def test_only_the_loopback() -> None:
    """The socket is bound before anything is served."""
    with listen(0) as listening:
        assert listening.getsockname()[0] == "127.0.0.1"


def test_the_port_that_browsers_leave_out() -> None:
    """At port 80 the Host has none; at any other it must have ours."""
    assert "127.0.0.1" in hosts(80)
    assert hosts(8321) == ("127.0.0.1:8321", "localhost:8321")


PATIENCE = 60
"""Seconds; it takes milliseconds."""


class Queue:
    """A background service that can be waited for."""

    def __init__(self) -> None:
        self.paused = Event()
        self.reason: Refusal | None = None

    def pause(self, reason: Refusal) -> None:
        self.reason = reason
        self.paused.set()

    def resume(self) -> None:
        self.paused.clear()


def test_services_pause_at_the_expiry_without_a_request(licensed: Sandbox) -> None:
    """A license that ends at night pauses the queue at night."""
    held = licensed.site.standing().license
    assert held is not None
    queue = Queue()
    licensed.site.license.listen(queue, licensed.site.now())
    with TestClient(
        application(licensed.site, hosts=[HOST], access=licensed.access, tick_every=0.001)
    ):
        licensed.at = held.expires_at
        assert queue.paused.wait(PATIENCE)
    assert queue.reason is not None
    assert queue.reason.code == "license_expired"


def test_a_tick_sends_what_is_due(licensed: Sandbox) -> None:
    """The daily run comes with the first tick after a 09:00, and not with the next ones."""
    held = licensed.site.standing().license
    assert held is not None
    licensed.site.tick()
    licensed.at = held.expires_at - timedelta(days=7)
    for _ in range(3):
        licensed.site.tick()
    alerts = [run.alert.milestone for _, run in licensed.site.mails if run.alert]
    assert alerts == [7]
