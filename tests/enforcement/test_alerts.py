"""Expiry alerts."""

from datetime import UTC, datetime, timedelta
from threading import Barrier, Thread
from zoneinfo import ZoneInfo

import pytest
from support.lic_files import ISSUED, license_id
from support.servers import DAY, Server

from polygent_issuer.cli.commands.expiring import milestone as operators_milestone
from polygent_issuer.enforcement import Admin, Level, next_run
from polygent_issuer.enforcement.alerts import MILESTONES, last_run, milestone

END = ISSUED + 365 * DAY
ADA = Admin(name="Ada", address="ada@acme.example")
BOB = Admin(name="Bob", address=None)
MICRO = timedelta(microseconds=1)


def sent(server: Server, before: timedelta) -> int | None:
    """Return the milestone that a run at this time before the expiry sends."""
    server.now = END - before
    alert = server.license.alerts(server.now, [ADA]).alert
    return None if alert is None else alert.milestone


def test_milestones(server: Server) -> None:
    """The milestones are 30, 14, 7 and 1 days, each sent once for a license."""
    server.install(0)
    days = [sent(server, each * DAY) for each in (31, 30, 29, 15, 14, 13, 8, 7, 6, 2, 1)]
    assert days == [None, 30, None, None, 14, None, None, 7, None, None, 1]
    server.restart()
    assert [sent(server, each * DAY) for each in (1, 0.5)] == [None, None]


def test_a_milestone_begins_exactly(server: Server) -> None:
    """A milestone begins 30 days before the expiry, to the microsecond."""
    server.install(0)
    assert sent(server, 30 * DAY + MICRO) is None
    assert sent(server, 30 * DAY) == 30


def test_a_missed_run_sends_only_the_present_milestone(server: Server) -> None:
    """After a missed run only the current milestone is sent, never older ones."""
    server.install(0)
    assert sent(server, 6 * DAY) == 7
    assert sent(server, 6 * DAY) is None


def test_a_clock_that_goes_back_sends_no_older_milestone(server: Server) -> None:
    """An older milestone is not sent, even if it is the current one again."""
    server.install(0)
    assert sent(server, 7 * DAY) == 7
    assert sent(server, 7 * DAY + timedelta(hours=1)) is None


def test_of_many_runs_at_once_one_sends(server: Server) -> None:
    """Of many concurrent runs only the one that stores a milestone returns it."""
    server.install(0)
    server.now = END - 7 * DAY
    barrier, alerts = Barrier(8), []

    def run() -> None:
        barrier.wait()
        alerts.append(server.license.alerts(server.now, [ADA]).alert)

    threads = [Thread(target=run) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(alerts) == 8
    assert len([each for each in alerts if each is not None]) == 1


def test_a_renewed_license_has_milestones_of_its_own(server: Server) -> None:
    """A renewed license has its own milestones."""
    server.install(0)
    assert sent(server, 7 * DAY) == 7
    server.install(358, exp=int(END.timestamp()))
    assert sent(server, 7 * DAY) == 7


def test_only_while_active(server: Server) -> None:
    """Nothing is sent before a license begins or after it has expired."""
    assert sent(server, DAY) is None
    server.now = ISSUED
    server.restart()
    server.install(0)
    assert sent(server, timedelta()) is None
    assert server.license.banner(server.now) is None


def test_admins_without_an_address_are_reported(server: Server) -> None:
    """Admins without an address are reported, and the others get the alert."""
    server.install(0)
    server.now = END - 14 * DAY
    nobody = Admin(name="Cy", address="")
    run = server.license.alerts(server.now, [ADA, BOB, nobody])
    assert run.without_address == (BOB, nobody)
    assert run.alert is not None
    assert run.alert.to == (ADA,)
    assert (run.alert.license_id, run.alert.expires_at, run.alert.days_left) == (
        license_id(0),
        *(END, 14),
    )


def test_a_milestone_waits_for_an_admin_with_an_address(server: Server) -> None:
    """A milestone without a recipient is not marked as sent."""
    server.install(0)
    server.now = END - 14 * DAY
    assert server.license.alerts(server.now, [BOB]).alert is None
    assert server.license.alerts(server.now, []).alert is None
    assert server.license.alerts(server.now, [ADA]).alert is not None


@pytest.mark.parametrize(
    ("zone", "now", "then"),
    [
        ("UTC", "2026-03-01T08:59:59.999999", "2026-03-01T09:00:00+00:00"),
        ("UTC", "2026-03-01T09:00:00", "2026-03-02T09:00:00+00:00"),
        # Days of 23 and 25 hours.
        ("Europe/Berlin", "2026-03-28T09:00:00", "2026-03-29T09:00:00+02:00"),
        ("Europe/Berlin", "2026-10-24T09:00:00", "2026-10-25T09:00:00+01:00"),
        # Both occurrences of a repeated hour.
        ("Europe/Berlin", "2026-10-25T02:30:00", "2026-10-25T09:00:00+01:00"),
        # The island skipped 30 December.
        ("Pacific/Apia", "2011-12-29T09:00:00", "2011-12-31T09:00:00+14:00"),
    ],
)
def test_a_daily_run_at_nine(zone: str, now: str, then: str) -> None:
    """A daily run is at 09:00 in the time zone of `now`."""
    local = datetime.fromisoformat(now).replace(tzinfo=ZoneInfo(zone))
    assert next_run(local).astimezone(UTC) == datetime.fromisoformat(then)
    assert next_run(local.replace(fold=1)).astimezone(UTC) == datetime.fromisoformat(then)
    assert last_run(next_run(local)) == next_run(local)


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


def test_a_naive_now_has_no_nine() -> None:
    """A naive `now` raises ValueError."""
    with pytest.raises(ValueError, match="timezone-aware"):
        next_run(datetime(2026, 1, 1))  # noqa: DTZ001 - that is the point


def test_a_banner_as_the_date_nears(server: Server) -> None:
    """Admins get a banner as the expiry approaches."""
    server.install(0)
    banners = []
    for days in (30.001, 30, 14, 7, 1, 0.5):
        server.now = END - days * DAY
        banner = server.license.banner(server.now)
        banners.append(banner and (banner.level, banner.message))
    assert banners == [
        None,
        (Level.NOTICE, "the license expires in 30 days"),
        (Level.WARNING, "the license expires in 14 days"),
        (Level.URGENT, "the license expires in 7 days"),
        (Level.CRITICAL, "the license expires in 1 day"),
        (Level.CRITICAL, "the license expires in 1 day"),
    ]


def test_the_operator_sees_the_same_milestones(server: Server) -> None:
    """`polygent-issue expiring` and the server agree on the current milestone."""
    license_ = server.install(0)
    for days in MILESTONES:
        for now in (END - days * DAY - MICRO, END - days * DAY, END - days * DAY + MICRO):
            assert milestone(license_, now) == operators_milestone(END, now)
