"""Daily runs of the alerts: which of several sends a mail, and when it counts as sent."""

import logging
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from threading import Barrier, Thread
from zoneinfo import ZoneInfo

import pytest
from support.alert_runs import ADA, BOB, END, NINE, run, sent
from support.lic_files import Issuer, license_id
from support.servers import DAY, Server, running

from polygent_issuer.enforcement import Admin, Alert, Refusal, StoreFailed
from polygent_issuer.enforcement.alerts import MILESTONES

HOUR = timedelta(hours=1)


def test_a_failed_mail_is_tried_at_the_next_run(server: Server) -> None:
    """An alert that was not confirmed comes again at the next run, and not before."""
    server.install(0)
    assert sent(server, NINE + 14 * DAY, fails=True) == 14
    assert not server.license.alerts_due(server.now)
    assert sent(server, NINE + 14 * DAY - HOUR) is None
    again = run(server, NINE + 13 * DAY)
    assert again is not None
    assert (again.milestone, again.subject[-20:]) == (14, "13 days and 23 hours")
    assert sent(server, NINE + 12 * DAY) is None


def test_a_confirmed_mail_stays_sent(server: Server) -> None:
    """A confirmation is stored once, survives a restart, and does not change the last run."""
    server.install(0)
    server.now = END - 14 * DAY
    alert = server.license.alerts(server.now, [ADA]).alert
    assert alert is not None
    assert server.store.load().sent == frozenset()
    ran = server.store.load().last_run
    for _ in range(2):
        server.license.alert_sent(alert)
    stored = server.store.load()
    assert (stored.sent, stored.last_run) == (frozenset({(license_id(0), 14)}), ran)
    server.restart()
    server.license.alert_sent(alert)
    assert sent(server, 13 * DAY) is None


def test_milestones_that_an_earlier_version_sent_are_not_sent_again(server: Server) -> None:
    """That version sent a milestone up to a day later, and stored it with the run."""
    server.install(0)
    for milestones, before in ((30, 30 * DAY), (14, 14 * DAY), (7, 7 * DAY)):
        server.store.keep_run(END - before, (license_id(0), milestones))
    server.restart()
    assert [sent(server, NINE + each * DAY) for each in range(31, 1, -1)] == [None] * 30
    assert sent(server, NINE + DAY) == 1


