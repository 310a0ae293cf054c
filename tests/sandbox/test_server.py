"""The web server and its background task; tests of the command start and stop it."""

import asyncio
import logging
from datetime import timedelta
from threading import Event

import pytest
from starlette.testclient import TestClient
from support.sandboxes import HOST, Sandbox

from polygent_issuer.enforcement import Refusal
from polygent_issuer.sandbox import server
from polygent_issuer.sandbox.server import BriefLog, application, hosts, listen


def test_a_bug_is_reported_in_one_line(caplog: pytest.LogCaptureFixture) -> None:
    """Neither a traceback nor the text of the error, which may be a visitor's, is printed."""
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


def test_the_server_listens_on_loopback() -> None:
    """The socket is bound before anything is served."""
    with listen(0) as listening:
        assert listening.getsockname()[0] == "127.0.0.1"


def test_port_80_may_be_omitted() -> None:
    """The Host must have the port, except port 80."""
    assert "127.0.0.1" in hosts(80)
    assert hosts(8321) == ("127.0.0.1:8321", "localhost:8321")


PATIENCE = 60
"""Seconds; it takes milliseconds."""


class Queue:
    """A background service that tests can wait for."""

    def __init__(self) -> None:
        self.paused = Event()
        self.reason: Refusal | None = None

    def pause(self, reason: Refusal) -> None:
        self.reason = reason
        self.paused.set()

    def resume(self) -> None:
        self.paused.clear()


def test_services_pause_at_the_expiry_without_a_request(
    licensed: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The queue pauses at the expiry without any request."""
    monkeypatch.setattr(server, "_MINUTE", 0.001)
    license_ = licensed.site.standing().license
    assert license_ is not None
    queue = Queue()
    licensed.site.license.listen(queue, licensed.site.now())
    with TestClient(application(licensed.site, hosts=[HOST], access=licensed.access)):
        licensed.at = license_.expires_at
        assert queue.paused.wait(PATIENCE)
    assert queue.reason is not None
    assert queue.reason.code == "license_expired"


def test_a_tick_sends_due_alerts(licensed: Sandbox) -> None:
    """The first tick after 09:00 runs the alerts, and later ones send nothing more."""
    license_ = licensed.site.standing().license
    assert license_ is not None
    licensed.site.tick()
    for days in (7, 7, 6, 5):
        licensed.at = license_.expires_at - timedelta(days=days)
        licensed.site.tick()
    alerts = [run.alert.milestone for _, run in licensed.site.mails if run.alert]
    assert alerts == [7]
