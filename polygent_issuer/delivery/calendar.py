"""A calendar of expiring licenses (RFC 5545), with an all-day event and alarms for each.

A license and its replacements are one event with one UID, so a calendar program that imports a
newer file moves or cancels the event.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from polygent_issuer.home.settings import Settings
from polygent_issuer.issuing import expiry
from polygent_issuer.registry import LicenseRecord, Reading, customers, journal, licenses, summaries
from polygent_issuer.terms import dates
from polygent_issuer.text import escape

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)  # before any license expired
_OCTETS: Final = 75  # RFC 5545 §3.1: of a line, without its CRLF
_ESCAPES: Final = str.maketrans({"\\": r"\\", ";": r"\;", ",": r"\,"})


@dataclass(frozen=True, kw_only=True, slots=True)
class Ending:
    """The expiry of a license, or the cancellation of its event.

    Attributes:
        first_id: the first license of its chain of replacements.
        sequence: the number of changes of the chain (RFC 5545 §3.8.7.4).
        whose: the customer, and the machine if the license is bound to one.
        note: the command that renews the license, or the reason of the cancellation.
        cancelled: the event is cancelled.
    """

    license_id: str
    first_id: str
    sequence: int
    whose: str
    expires_at: datetime
    note: str
    cancelled: bool = False


def endings(
    db: Reading, settings: Settings, due: Iterable[LicenseRecord], *, now: datetime, until: datetime
) -> Iterator[Ending]:
    """Yield an event for each due license, and for each that an earlier calendar may contain.

    The latter are replaced, retired or archived. They expire before `until`, and not longer ago.
    """
    chains = summaries.Chains(db)
    seen: set[str] = set()
    for record in due:
        chain = chains.of(record.id)
        seen.add(chain.first_id)
        yield _ending(db, settings, chain, record)
    expires_from = now - min(until - now, now - _EPOCH)
    for record in licenses.no_longer_due(db, expires_from, until):
        chain = chains.of(record.id)
        if chain.first_id not in seen:
            seen.add(chain.first_id)
            yield _ending(db, settings, chain, licenses.get(db, chain.last_id))


def _ending(
    db: Reading, settings: Settings, chain: summaries.Chain, record: LicenseRecord
) -> Ending:
    owner = customers.by_id(db, record.customer_id)
    cancelled = None if record.is_current else str(record.status)
    if record.replaced_by is not None:
        cancelled = f"merged with another license into {record.replaced_by}"
    sequence = (
        chain.replacements + (cancelled is not None) + journal.customer_status_changes(db, owner)
    )
    if cancelled is None and owner.archived_at is not None:
        cancelled = "the customer is archived"
    return Ending(
        license_id=record.id,
        first_id=chain.first_id,
        sequence=sequence,
        whose=f"{owner.name} ({record.machine_label or 'any machine'})",
        expires_at=record.expires_at,
        note=cancelled or expiry.renew_command(record, settings),
        cancelled=cancelled is not None,
    )


def calendar(endings: Iterable[Ending], *, alarms: Iterable[int], now: datetime) -> Iterator[bytes]:
    """Yield the calendar in pieces, UTF-8: each license on its last full day (UTC).

    Args:
        endings: in any order.
        alarms: days before the expiry; each at least 1.
        now: the time of the calendar.
    """
    days = sorted(alarms, reverse=True)
    yield _lines(
        "BEGIN:VCALENDAR",
        "VERSION:2.0",
        "PRODID:-//Polygent//polygent-issue//EN",
        "CALSCALE:GREGORIAN",
    )
    for ending in endings:
        yield _lines(*_event(ending, days, now))
    yield _lines("END:VCALENDAR")


def _event(ending: Ending, alarms: Iterable[int], now: datetime) -> Iterator[str]:
    day = dates.last_full_day(ending.expires_at)
    summary = _text(f"{ending.whose}: license expires")
    yield "BEGIN:VEVENT"
    yield f"UID:{_text(ending.first_id)}@polygent-issue.invalid"
    yield f"SEQUENCE:{ending.sequence}"
    yield f"STATUS:{'CANCELLED' if ending.cancelled else 'CONFIRMED'}"
    yield f"DTSTAMP:{dates.in_utc(now):%Y%m%dT%H%M%SZ}"
    yield f"DTSTART;VALUE=DATE:{day:%Y%m%d}"
    yield f"SUMMARY:{summary}"
    yield f"DESCRIPTION:{_description(ending)}"
    yield "TRANSP:TRANSPARENT"
    for before in () if ending.cancelled else alarms:
        yield "BEGIN:VALARM"
        yield "ACTION:DISPLAY"
        # The day begins 24 hours before a license that expires at midnight.
        yield f"TRIGGER:-{_duration(timedelta(days=before - 1))}"
        yield f"DESCRIPTION:{summary}\\, {dates.days(before)} left"
        yield "END:VALARM"
    yield "END:VEVENT"


def _description(ending: Ending) -> str:
    ends = dates.describe_expiry(ending.expires_at)
    return r"\n".join(map(_text, (ending.note, f"license {ending.license_id}", f"expires {ends}")))


def _duration(length: timedelta) -> str:
    return f"P{length.days}D" if length else "PT0S"


def _text(value: str) -> str:
    """Return one line of type TEXT (RFC 5545 §3.3.11), with control characters escaped."""
    return escape(value).translate(_ESCAPES)


def _lines(*lines: str) -> bytes:
    return b"".join(map(_folded, lines))


def _folded(line: str) -> bytes:
    """Return a content line with CRLF, folded at 75 octets between characters (§3.1)."""
    folded, width = [""], 0
    for character in line:
        size = len(character.encode())
        if width + size > _OCTETS:
            folded.append(" ")
            width = 1
        folded[-1] += character
        width += size
    return "\r\n".join([*folded, ""]).encode()
