"""The clock of a server, and the examples of the guide's section *Daily alerts*."""

import asyncio
import re
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from threading import Event, Thread
from typing import Any
from zoneinfo import ZoneInfo

import licensing
import pytest
from support.lic_files import ISSUED, license_id
from support.mail_server import MailServer, mail_server
from support.servers import DAY, Server

from polygent_issuer.enforcement import Admin, Alert, Refusal, StoreFailed, next_run
from polygent_issuer.enforcement.daily import DailyRuns, server_now
from polygent_issuer.guide import markdown

END = ISSUED + 365 * DAY
PATIENCE = 60.0
"""Seconds to wait for what should happen at once."""
AT_ONCE = timedelta(milliseconds=1)
ADA = Admin(name="Ada", address="ada@acme.example")


def runs(server: Server, **how: Any) -> DailyRuns:
    """Return daily runs with the clock of the server; they check at once and then never."""
    parts: dict[str, Any] = {"admins": lambda: [ADA], "send": lambda _: None, "every": DAY}
    return DailyRuns(server.license, now=lambda: server.now, **{**parts, **how})


class Mails:
    """Keeps each alert, and reports one."""

    def __init__(self) -> None:
        self.days: list[int] = []
        self.sent = Event()

    def __call__(self, alert: Alert) -> None:
        self.days.append(alert.milestone)
        self.sent.set()


def test_it_sends_what_is_due_and_confirms_it(server: Server) -> None:
    """The first check is immediate; after `stop` the mail is marked as sent."""
    server.install(0)
    server.now = END - 7 * DAY
    mails = Mails()
    with runs(server, send=mails):
        assert mails.sent.wait(PATIENCE)
    assert server.store.load().sent == {(license_id(0), 7)}


def test_it_follows_the_clock(server: Server) -> None:
    """Each check reads the clock: a milestone is sent, and services pause at the expiry."""

    class Queue:
        def __init__(self) -> None:
            self.paused = Event()

        def pause(self, reason: Refusal) -> None:
            assert reason.code == "license_expired"
            self.paused.set()

        def resume(self) -> None:
            self.paused.clear()

    queue, mails = Queue(), Mails()
    server.install(0)
    server.license.listen(queue, server.now)
    with runs(server, send=mails, every=AT_ONCE):
        server.now = END - 7 * DAY
        assert mails.sent.wait(PATIENCE)
        mails.sent.clear()
        server.now = END - DAY
        assert mails.sent.wait(PATIENCE)
        server.now = END
        assert queue.paused.wait(PATIENCE)
    assert mails.days == [7, 1]


def test_a_check_that_fails_does_not_end_it(
    server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    """Errors of store, clock and recipients are logged; the next check goes on."""
    server.install(0)
    server.now = END - 7 * DAY
    errors: Iterator[Exception] = iter(
        (ConnectionError("password hunter2"), StoreFailed("the disk is full", hint="make room"))
    )
    mails = Mails()

    def admins() -> list[Admin]:
        for error in errors:
            raise error
        return [ADA]

    with runs(server, admins=admins, send=mails, every=AT_ONCE):
        assert mails.sent.wait(PATIENCE)
    assert caplog.messages == [
        "the license was not checked: ConnectionError",
        "the license was not checked: the disk is full; make room",
    ]


def test_it_stops_at_once(server: Server) -> None:
    """`stop` interrupts the wait for the next check, and twice is harmless."""
    server.install(0)
    server.now = END - 7 * DAY
    mails = Mails()
    daily = runs(server, send=mails)
    daily.start()
    assert mails.sent.wait(PATIENCE)
    with pytest.raises(RuntimeError, match="have started"):
        daily.start()
    stopping = Thread(target=daily.stop, daemon=True)
    stopping.start()
    stopping.join(PATIENCE)
    assert not stopping.is_alive()
    daily.stop()


def test_it_starts_again(server: Server) -> None:
    """Daily runs that were stopped check every minute again."""
    server.install(0)
    mails = Mails()
    daily = runs(server, send=mails, every=AT_ONCE)
    with daily:
        pass
    with daily:
        for days in (30, 7, 1):
            server.now = END - days * DAY
            assert mails.sent.wait(PATIENCE)
            mails.sent.clear()
    assert mails.days == [30, 7, 1]


def test_the_end_of_a_lifespan_waits_for_the_mail_and_not_in_the_event_loop(
    server: Server,
) -> None:
    """While the lifespan waits for a mail that is being sent, the event loop runs."""
    server.install(0)
    server.now = END - 7 * DAY
    sending, finish = Event(), Event()
    loop_ran: list[bool] = []

    def send(_: Alert) -> None:
        sending.set()
        loop_ran.append(finish.wait(PATIENCE))

    async def life() -> None:
        async with runs(server, send=send):
            assert await asyncio.to_thread(sending.wait, PATIENCE)
            asyncio.get_running_loop().call_soon(finish.set)

    asyncio.run(life())
    assert loop_ran == [True]
    assert server.store.load().sent == {(license_id(0), 7)}


@pytest.fixture
def zone(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], None]]:
    """Set the time zone of this process, until the end of the test."""
    with monkeypatch.context() as environ:

        def become(name: str) -> None:
            environ.setenv("TZ", name)
            time.tzset()

        yield become
    time.tzset()


