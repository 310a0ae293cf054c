"""The template of mail drafts, its placeholders, and the facts of a license that fill them.

A template is a subject line, an empty line, and the body. `$name` is one of `PLACEHOLDERS`
(`string.Template`); `$$` is a dollar sign. An invalid template is refused before signing.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path, PurePath
from string import Template as Text
from typing import Final

from polygent_issuer import email_address
from polygent_issuer.email_address import Mailbox
from polygent_issuer.errors import InputRefused, NotFound
from polygent_issuer.files.reading import NotUtf8, read_text
from polygent_issuer.home.settings import Settings
from polygent_issuer.issuing.proposal import file_name, license_differences, load_license
from polygent_issuer.registry import Customer, Reading, customers, licenses
from polygent_issuer.terms import dates, decision
from polygent_issuer.terms.decision import Difference
from polygent_issuer.terms.parsing import Terms
from polygent_issuer.text import did_you_mean, escape
from polygent_issuer.verifier import License


class Kind(StrEnum):
    """The purpose of a license for its customer."""

    NEW = "new license"
    RENEWAL = "renewal"
    REPLACEMENT = "replacement"


@dataclass(frozen=True, kw_only=True, slots=True)
class LicenseMail:
    """The facts of one license.

    Attributes:
        license: the verified content of its stored file.
        file: the exact bytes of the `.lic`.
        machine: the label of its machine; None for an enterprise license.
        replaced: the licenses that it replaces; some may be missing in a registry that was rebuilt
            from files.
        upload_before: the upload deadline of the file.
    """

    license: License
    file: bytes
    customer: Customer
    machine: str | None
    replaced: tuple[License, ...]
    upload_before: datetime

    @property
    def file_name(self) -> str:
        """The name of the `.lic`."""
        return file_name(self.license, self.machine)

    @property
    def stem(self) -> str:
        """The name of the `.lic` without its suffix."""
        return PurePath(self.file_name).stem

    @property
    def kind(self) -> Kind:
        """The kind: a new license, a later expiry, or another file with the same expiry."""
        if not self.license.replaces:
            return Kind.NEW
        ends = [old.expires_at for old in self.replaced]
        longer = bool(ends) and self.license.expires_at > max(ends)
        return Kind.RENEWAL if longer else Kind.REPLACEMENT

    @property
    def differences(self) -> tuple[Difference, ...]:
        """The changed terms; without a replaced license, all terms that it allows."""
        if self.replaced:
            return license_differences(self.replaced, self.license)
        every = decision.differences((), Terms.of(self.license))
        return tuple(term for term in every if term.new != term.old or term.name == "features")

    @property
    def recipients(self) -> tuple[Mailbox, ...]:
        """The contacts with a mail address, each address once."""
        mailboxes: dict[str, Mailbox] = {}
        for contact in self.customer.contacts:
            if mailbox := email_address.parse_address(contact):
                mailboxes.setdefault(mailbox.address.casefold(), mailbox)
        return tuple(mailboxes.values())

    @property
    def unreachable(self) -> tuple[str, ...]:
        """The contacts without a valid mail address: names, phone numbers, invalid addresses."""
        return tuple(
            each for each in self.customer.contacts if email_address.parse_address(each) is None
        )


def license_mail(db: Reading, license_id: str, settings: Settings) -> LicenseMail:
    """Return the facts for a mail about a license of the registry.

    Raises:
        NotFound: (`not_found`) for an unknown license.
        RegistryDamaged: (`registry_damaged`) when a stored file differs from the issued one.
        InvalidTerms: (`invalid_terms`) when the upload window ends past the year 9999.
    """
    record = licenses.get(db, license_id)
    license_ = load_license(db, record)
    return LicenseMail(
        license=license_,
        file=record.file,
        customer=customers.by_id(db, record.customer_id),
        machine=record.machine_label,
        replaced=tuple(_load_replaced(db, license_.replaces)),
        upload_before=dates.upload_deadline(license_.issued_at, settings.upload_window_or_assumed),
    )


def _load_replaced(db: Reading, license_ids: Iterable[str]) -> Iterator[License]:
    for license_id in license_ids:
        try:
            record = licenses.get(db, license_id)
        except NotFound:
            continue
        yield load_license(db, record)


PLACEHOLDERS: Final[Mapping[str, str]] = {
    "greeting": "the salutation with the contact's name: Hello Ada,",
    "kind": "the kind of file: new license, renewal or replacement",
    "what": "the attached file, as a phrase: your new Polygent license",
    "customer": "the customer's name",
    "machine": 'the label of the machine, or "any machine"',
    "valid_until": "the expiry, in UTC and in the customer's time zone",
    "last_day": "the last full day of validity (UTC)",
    "changes": "several lines: what changes, or the terms of a new license",
    "upload_before": "the upload deadline, in UTC and in the customer's time zone",
    "upload_day": "the day of the upload deadline (UTC)",
    "file": "the name of the attached file",
    "license_id": "the license ID",
    "issuer": "the issuer name in the license",
}
"""Each placeholder of a template, with its meaning."""

_WHAT: Final = {
    Kind.NEW: "your new Polygent license",
    Kind.RENEWAL: "the renewal of your Polygent license",
    Kind.REPLACEMENT: "a new file for your Polygent license, which replaces the one you have",
}
_CALLED: Final = {"fingerprint": "machine fingerprint", "customer slug": "customer ID"}
_FEATURE: Final = "feature "


def template_values(letter: LicenseMail, recipient: Mailbox | None) -> dict[str, str]:
    """Return the text of each placeholder; control characters are escaped.

    Args:
        letter: the facts of the license.
        recipient: None if the customer has no contact with an address.
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
        lines = [*_ends(letter), *map(_change, letter.differences)] or ["only the license file"]
    else:
        title = "Your license includes:"
        lines = [f"{each.name}: {each.new}" for each in letter.differences]
    return "\n".join((title, *(f"  {escape(line)}" for line in lines)))


