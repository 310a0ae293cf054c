"""The template of mail drafts, its placeholders, and the text for each.

A subject line, an empty line, the body; `$name` stands for one of `PLACEHOLDERS`
(`string.Template`), `$$` for a dollar. A wrong template is refused before anything is signed.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from string import Template as Text
from typing import Final

from polygent_issuer.delivery.license_mail import Kind, LicenseMail
from polygent_issuer.email_address import Mailbox
from polygent_issuer.errors import InputRefused
from polygent_issuer.files import NotUtf8, read_text
from polygent_issuer.terms import dates
from polygent_issuer.terms.decision import Difference
from polygent_issuer.text import escape, nearest

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


def template_values(letter: LicenseMail, recipient: Mailbox | None) -> dict[str, str]:
    """The text for each placeholder; foreign characters are escaped.

    Args:
        recipient: None while nobody is known.
    """
    issued, zone_name = letter.license, letter.customer.time_zone
    zone = dates.known_zone(zone_name)
    name = recipient.name if recipient else ""
    values = {
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
    return {**{name: escape(text) for name, text in values.items()}, "changes": _changes(letter)}


def _changes(letter: LicenseMail) -> str:
    if letter.replaced:
        title = "What changes:"
        lines = [*_ends(letter), *map(_change, letter.differences)] or ["nothing but the file"]
    else:
        title = "What it allows:"
        lines = [f"{each.name}: {each.new}" for each in letter.differences]
    return "\n".join((title, *(f"  {escape(line)}" for line in lines)))


def _ends(letter: LicenseMail) -> Iterable[str]:
    """The end, where it is another one than that of what is replaced."""
    before = max(old.expires_at for old in letter.replaced)
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


TEMPLATE_FILE: Final = "mail.txt"
LIMIT: Final = 64 * 1024
"""The largest template, in bytes."""

DEFAULT: Final = """\
Subject: Polygent license for $customer ($machine): $kind, upload before $upload_day

$greeting

attached is $what.

  customer:     $customer
  machine:      $machine
  valid until:  $valid_until
  license ID:   $license_id

$changes

Please upload the file before
  $upload_before
After that your server no longer takes it; if you miss the date, write to us
and we send another.

How to upload: save the attached file
  $file
then open Polygent, go to Settings → License → Upload license, and choose it.
The license takes effect at once; no restart is needed.

$issuer
"""

_CODE: Final = "invalid_template"
_SUBJECT: Final = "Subject:"
_CONTROL: Final = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029]")


@dataclass(frozen=True, kw_only=True, slots=True)
class Template:
    """A checked text; `edited` when it is the operator's own."""

    text: str
    edited: bool

    def subject(self, words: Mapping[str, str]) -> str:
        """The subject, in one line."""
        first = self.text.partition("\n")[0].removeprefix(_SUBJECT)
        return " ".join(Text(first).substitute(words).split())

    def body(self, words: Mapping[str, str]) -> str:
        """The body, lines ended by LF."""
        rest = self.text.partition("\n")[2].strip("\n")
        return Text(rest).substitute(words) + "\n"


def template_path(home: Path) -> Path:
    """Where a home has its own text."""
    return home / TEMPLATE_FILE


def load(home: Path) -> Template:
    """The text in force.

    Raises:
        UnsafeFile: (`unsafe_file`) when another user owns the file or may write to it.
        InputRefused: (`invalid_template`) naming the file, the line and what is wrong there.
        UnreadableInput: (`unreadable_input`) when it cannot be read.
    """
    path = template_path(home)
    if not path.exists() and not path.is_symlink():
        return Template(text=DEFAULT, edited=False)
    try:
        text = read_text(str(path), limit=LIMIT, what="mail template", trusted=True)
    except NotUtf8 as refused:
        raise InputRefused(refused.message, hint=refused.hint, code=_CODE) from None
    text = text.replace("\r\n", "\n")
    _check(text, path)
    return Template(text=text, edited=True)


def _check(text: str, path: Path) -> None:
    first = text.partition("\n")[0]
    if not first.startswith(_SUBJECT) or not first.removeprefix(_SUBJECT).strip():
        raise _wrong(path, "the first line is not a subject", f"begin it with {_SUBJECT} TEXT")
    if match := _CONTROL.search(text):
        code = f"U+{ord(match[0]):04X}"
        raise _wrong(path, f"line {_line(text, match)} holds the control character {code}")
    for match in Text.pattern.finditer(text):
        if match["invalid"] is not None:
            raise _wrong(path, f"line {_line(text, match)} has a lone $", "write $$ for a dollar")
        name = match["named"] or match["braced"]
        if name is not None and name not in PLACEHOLDERS:
            similar = nearest(name.casefold(), PLACEHOLDERS)
            known = ", ".join(f"${each}" for each in PLACEHOLDERS)
            hint = f"did you mean ${similar}?" if similar else f"there are {known}"
            raise _wrong(path, f"line {_line(text, match)} has an unknown ${escape(name)}", hint)


def _line(text: str, match: re.Match[str]) -> int:
    return text.count("\n", 0, match.start()) + 1


def _wrong(path: Path, why: str, hint: str | None = None) -> InputRefused:
    ships = "take the file away for the text that ships"
    return InputRefused(f"{escape(str(path))}: {why}", hint=hint or ships, code=_CODE)
