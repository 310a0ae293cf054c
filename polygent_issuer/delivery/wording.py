"""A letter in plain words: one text for each placeholder of the template."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Final

from polygent_issuer import dates
from polygent_issuer.delivery.letter import Kind, Letter
from polygent_issuer.mailbox import Mailbox
from polygent_issuer.terms import Difference
from polygent_issuer.text import shown

PLACEHOLDERS: Final[Mapping[str, str]] = {
    "greeting": "Hello and the contact's name",
    "kind": "new license, renewal or replacement",
    "what": "the same in a sentence: your new Polygent license",
    "customer": "the customer's name",
    "machine": "the label of the machine, or any machine",
    "valid_until": "when the license ends, in UTC and in the customer's time zone",
    "last_day": "the last day that it covers to its end (UTC)",
    "changes": "what changes, or what a new license allows; several lines",
    "upload_before": "until when the server takes the file, likewise in both",
    "upload_day": "the day of that (UTC)",
    "file": "the name of the attached file",
    "license_id": "the license's ID",
    "issuer": "who issues, as the license says it",
}
"""What a template may name, each with its meaning."""

_WHAT: Final = {
    Kind.NEW: "your new Polygent license",
    Kind.RENEWAL: "the renewal of your Polygent license",
    Kind.REPLACEMENT: "a new file for your Polygent license, in place of the one you have",
}
_CALLED: Final = {"fingerprint": "machine fingerprint", "customer slug": "customer ID"}
_FEATURE: Final = "feature "


def words(letter: Letter, recipient: Mailbox | None) -> dict[str, str]:
    """The text for each placeholder; foreign characters are escaped.

    Args:
        letter: what is told.
        recipient: whom it is told; None while nobody is known.
    """
    issued, zone_name = letter.license, letter.customer.time_zone
    zone = dates.known_zone(zone_name)
    name = recipient.name if recipient else ""
    told = {
        "greeting": f"Hello {name}," if name else "Hello,",
        "kind": str(letter.kind),
        "what": _WHAT[letter.kind],
        "customer": issued.customer,
        "machine": letter.machine or "any machine",
        "valid_until": dates.describe_expiry(issued.expires_at, zone),
        "last_day": _day(issued.expires_at),
        "upload_before": dates.describe_instant(letter.upload_before, zone),
        "upload_day": letter.upload_before.date().isoformat(),
        "file": letter.file_name,
        "license_id": issued.jti,
        "issuer": issued.iss,
    }
    return {**{name: shown(text) for name, text in told.items()}, "changes": _changes(letter)}


def _changes(letter: Letter) -> str:
    if letter.olds:
        title = "What changes:"
        lines = [*_ends(letter), *map(_change, letter.differences)] or ["nothing but the file"]
    else:
        title = "What it allows:"
        lines = [f"{each.name}: {each.new}" for each in letter.differences]
    return "\n".join((title, *(f"  {shown(line)}" for line in lines)))


def _ends(letter: Letter) -> Iterable[str]:
    """The end, where it is another one than that of what is replaced."""
    before = max(old.expires_at for old in letter.olds)
    if before != letter.license.expires_at:
        yield f"last full day: {_day(letter.license.expires_at)} instead of {_day(before)}"


def _change(change: Difference) -> str:
    if change.name.startswith(_FEATURE) and (change.old, change.new) == ("no", "yes"):
        return f"{change.name}: added"
    if change.name.startswith(_FEATURE) and change.new == "no":
        return f"{change.name}: taken out"
    return f"{_CALLED.get(change.name, change.name)}: {change.new} instead of {change.old}"


def _day(expires: datetime) -> str:
    return dates.last_full_day(expires).isoformat()
