"""Expiry alerts."""

import re
import unicodedata
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from email.message import EmailMessage
from zoneinfo import ZoneInfo

import pytest
from support.alert_runs import ADA, BOB, END, NINE, run, sent
from support.lic_files import ISSUED, Issuer, license_id
from support.servers import DAY, Server

from polygent_issuer.cli.commands.expiring import milestone as operators_milestone
from polygent_issuer.enforcement import (
    Admin,
    Alert,
    Level,
    next_run,
)
from polygent_issuer.enforcement.alerts import (
    MILESTONES,
    days_left,
    due,
    last_run,
    milestone,
    time_left,
)
from polygent_issuer.verifier import KeySet, License, Verifier

MICRO = timedelta(microseconds=1)
HOUR = timedelta(hours=1)


def test_milestones(server: Server) -> None:
    """The milestones are 30, 14, 7 and 1 days, each sent once for a license."""
    server.install(0)
    days = [sent(server, NINE + each * DAY) for each in range(40, -1, -1)]
    assert [each for each in days if each is not None] == [30, 14, 7, 1]
    assert [40 - number for number, each in enumerate(days) if each] == [30, 14, 7, 1]
    server.restart()
    assert sent(server, NINE) is None


def test_a_milestone_is_due_if_the_next_run_leaves_less(server: Server) -> None:
    """A run at 09:00 that leaves 30 days and 23 hours is the last that leaves 30 days."""
    server.install(0)
    before = 31 * DAY - HOUR
    assert sent(server, before + MICRO) is None, "the run at 09:00 is still to come"
    assert sent(server, before) == 30


ZONES = (
    "Australia/Sydney",
    "Pacific/Auckland",
    "Pacific/Honolulu",
    "Asia/Kathmandu",
    "Europe/London",
    "America/New_York",
    "Asia/Tokyo",
    "Europe/Berlin",
    "UTC",
)


def expiry_days(zone: ZoneInfo) -> Iterator[date]:
    """Yield days around the changes of the clocks and around the milestones after them."""
    start = date(2026, 9, 1)
    offsets = [
        datetime.combine(start + days * DAY, time(12), zone).utcoffset() for days in range(365)
    ]
    changes = [day for day in range(1, 365) if offsets[day] != offsets[day - 1]]
    for change in changes or [100]:
        for after in (-1, 0, 1, 2, 6, 7, 8, 13, 14, 15, 29, 30, 31):
            yield start + (change + after) * DAY


@pytest.mark.parametrize("hour", [9, 0])
@pytest.mark.parametrize("name", ZONES)
def test_each_milestone_leaves_its_days_in_every_zone(name: str, hour: int) -> None:
    """Daily runs send each milestone once, at the last run that leaves its days, with true words.

    Days are of 24 hours, and those of the clocks' change have 23 or 25.
    """
    zone = ZoneInfo(name)
    days = list(expiry_days(zone))
    assert len(days) == 13 * (
        1 if name in {"Pacific/Honolulu", "Asia/Kathmandu", "Asia/Tokyo", "UTC"} else 2
    )
    for day in days:
        end = datetime.combine(day, time(hour), zone).astimezone(UTC)
        license_ = lasting_until(end)
        runs = [datetime.combine(day - n * DAY, time(9), zone) for n in range(40, -1, -1)]
        runs = [at for at in runs if at.astimezone(UTC) < end]
        found: set[tuple[str, int]] = set()
        mails = {}
        for at in runs:
            alert = due(license_, at, [ADA], found)
            if alert is not None:
                assert alert.milestone not in mails
                mails[alert.milestone] = at
                found.add((license_.jti, alert.milestone))
                assert_true_words(alert, end - at.astimezone(UTC))
        assert mails == {
            days: max(at for at in runs if end - at.astimezone(UTC) >= days * DAY)
            for days in MILESTONES
        }


def lasting_until(end: datetime) -> License:
    """Return a license with this expiry."""
    issuer = Issuer()
    data = issuer.file(0, exp=int(end.timestamp()))
    return Verifier(KeySet(issuer.signer.public_key)).authenticate(data)


def assert_true_words(alert: Alert, left: timedelta) -> None:
    """Check that subject and text name the time left, and that it is at least the milestone."""
    words = re.search(r"expires in (\d+) days?(?: and (\d+) hours?)?", alert.subject)
    assert words is not None
    assert timedelta(days=int(words[1]), hours=int(words[2] or 0)) == left
    assert words[0] in alert.text
    assert left >= alert.milestone * DAY


def test_a_late_run_has_the_time_that_is_left(server: Server) -> None:
    """Without a run in time the mail comes with the first run, and names the true time left."""
    server.install(0)
    alert = run(server, timedelta(hours=5, minutes=10))
    assert alert is not None
    assert (alert.milestone, alert.days_left) == (1, 1)
    assert alert.subject.endswith("expires in 5 hours")


def test_a_missed_run_sends_only_the_present_milestone(server: Server) -> None:
    """After a missed run only the current milestone is sent, never older ones."""
    server.install(0)
    assert sent(server, 6 * DAY) == 7
    assert sent(server, 6 * DAY) is None


def test_a_clock_that_goes_back_sends_no_older_milestone(server: Server) -> None:
    """An older milestone is not sent, even if it is the current one again."""
    server.install(0)
    assert sent(server, 7 * DAY) == 7
    assert sent(server, 7 * DAY + 2 * HOUR) is None


def test_a_milestone_that_has_passed_gives_way(server: Server) -> None:
    """A mail that fails until the next milestone is replaced by that one."""
    server.install(0)
    days = [sent(server, NINE + each * DAY, fails=each > 6) for each in range(14, 0, -1)]
    assert days == [*[14] * 7, 7, 7, *[None] * 4, 1]


