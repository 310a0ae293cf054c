"""Expiry alerts, as issue 5 has them."""

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
    """The milestone that a run so long before the end sends."""
    server.now = END - before
    alert = server.license.alerts(server.now, [ADA]).alert
    return None if alert is None else alert.milestone


def test_milestones(server: Server) -> None:
    """Milestones 30, 14, 7, 1 days; each milestone once per license."""
    server.install(0)
    days = [sent(server, each * DAY) for each in (31, 30, 29, 15, 14, 13, 8, 7, 6, 2, 1)]
    assert days == [None, 30, None, None, 14, None, None, 7, None, None, 1]
    server.restart()
    assert [sent(server, each * DAY) for each in (1, 0.5)] == [None, None]


def test_a_milestone_begins_exactly(server: Server) -> None:
    """30 days before the expiry, to the microsecond."""
    server.install(0)
    assert sent(server, 30 * DAY + MICRO) is None
    assert sent(server, 30 * DAY) == 30


def test_a_missed_run_sends_only_the_present_milestone(server: Server) -> None:
    """A missed run sends only the present milestone, never old ones."""
    server.install(0)
    assert sent(server, 6 * DAY) == 7
    assert sent(server, 6 * DAY) is None


def test_a_clock_that_goes_back_sends_no_older_milestone(server: Server) -> None:
    """...never old ones, also when the present one is an old one again."""
    server.install(0)
    assert sent(server, 7 * DAY) == 7
    assert sent(server, 7 * DAY + timedelta(hours=1)) is None


def test_of_many_runs_at_once_one_sends(server: Server) -> None:
    """Each milestone once: the run that keeps it is the one that hands it out."""
    server.install(0)
    server.now = END - 7 * DAY
    barrier, found = Barrier(8), []

    def run() -> None:
        barrier.wait()
        found.append(server.license.alerts(server.now, [ADA]).alert)

    threads = [Thread(target=run) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    assert len([each for each in found if each is not None]) == 1


def test_a_renewed_license_has_milestones_of_its_own(server: Server) -> None:
    """Each milestone once *per license*."""
    server.install(0)
    assert sent(server, 7 * DAY) == 7
    server.install(358, exp=int(END.timestamp()))
    assert sent(server, 7 * DAY) == 7


def test_only_while_active(server: Server) -> None:
    """Neither before a license nor after its end is there anything to send."""
    assert sent(server, DAY) is None
    server.now = ISSUED
    server.restart()
    server.install(0)
    assert sent(server, timedelta()) is None
    assert server.license.banner(server.now) is None


def test_admins_without_an_address_are_reported(server: Server) -> None:
    """Admins without an address are reported; the others are written to."""
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
    """What nobody can be sent is not sent."""
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
        # 23 hours, and 25.
        ("Europe/Berlin", "2026-03-28T09:00:00", "2026-03-29T09:00:00+02:00"),
        ("Europe/Berlin", "2026-10-24T09:00:00", "2026-10-25T09:00:00+01:00"),
        # Both of the hours that the clock says twice.
        ("Europe/Berlin", "2026-10-25T02:30:00", "2026-10-25T09:00:00+01:00"),
        # The island had no 30 December.
        ("Pacific/Apia", "2011-12-29T09:00:00", "2011-12-31T09:00:00+14:00"),
    ],
)
def test_a_daily_run_at_nine(zone: str, now: str, then: str) -> None:
    """A daily run at 09:00 server time: in the time zone of `now`."""
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
    """It is the caller's mistake."""
    with pytest.raises(ValueError, match="timezone-aware"):
        next_run(datetime(2026, 1, 1))  # noqa: DTZ001 - that is the point


def test_a_banner_as_the_date_nears(server: Server) -> None:
    """A banner for admins as the date nears."""
    server.install(0)
    found = []
    for days in (30.001, 30, 14, 7, 1, 0.5):
        server.now = END - days * DAY
        banner = server.license.banner(server.now)
        found.append(banner and (banner.level, banner.message))
    assert found == [
        None,
        (Level.NOTICE, "the license expires in 30 days"),
        (Level.WARNING, "the license expires in 14 days"),
        (Level.URGENT, "the license expires in 7 days"),
        (Level.CRITICAL, "the license expires in 1 day"),
        (Level.CRITICAL, "the license expires in 1 day"),
    ]


def test_the_operator_sees_the_same_milestones(server: Server) -> None:
    """`polygent-issue expiring` and the server agree on which milestone is present."""
    held = server.install(0)
    for days in MILESTONES:
        for now in (END - days * DAY - MICRO, END - days * DAY, END - days * DAY + MICRO):
            assert milestone(held, now) == operators_milestone(END, now)