@pytest.mark.parametrize(
    "name", ["Australia/Sydney", "America/New_York", "Asia/Kathmandu", "Europe/London"]
)
def test_the_server_time_has_the_rules_of_its_zone(zone: Callable[[str], None], name: str) -> None:
    """Local time, offset and next run are those of the zone, also where the clocks change."""
    zone(name)
    here = server_now().tzinfo
    offsets = set()
    for hours in (*range(34 * 24), *range(160 * 24, 188 * 24)):
        at = datetime(2026, 10, 1, tzinfo=UTC) + timedelta(hours=hours)
        local, expected = at.astimezone(here), at.astimezone(ZoneInfo(name))
        assert local.isoformat() == expected.isoformat()
        assert (local.fold, local.tzname()) == (expected.fold, expected.tzname())
        assert next_run(local).astimezone(UTC) == next_run(expected).astimezone(UTC)
        offsets.add(local.utcoffset())
    assert len(offsets) == (1 if name == "Asia/Kathmandu" else 2)


@pytest.fixture
def mailbox() -> Iterator[MailServer]:
    """A real mail server."""
    with mail_server() as running:
        yield running


@pytest.fixture
def example(server: Server, mailbox: MailServer, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The names of the guide's app that the section uses, with three admins and a mail server.

    The license expires in two days by the true clock, so its first run has a mail.
    """
    now = datetime.now(UTC)
    server.now = now
    issued = int(now.timestamp())
    server.install(1, iat=issued, exp=issued + 2 * 86_400)
    bob, cy = Admin(name="Bob", address="bob@acme.example"), Admin(name="Cy", address=None)
    monkeypatch.setattr(licensing, "admins", lambda: [ADA, bob, cy])
    monkeypatch.setenv("MAIL_SERVER", f"127.0.0.1:{mailbox.port}")
    return {"license": server.license, "admins": licensing.admins, "send": licensing.send}


def code() -> str:
    """Return the code of the section."""
    _, section = markdown("server").split("## Daily alerts\n")
    [block] = re.findall(r"```python\n(.*?)```", section.partition("\n## ")[0], re.DOTALL)
    return str(block)


def assert_mailed(mailbox: MailServer) -> None:
    """Check the mail that arrives."""
    message = mailbox.messages.get(timeout=PATIENCE)
    assert message["To"] == "ada@acme.example, bob@acme.example"
    assert message["Subject"] == "The Polygent license of Acme GmbH expires in 2 days"
    assert "Settings, License" in message.get_content()


@pytest.mark.usefixtures("example")
def test_the_lifespan_of_the_guide(server: Server, mailbox: MailServer) -> None:
    """The guide's app mails the alert through a real mail server, and closes the license."""

    async def life() -> None:
        async with licensing.running(server.license, server_now):
            await asyncio.to_thread(assert_mailed, mailbox)

    asyncio.run(life())
    server.restart()
    assert server.store.load().sent == {(license_id(1), 7)}
    assert mailbox.messages.empty()


def test_a_mail_server_that_refuses_leaves_the_alert_due(
    server: Server, mailbox: MailServer, example: dict[str, Any]
) -> None:
    """The example's `send` raises, so the mail is not marked as sent."""
    mailbox.reply = b"451 try later"
    assert server.license.run_daily(server.now, example["admins"], send=example["send"])
    assert server.store.load().sent == frozenset()


def test_the_scheduler_of_the_guide(
    server: Server, mailbox: MailServer, example: dict[str, Any]
) -> None:
    """The job of APScheduler mails the alert, once; the script for cron is its function."""
    exec(code(), example)  # noqa: S102 - the test runs the printed code
    (job,) = example["scheduler"].get_jobs()
    assert job.trigger.interval == timedelta(minutes=1)
    try:
        job.modify(next_run_time=datetime.now(UTC))  # instead of waiting a minute
        assert_mailed(mailbox)
    finally:
        example["scheduler"].shutdown(wait=True)
    assert server.store.load().sent == {(license_id(1), 7)}
    example["check_license"]()
    assert mailbox.messages.empty()