def _ends(letter: LicenseMail) -> Iterable[str]:
    """Yield the new last full day, if it differs from that of the replaced licenses."""
    before = max(old.expires_at for old in letter.replaced)
    if before != letter.license.expires_at:
        yield f"last full day: {_day(letter.license.expires_at)} instead of {_day(before)}"


def _change(change: Difference) -> str:
    if change.name.startswith(_FEATURE) and (change.old, change.new) == ("no", "yes"):
        return f"{change.name}: added"
    if change.name.startswith(_FEATURE) and change.new == "no":
        return f"{change.name}: removed"
    return f"{_CALLED.get(change.name, change.name)}: {change.new} instead of {change.old}"


def _day(expires: datetime) -> str:
    return dates.last_full_day(expires).isoformat()


TEMPLATE_FILE: Final = "mail.txt"
LIMIT: Final = 64 * 1024
"""The size limit of a template, in bytes."""

DEFAULT: Final = """\
Subject: Polygent license for $customer ($machine): $kind, upload before $upload_day

$greeting

Attached is $what.

  customer:     $customer
  machine:      $machine
  valid until:  $valid_until
  license ID:   $license_id

$changes

Please upload the file before
  $upload_before
After that date your server no longer accepts it. If you miss the date, please
write to us, and we will send you a new file.

How to upload:

  1. Save the attached file
     $file
  2. Open Polygent and go to Settings → License → Upload license.
  3. Choose the file.

The license takes effect at once; no restart is needed.

$issuer
"""

_CODE: Final = "invalid_template"
_SUBJECT: Final = "Subject:"
_CONTROL: Final = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029]")


@dataclass(frozen=True, kw_only=True, slots=True)
class Template:
    """A checked template; `edited` if it is the operator's own."""

    text: str
    edited: bool

    def subject(self, words: Mapping[str, str]) -> str:
        """Return the subject as one line."""
        first = self.text.partition("\n")[0].removeprefix(_SUBJECT)
        return " ".join(Text(first).substitute(words).split())

    def body(self, words: Mapping[str, str]) -> str:
        """Return the body; lines end with LF."""
        rest = self.text.partition("\n")[2].strip("\n")
        return Text(rest).substitute(words) + "\n"


def template_path(home: Path) -> Path:
    """Return the path of the operator's own template in a home."""
    return home / TEMPLATE_FILE


def load(home: Path) -> Template:
    """Return the template of a home, or the default template.

    Raises:
        UnsafeFile: (`unsafe_file`) when another user owns the file or may write to it.
        InputRefused: (`invalid_template`) with the file, the line and the problem.
        UnreadableInput: (`unreadable_input`) when it cannot be read.
    """
    text = own_text(home)
    if text is None:
        return Template(text=DEFAULT, edited=False)
    check_text(text, escape(str(template_path(home))))
    return Template(text=text, edited=True)


def own_text(home: Path) -> str | None:
    """Return the text of the operator's own template, unchecked; None without one.

    Raises:
        UnsafeFile, InputRefused, UnreadableInput: as `load`, when the file cannot be read.
    """
    path = template_path(home)
    if not path.exists() and not path.is_symlink():
        return None
    try:
        text = read_text(str(path), limit=LIMIT, what="mail template", trusted=True)
    except NotUtf8 as refused:
        raise InputRefused(refused.message, hint=refused.hint, code=_CODE) from None
    return text.replace("\r\n", "\n")


def check_text(text: str, where: str) -> None:
    """Check the text of a template; `invalid_template` names the problem and `where` it is."""
    if len(text.encode()) > LIMIT:
        raise _wrong(where, f"larger than {LIMIT} bytes", "use a shorter text")
    first = text.partition("\n")[0]
    if not first.startswith(_SUBJECT) or not first.removeprefix(_SUBJECT).strip():
        raise _wrong(
            where, "the first line is not a subject", f"begin the first line with {_SUBJECT} TEXT"
        )
    if match := _CONTROL.search(text):
        code = f"U+{ord(match[0]):04X}"
        raise _wrong(where, f"line {_line(text, match)} contains the control character {code}")
    for match in Text.pattern.finditer(text):
        if match["invalid"] is not None:
            raise _wrong(
                where,
                f"line {_line(text, match)} contains a single $",
                "write $$ for a dollar sign",
            )
        name = match["named"] or match["braced"]
        if name is not None and name not in PLACEHOLDERS:
            known = ", ".join(f"${each}" for each in PLACEHOLDERS)
            hint = did_you_mean(name.casefold(), PLACEHOLDERS, f"known are {known}", within="$")
            why = f"line {_line(text, match)} contains the unknown placeholder ${escape(name)}"
            raise _wrong(where, why, hint)


def _line(text: str, match: re.Match[str]) -> int:
    return text.count("\n", 0, match.start()) + 1


def _wrong(where: str, why: str, hint: str | None = None) -> InputRefused:
    default = "delete the file to restore the default template"
    return InputRefused(f"{where}: {why}", hint=hint or default, code=_CODE)
