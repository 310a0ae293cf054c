"""The web server; that it runs and stops is tested with the command."""

import asyncio
import logging

import pytest

from polygent_issuer.sandbox.server import BriefLog, hosts, listen


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