def test_the_mail_has_all_that_an_admin_needs(server: Server) -> None:
    """It names time left, expiry in the server's time, customer, license and the way out."""
    server.install(0)
    sydney = (END - 2 * DAY).astimezone(ZoneInfo("Australia/Sydney"))
    alert = server.license.alerts(sydney, [ADA]).alert
    assert alert is not None
    assert alert.subject == "The Polygent license of Acme GmbH expires in 2 days"
    assert "expires in 2 days,\nat 2027-01-05 19:00 UTC+11:00." in alert.text
    assert "ask your Polygent vendor for a renewed license" in alert.text
    assert "upload it on the server\nunder Settings, License" in alert.text
    assert f"License ID: {license_id(0)}\n" in alert.text
    assert "sha256" not in alert.text, "a mail may be forwarded"
    assert max(map(len, alert.text.splitlines())) <= 78
    in_utc = due(lasting_until(END), END - DAY, [ADA], frozenset())
    assert in_utc is not None
    assert "at 2027-01-05 08:00 UTC.\n" in in_utc.text


def test_the_mail_of_an_enterprise_license_names_every_server(server: Server) -> None:
    """A renewed enterprise license is uploaded to each node."""
    server.install(0, fingerprint=None)
    alert = run(server, 7 * DAY)
    assert alert is not None
    assert "upload it on every API server\n" in alert.text


def test_no_name_adds_a_line_or_a_header(server: Server) -> None:
    """Any customer name that a license may have is safe in subject and text."""
    server.install(0, customer="Bcc: x@y.example =?utf-8?q?=0Aé?= 日本 %s {left}")
    alert = run(server, 7 * DAY)
    assert alert is not None
    assert "Bcc: x@y.example =?utf-8?q?=0Aé?= 日本 %s {left}" in alert.subject
    assert not [each for each in alert.subject if unicodedata.category(each) == "Cc"]
    assert {each for each in alert.text if unicodedata.category(each) == "Cc"} == {"\n"}
    message = EmailMessage()
    message["Subject"] = alert.subject
    message.set_content(alert.text)
    assert message["Bcc"] is None


def test_at_the_end_of_the_calendar() -> None:
    """The last days of the year 9999 have alerts, although they have no next 09:00."""
    license_ = lasting_until(datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC))
    for zone in ("UTC", "Pacific/Auckland", "Pacific/Honolulu"):
        now = datetime(9999, 12, 31, 9, tzinfo=UTC).astimezone(ZoneInfo(zone))
        alert = due(license_, now, [ADA], frozenset())
        assert alert is not None
        assert (alert.milestone, alert.subject[-8:]) == (1, "15 hours")
    assert last_run(datetime.min.replace(tzinfo=UTC)) == datetime.min.replace(tzinfo=UTC)


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
    result = server.license.alerts(server.now, [ADA, BOB, nobody])
    assert result.without_address == (BOB, nobody)
    assert result.alert is not None
    assert result.alert.to == (ADA,)
    assert (result.alert.license_id, result.alert.expires_at, result.alert.days_left) == (
        license_id(0),
        *(END, 14),
    )


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


def test_a_naive_now_has_no_nine() -> None:
    """A naive `now` raises ValueError."""
    with pytest.raises(ValueError, match="timezone-aware"):
        next_run(datetime(2026, 1, 1))  # noqa: DTZ001 - that is the point


def test_a_banner_as_the_date_nears(server: Server) -> None:
    """Admins get a banner as the expiry approaches, on the last day with hours."""
    server.install(0)
    banners = []
    for days in (30.001, 30, 14, 7, 1.625, 1, 0.5):
        server.now = END - days * DAY
        banner = server.license.banner(server.now)
        banners.append(banner and (banner.level, banner.message))
    assert banners == [
        None,
        (Level.NOTICE, "the license expires in 30 days"),
        (Level.WARNING, "the license expires in 14 days"),
        (Level.URGENT, "the license expires in 7 days"),
        (Level.URGENT, "the license expires in 1 day and 15 hours"),
        (Level.CRITICAL, "the license expires in 1 day"),
        (Level.CRITICAL, "the license expires in 12 hours"),
    ]


@pytest.mark.parametrize(
    ("left", "words"),
    [
        (30 * DAY, "30 days"),
        (30 * DAY - MICRO, "30 days"),
        (30 * DAY - timedelta(minutes=1), "29 days and 23 hours"),
        (2 * DAY + HOUR, "2 days and 1 hour"),
        (DAY, "1 day"),
        (DAY - timedelta(minutes=1), "23 hours"),
        (2 * HOUR - timedelta(minutes=1), "1 hour"),
        (HOUR - timedelta(minutes=1), "59 minutes"),
        (MICRO, "1 minute"),
        (timedelta(), "0 minutes"),
        (-DAY, "0 minutes"),
    ],
)
def test_the_time_left_in_words(left: timedelta, words: str) -> None:
    """Days and hours, on the last day hours, in the last hour minutes; a started minute counts."""
    license_ = lasting_until(END)
    assert time_left(license_, END - left) == words
    assert days_left(license_, END - left) >= left // DAY


def test_the_operator_sees_the_same_milestones(server: Server) -> None:
    """`polygent-issue expiring` and the server agree on the current milestone."""
    license_ = server.install(0)
    for days in MILESTONES:
        for now in (END - days * DAY - MICRO, END - days * DAY, END - days * DAY + MICRO):
            assert milestone(license_, now) == operators_milestone(END, now)
