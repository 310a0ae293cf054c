"""A license as a mail describes it: the text of each placeholder of the template."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import PurePath
from typing import Final

from polygent_issuer import email_address
from polygent_issuer.email_address import Mailbox
from polygent_issuer.errors import NotFound
from polygent_issuer.home.settings import Settings
from polygent_issuer.issuing.proposal import file_name, license_differences, load_license
from polygent_issuer.registry import Customer, Reading, customers, licenses
from polygent_issuer.terms import dates, decision
from polygent_issuer.terms.decision import Difference
from polygent_issuer.terms.parsing import Terms
from polygent_issuer.text import escape
from polygent_issuer.verifier import License

_CALLED: Final = {"fingerprint": "machine fingerprint", "customer slug": "customer ID"}
_FEATURE: Final = "feature "


class Kind(StrEnum):
    """The purpose of a license for its customer."""

    NEW = "new license"
    RENEWAL = "renewal"
    REPLACEMENT = "replacement"


_WHAT: Final = {
    Kind.NEW: "your new Polygent license",
    Kind.RENEWAL: "the renewal of your Polygent license",
    Kind.REPLACEMENT: "a new file for your Polygent license, which replaces the one you have",
}


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


def _load_replaced(db: Reading, license_ids: Iterable[str]) -> Iterator[License]:
    for license_id in license_ids:
        try:
            record = licenses.get(db, license_id)
        except NotFound:
            continue
        yield load_license(db, record)


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
