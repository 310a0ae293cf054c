"""Calendars of expiring licenses, checked by another implementation of RFC 5545."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from icalendar import Calendar

from polygent_issuer.delivery.calendar import Ending, calendar
from polygent_issuer.verifier.license import display_name_problem

NOW = datetime(2026, 11, 30, 9, 30, 15, 999, tzinfo=UTC)
END = datetime(2027, 12, 1, tzinfo=UTC)
MILESTONES = (1, 7, 14, 30)
ID = "1f3a9c2e-0000-4000-8000-000000000000"
FIRST = "0e2b8d1f-0000-4000-8000-000000000000"


def make_calendar(whose: str = "Acme GmbH (prod-1)", end: datetime = END, **more: Any) -> bytes:
    """Return a calendar with one event."""
    command = "polygent-issue renew acme --license 1f3a9c2e"
    which = {"license_id": ID, "first_id": FIRST, "sequence": 2}
    given = {**which, "whose": whose, "expires_at": end, "note": command, **more}
    return b"".join(calendar([Ending(**given)], alarms=MILESTONES, now=NOW))


def event(data: bytes) -> Any:
    """Return the one event, read by the other implementation."""
    parsed: Any = Calendar.from_ical(data)
    [one] = parsed.walk("VEVENT")
    assert parsed.walk("VCALENDAR")[0]["VERSION"] == "2.0"
    assert not parsed.errors
    assert not one.errors
    return one


def test_an_event_on_the_last_full_day() -> None:
    """An all-day event has the license, the command that renews it, and a stable ID."""
    one = event(make_calendar())
    assert one["SUMMARY"] == "Acme GmbH (prod-1): license expires"
    assert one["DTSTART"].dt == date(2027, 11, 30)
    assert one["DTSTAMP"].dt == NOW.replace(microsecond=0)
    assert one["UID"] == f"{FIRST}@polygent-issue.invalid"
    assert (one["SEQUENCE"], one["STATUS"]) == (2, "CONFIRMED")
    command, which, ends = one["DESCRIPTION"].split("\n")
    assert command == "polygent-issue renew acme --license 1f3a9c2e"
    assert which == f"license {ID}"
    assert ends == "expires 2027-12-01T00:00:00Z, last full day 2027-11-30"


def test_alarms_at_the_milestones_of_the_product() -> None:
    """A license that expires at midnight UTC has alarms on exactly the days before."""
    begin = datetime(2027, 11, 30, tzinfo=UTC)
    alarms = event(make_calendar()).walk("VALARM")
    assert [END - (begin + alarm["TRIGGER"].dt) for alarm in alarms] == [
        timedelta(days=days) for days in (30, 14, 7, 1)
    ]
    assert [alarm["ACTION"] for alarm in alarms] == ["DISPLAY"] * 4
    assert alarms[-1]["DESCRIPTION"] == "Acme GmbH (prod-1): license expires, 1 day left"


@pytest.mark.parametrize(
    ("end", "day"),
    [
        (datetime(2027, 6, 1, 9, 30, tzinfo=UTC), date(2027, 5, 31)),
        (datetime(2028, 3, 1, tzinfo=UTC), date(2028, 2, 29)),
        (datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC), date(9999, 12, 30)),
    ],
)
def test_events_are_on_days_in_utc(end: datetime, day: date) -> None:
    """The day is in UTC, up to the last year."""
    assert event(make_calendar(end=end))["DTSTART"].dt == day


def test_a_calendar_can_have_several_events_or_none() -> None:
    """The events are in the given order."""
    ids = [ID.replace("1f3a", each) for each in ("aaaa", "bbbb")]
    endings = [
        Ending(license_id=i, first_id=i, sequence=0, whose="A", expires_at=END, note="c")
        for i in ids
    ]
    parsed: Any = Calendar.from_ical(b"".join(calendar(endings, alarms=(), now=NOW)))
    assert [each["UID"].partition("@")[0] for each in parsed.walk("VEVENT")] == ids
    assert parsed.walk("VALARM") == []
    empty = b"".join(calendar([], alarms=(1,), now=NOW))
    assert empty.startswith(b"BEGIN:VCALENDAR\r\nVERSION:2.0\r\n")
    assert empty.endswith(b"END:VCALENDAR\r\n")


def test_a_cancelled_event_has_no_alarm() -> None:
    """A cancelled event has the reason instead of a command."""
    one = event(make_calendar(note="retired", cancelled=True))
    assert one["STATUS"] == "CANCELLED"
    assert one.walk("VALARM") == []
    assert one["DESCRIPTION"].split("\n")[0] == "retired"


@pytest.mark.parametrize("field", ["whose", "note", "license_id", "first_id"])
def test_line_breaks_are_escaped(field: str) -> None:
    """No text can add a property or a line, or control a terminal."""
    text = "A\r\nATTENDEE:mailto:x@y.example\x1b[31m\u202e\u2028\x85"
    more: dict[str, Any] = {field: text}
    data = make_calendar(**more)
    one = event(data)
    assert "ATTENDEE" not in one
    escaped = r"A\x0d\x0aATTENDEE:mailto:x@y.example\x1b[31m\u202e\u2028\x85"
    assert escaped in one["UID"] + one["SUMMARY"] + one["DESCRIPTION"]
    assert len(one["DESCRIPTION"].split("\n")) == 3
    assert all(character.isprintable() for character in data.decode().replace("\r\n", ""))


def test_texts_are_escaped() -> None:
    """Texts are escaped as in RFC 5545 §3.3.11, since other readers are stricter."""
    assert rb'SUMMARY:A\; B\, C\\ "D": license expires' in make_calendar('A; B, C\\ "D"')


NAMES = st.text(min_size=1, max_size=200).filter(lambda name: display_name_problem(name) is None)


@given(NAMES | st.text(alphabet='\\;,:"nNé漢🚀 a', min_size=1, max_size=200))
def test_every_name_is_read_back(name: str) -> None:
    """Names are escaped and folded: lines of at most 75 octets, CR LF, whole characters."""
    data = make_calendar(name)
    assert event(data)["SUMMARY"] == f"{name}: license expires"
    lines = data.split(b"\r\n")
    assert lines.pop() == b""
    for line in lines:
        assert len(line) <= 75
        assert b"\n" not in line
        assert b"\r" not in line
        line.decode()