def test_of_many_runs_at_once_one_sends(server: Server) -> None:
    """Of many concurrent runs only one returns the milestone."""
    server.install(0)
    server.now = END - 7 * DAY
    barrier, alerts = Barrier(8), []

    def one() -> None:
        barrier.wait()
        alerts.append(server.license.alerts(server.now, [ADA]).alert)

    threads = [Thread(target=one) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(alerts) == 8
    assert len([each for each in alerts if each is not None]) == 1


@pytest.fixture
def two(tmp_path: Path) -> Iterator[tuple[Server, Server]]:
    """Two workers that share a store, an hour after the 09:00 of a milestone."""
    path, issuer = tmp_path / "license.db", Issuer()
    now = END - 7 * DAY + 2 * HOUR
    with running(path, issuer=issuer) as one, running(path, issuer=issuer) as other:
        one.install(0)
        one.now = other.now = now
        yield one, other


def alert_of(server: Server) -> Alert | None:
    """Run the alerts now."""
    return server.license.alerts(server.now, [ADA]).alert


def test_one_of_two_workers_sends(two: tuple[Server, Server]) -> None:
    """The other gets no alert, whether the mail is confirmed or not."""
    one, other = two
    assert other.license.alerts_due(other.now)
    alert = alert_of(one)
    assert alert is not None
    assert alert_of(other) is None
    one.license.alert_sent(alert)
    assert alert_of(other) is None
    assert not other.license.alerts_due(other.now)
    other.now += DAY
    assert alert_of(other) is None
    one.store.close()
    assert other.store.claims.lost() == frozenset()


def test_a_worker_that_ends_before_it_confirms_leaves_the_mail_to_the_other(
    two: tuple[Server, Server],
) -> None:
    """The run is due again for the other worker, which gets the same milestone."""
    one, other = two
    assert alert_of(one) is not None
    assert alert_of(other) is None
    assert not other.license.alerts_due(other.now)
    one.store.close()
    assert other.license.alerts_due(other.now)
    alert = alert_of(other)
    assert alert is not None
    assert alert.milestone == 7
    other.license.alert_sent(alert)
    assert not other.license.alerts_due(other.now)


def test_a_lost_claim_is_due_only_in_its_run(two: tuple[Server, Server]) -> None:
    """A worker that ended in an earlier run leaves its milestone to the next run."""
    one, other = two
    assert alert_of(one) is not None
    assert alert_of(other) is None
    one.store.close()
    other.now += DAY
    alert = alert_of(other)
    assert alert is not None
    assert other.store.claims.lost()
    assert not other.license.alerts_due(other.now)


def test_a_mail_that_was_stored_as_sent_is_not_lost(
    two: tuple[Server, Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker that ends between storing the mail and keeping its claim leaves nothing due."""
    one, other = two
    alert = alert_of(one)
    assert alert is not None
    monkeypatch.setattr(one.store.claims, "done", lambda _: None)
    one.license.alert_sent(alert)
    one.store.close()
    other.license._look(changed=True)
    assert other.store.claims.lost()
    assert not other.license.alerts_due(other.now)


def test_a_run_that_cannot_be_stored_sends_later(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a full disk the same run still returns its alert, once."""
    server.install(0)
    server.now = END - 7 * DAY
    server.held()

    def full(*_: object) -> None:
        raise StoreFailed("No space left on device")

    with monkeypatch.context() as failing:
        failing.setattr(server.store, "keep_run", full)
        with pytest.raises(StoreFailed):
            server.license.alerts(server.now, [ADA])
    assert server.license.alerts_due(server.now)
    assert sent(server, 7 * DAY, fails=True) == 7
    assert sent(server, 7 * DAY) is None


def test_a_milestone_waits_for_an_admin_with_an_address(
    server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    """A milestone without a recipient is logged and not marked as sent."""
    server.install(0)
    server.now = END - 32 * DAY
    server.license.alerts(server.now, [BOB])
    assert caplog.messages == [], "nothing is due yet"
    server.now = END - 14 * DAY
    assert server.license.alerts(server.now, [BOB]).alert is None
    assert server.license.alerts(server.now, []).alert is None
    assert caplog.messages == ["a license alert is due, and no admin has an address"] * 2
    assert server.license.alerts(server.now, [ADA]).alert is not None


def test_a_run_is_due_once_a_day(server: Server) -> None:
    """A server that was down at nine catches up; one whose clock was set back does not wait."""
    berlin = ZoneInfo("Europe/Berlin")
    server.install(0)
    nine = datetime(2026, 7, 1, 9, tzinfo=berlin)
    assert server.license.alerts_due(nine)
    server.license.alerts(nine, [ADA])
    server.restart()
    assert not server.license.alerts_due(nine + timedelta(hours=23, minutes=59))
    assert server.license.alerts_due(nine + DAY)
    assert server.license.alerts_due(nine + 9 * DAY + timedelta(hours=5))
    assert server.license.alerts_due(nine - timedelta(hours=1))


def daily(server: Server, now: datetime, mails: list[Alert]) -> bool:
    """Run what a scheduler runs every minute; return whether a run was due."""
    return server.license.run_daily(now, lambda: [ADA], send=mails.append) is not None


def test_a_scheduler_needs_one_call(server: Server) -> None:
    """Called every hour, `run_daily` runs once a day from 09:00, and sends and confirms."""
    mails: list[Alert] = []
    server.install(0)
    due_at = [
        now for hours in range(32 * 24, -1, -1) if daily(server, now := END - hours * HOUR, mails)
    ]
    assert [each.hour for each in due_at] == [8, *[9] * 32]
    assert [each.milestone for each in mails] == [30, 14, 7, 1]
    assert {days for _, days in server.store.load().sent} == set(MILESTONES)


def test_a_mail_that_fails_is_logged_without_its_address(
    server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    """The log has license, milestone and kind of error; the next run tries again."""
    mails: list[Alert] = []

    def send(alert: Alert) -> None:
        raise ConnectionError(f"cannot log in as {alert.to[0].address} with password hunter2")

    server.install(0)
    with caplog.at_level(logging.DEBUG):
        ran = server.license.run_daily(END - 7 * DAY, [ADA], send=send)
    assert ran is not None
    assert ran.alert is not None
    (message,) = caplog.messages
    assert message.startswith(f"the 7-day alert of license {license_id(0)} was not sent")
    assert message.endswith("(ConnectionError); a later run tries again")
    assert "hunter2" not in caplog.text
    assert server.store.load().sent == frozenset()
    assert daily(server, END - 6 * DAY, mails)
    assert [each.milestone for each in mails] == [7]


def test_admins_that_cannot_be_read_leave_the_run_due(server: Server) -> None:
    """The run is not stored before its recipients are known."""

    def unreadable() -> list[Admin]:
        raise ConnectionError

    server.install(0)
    with pytest.raises(ConnectionError):
        server.license.run_daily(END - 7 * DAY, unreadable, send=print)
    mails: list[Alert] = []
    assert daily(server, END - 7 * DAY, mails)
    assert len(mails) == 1


def test_services_pause_at_the_expiry_without_a_run(server: Server) -> None:
    """`run_daily` checks the license also when no run is due."""
    reasons: list[str | None] = []

    class Queue:
        def pause(self, reason: Refusal) -> None:
            reasons.append(reason.code)

        def resume(self) -> None:
            reasons.append(None)

    server.install(0)
    server.license.listen(Queue(), server.now)
    assert daily(server, END - HOUR, [])
    assert not daily(server, END, [])
    assert reasons == [None, "license_expired"]
