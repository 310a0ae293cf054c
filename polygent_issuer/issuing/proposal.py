"""A license that is decided but not signed, and its comparison with those that it replaces.

The replaced licenses are read from their stored files, never from rows that can be edited.
"""

import json
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum
from functools import lru_cache
from typing import TYPE_CHECKING, Final, Self

from polygent_issuer.errors import InvalidTerms, MissingInput
from polygent_issuer.findings import Finding, FindingCode
from polygent_issuer.home.settings import Settings
from polygent_issuer.registry import Customer, KeyRecord, LicenseRecord, Machine, Reading, keys
from polygent_issuer.registry.errors import RegistryDamaged
from polygent_issuer.registry.holds import hold_end, on_hold
from polygent_issuer.terms import dates, decision
from polygent_issuer.terms.decision import Difference
from polygent_issuer.terms.parsing import Changes, Terms, parse_name, parse_note
from polygent_issuer.text import Hint, escape, join, list_first, option, run, slugify
from polygent_issuer.verifier import KeySet, License, LicenseError, Verifier, jws

if TYPE_CHECKING:
    from polygent_issuer.machine_info.document import ReceivedDocument


# A kid is an RFC 7638 thumbprint under SHA-256: 43 characters, whichever key signs.
_ANY_KID: Final = "A" * 43
_CERTAINLY_FITS: Final = 6_000
_FIRST_SECOND = datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC)  # FORMAT §1: iat is at least 1
_LESSER: Final = ("users", "session-hosts", "deploy-hosts", "remove-feature", "allowed-domain")
_NAMES: Final = join(", ", [option(f"--{name}") for name in _LESSER])
_NAME_IT: Final = Hint(
    "if this is intended, give the new terms with ", _NAMES, " or ", option("--expires")
)


class Action(StrEnum):
    """The three ways to issue a license."""

    SIGN = "sign"
    RENEW = "renew"
    REISSUE = "reissue"

    @property
    def done(self) -> str:
        """The past participle: `signed`, `renewed`, `reissued`."""
        return {"sign": "signed", "renew": "renewed", "reissue": "reissued"}[self]


@dataclass(frozen=True, kw_only=True, slots=True)
class NewCustomer:
    """A customer that will be added with the license."""

    slug: str
    name: str
    contacts: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class MachineChoice:
    """The machine of a standard license: the `known` row, or None to add one.

    `changed`: the row gets a new identity from the document.
    """

    label: str
    fingerprint: str
    known: Machine | None = None
    changed: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Proposal:
    """A decision. Two proposals of the same facts are equal.

    Attributes:
        replaced: the licenses that it supersedes; usually one.
        term, plan: recorded with the license for the next renewal.
        order_id, note: recorded with the license, for the operator.
        findings: risks that need consent.
        differences: old → new, or all terms of a first license.
        notes: information for the operator that needs no consent.
    """

    action: Action
    license: License
    customer: Customer | NewCustomer
    machine: MachineChoice | None
    key: KeyRecord
    term: str | None
    plan: str | None
    order_id: str | None = None
    note: str | None = None
    replaced: tuple[LicenseRecord, ...] = ()
    document: "ReceivedDocument | None" = None
    findings: tuple[Finding, ...] = ()
    differences: tuple[Difference, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def file_name(self) -> str:
        """The default name of its file."""
        return file_name(self.license, self.machine.label if self.machine else None)

    def with_findings(self, *findings: Finding | None) -> "Proposal":
        """Return the same decision with more findings, without the `None` among them."""
        more = tuple(finding for finding in findings if finding is not None)
        return replace(self, findings=(*self.findings, *more)) if more else self


def file_name(license_: License, label: str | None) -> str:
    """Return `acme-prod-2027-11-30-1f3a9c2e.lic`: customer, machine, last full day, ID (§6)."""
    machine = () if label is None else (slugify(label),)
    day = dates.last_full_day(license_.expires_at).isoformat()
    return "-".join((license_.sub, *machine, day, license_.jti[:8])) + ".lic"


def build_license(
    *,
    license_id: str,
    issuer: str,
    customer: Customer | NewCustomer,
    terms: Terms,
    fingerprint: str | None,
    issued_at: datetime,
    expires_at: datetime,
    replaces: tuple[str, ...] = (),
) -> License:
    """Build a license, in whole seconds; `invalid_terms` if FORMAT §1 forbids it."""
    if expires_at <= issued_at:
        raise InvalidTerms(
            f"the expiry date is in the past: {dates.describe_expiry(expires_at)}",
            hint=Hint("choose a longer term, or a later day with ", option("--expires")),
        )
    if issued_at < _FIRST_SECOND:
        raise InvalidTerms(
            f"this machine's clock shows {dates.instant(issued_at)}, "
            "which is too early to issue a license",
            hint="set this machine's clock",
        )
    described = License(
        iss=issuer,
        sub=customer.slug,
        jti=license_id,
        iat=dates.to_seconds(issued_at),
        exp=dates.to_seconds(expires_at),
        customer=customer.name,
        tier=terms.tier,
        features=terms.features,
        limits=terms.limits,
        machine_fingerprint=fingerprint,
        allowed_domain=terms.allowed_domain,
        replaces=replaces,
    )
    try:
        built = License.from_claims(described.to_claims())
    except LicenseError as refused:
        raise InvalidTerms(f"invalid license: {refused.message}", hint=refused.hint) from None
    _require_readable(built)
    return built


def load_license(db: Reading, record: LicenseRecord) -> License:
    """Return a stored `.lic`, verified with its pinned key; else `registry_damaged`."""
    pinned = verifier_of(keys.pinned(db, record.kid))
    with suppress(LicenseError):
        license_ = pinned.authenticate(record.file)
        if license_.jti == record.id:
            return license_
    raise RegistryDamaged(
        f"the stored file of license {record.id} does not verify with its pinned key",
        hint=run("journal", "verify"),
    )


@lru_cache(maxsize=8)
def verifier_of(key: KeyRecord) -> Verifier:
    """Return a verifier for one pinned key; cached, since loading takes as long as verifying."""
    return Verifier(KeySet.of(key.public_key, allow_example=True))


def similar_customer(
    subject: str, alike: Sequence[Customer | str], *, hint: str, where: str = ""
) -> Finding | None:
    """Return `similar-customer` for customers or names that resemble the subject; None for none.

    `where` is appended to the names.
    """
    if not alike:
        return None
    names = [each if isinstance(each, str) else f"{each.name} ({each.slug})" for each in alike]
    message = f"{subject} is very similar to {list_first(names)}{where}"
    return Finding(code=FindingCode.SIMILAR_CUSTOMER, message=message, hint=hint)


def loss_finding(
    replaced: Sequence[License], new: License, typed: Changes | None
) -> Finding | None:
    """Return `entitlement-loss` for every term that shrinks and is not named on the command line.

    `typed`: the options of the command line, or `None` without one.
    """
    changes = Changes() if typed is None else typed
    losses = list(decision.losses([Terms.of(old) for old in replaced], Terms.of(new), changes))
    named = changes.term or changes.expires or changes.basis
    longest = max(old.expires_at for old in replaced)
    if new.expires_at < longest and not named:
        days = dates.days_left(longest, new.expires_at)
        losses.append(
            f"{dates.days(days)} of validity (new expiry {dates.instant(new.expires_at)})"
        )
    if not losses:
        return None
    return Finding(
        code=FindingCode.ENTITLEMENT_LOSS,
        message=f"{new.customer} would lose: {', '.join(losses)}",
        hint=None if typed is None else _NAME_IT,
    )


def license_differences(replaced: Sequence[License], new: License) -> tuple[Difference, ...]:
    """Return old → new for display: the parties and machine first, then the terms."""
    pairs = (
        ("customer", _listed(old.customer for old in replaced), new.customer),
        ("customer slug", _listed(old.sub for old in replaced), new.sub),
        ("issuer", _listed(old.iss for old in replaced), new.iss),
        ("fingerprint", _machines(replaced), _machines([new])),
    )
    changed = [Difference(name=name, old=old, new=now) for name, old, now in pairs if old != now]
    return (*changed, *decision.differences([Terms.of(old) for old in replaced], Terms.of(new)))


class OldFileNote(str):
    """A note on the old file of a replaced license, which can share a line with similar notes.

    Attributes:
        many: what is true of several such files, as the end of a sentence.
        until: when that ends, if it does.
    """

    __slots__ = ("many", "until")
    many: str
    until: datetime | None

    def __new__(cls, text: str, *, many: str, until: datetime | None) -> Self:
        """Create the note from its text for one file."""
        note = super().__new__(cls, text)
        note.many, note.until = many, until
        return note


def replaced_note(db: Reading, record: LicenseRecord, now: datetime) -> OldFileNote:
    """Return a note on the old file of a license that is replaced."""
    ends, until = record.expires_at, dates.instant(record.expires_at)
    if ends <= now:
        text = f"license {record.id[:8]} expired at {until}"
        return OldFileNote(text, many="have expired", until=None)
    old, key = f"the old file {record.id[:8]}", keys.pinned(db, record.kid)
    works = f"stays valid until {until} on servers where it is installed"
    work = "keep working on servers where they are installed"
    if key.may_sign:
        return OldFileNote(f"{old} {works}", many=work, until=ends)
    signed_with = f"signed with {escape(key.label)}, which is"
    if key.compromised:
        only = "only on servers that still trust that key"
        return OldFileNote(
            f"{old} was {signed_with} compromised; it works {only}",
            many=f"were {signed_with} compromised; they work {only}",
            until=None,
        )
    text = f"{old} was {signed_with} retired; it {works}"
    return OldFileNote(text, many=f"were {signed_with} retired; they {work}", until=ends)


def old_file_notes(notes: Iterable[OldFileNote]) -> list[str]:
    """Return one note for all files with the same state; a single file keeps its own note."""
    alike: dict[str, list[OldFileNote]] = {}
    for note in notes:
        alike.setdefault(note.many, []).append(note)
    return [_old_files_note(many, group) for many, group in alike.items()]


def hold_finding(customer: Customer | NewCustomer, now: datetime) -> Finding | None:
    """Return `on-hold` for a customer on hold; None for another or a new one."""
    if isinstance(customer, NewCustomer) or not on_hold(customer, now):
        return None
    end = hold_end(customer)
    return Finding(
        code=FindingCode.ON_HOLD,
        message=f"{customer.name} is on hold{end and f' until {end}'}: {customer.held_reason}",
        hint=Hint("to release it: ", run("customer", "hold", customer.slug, "--release")),
    )


def next_order(
    action: Action, changes: Changes, replaced: Sequence[LicenseRecord], settings: Settings
) -> tuple[str | None, str | None]:
    """Return the order id and the note of a license.

    A reissue keeps those of the licenses that it replaces. A first license and a renewal are
    usually another order, so they get only what was given.

    Raises:
        MissingInput: (`missing_input`) a first license or a renewal lacks the order id that the
            setting `require_order_id` asks for.
        InvalidTerms: (`invalid_terms`) those of several licenses are too long together.
    """
    order_id, note = changes.order_id, changes.note
    if action is Action.REISSUE:
        order_id = order_id or _joined("order ids", (each.order_id for each in replaced))
        note = note or _joined("notes", (each.note for each in replaced))
    else:
        require_order_id(changes, settings)
    return order_id, note


def require_order_id(changes: Changes, settings: Settings) -> None:
    """Refuse a first license or a renewal without the order id that the settings ask for."""
    if changes.order_id is None and settings.require_order_id:
        raise MissingInput(
            "an order id is required (setting require_order_id)",
            hint=Hint("add ", option("--order-id", "TEXT")),
        )


def _require_readable(license_: License) -> None:
    """Refuse a license whose file would be too large for a server; its size is known already."""
    # At most 67 bytes of the payload for a feature, 39 for an id, 4,000 for all other claims.
    if 67 * len(license_.features) + 39 * len(license_.replaces) < _CERTAINLY_FITS:
        return
    signing_input = jws.signing_input(_ANY_KID, license_.to_payload())
    size = len(jws.assemble(signing_input, bytes(jws.SIGNATURE_BYTES)))
    if size <= jws.MAX_FILE_BYTES:
        return
    taken = len(json.dumps(license_.features, separators=(",", ":"))) * 4 // 3  # in base64url
    raise InvalidTerms(
        f"the license file would have {size:,} bytes, and servers read at most "
        f"{jws.MAX_FILE_BYTES:,}",
        hint=f"grant fewer features, or features with shorter names: these "
        f"{len(license_.features)} take {taken:,} bytes",
    )


def _old_files_note(many: str, notes: Sequence[OldFileNote]) -> str:
    if len(notes) == 1:
        return str(notes[0])
    days = {dates.last_full_day(each.until).isoformat() for each in notes if each.until}
    until = f", until {max(days)}" if days else ""
    if len(days) > 1:
        until = f", each until it expires, the last one after {max(days)}"
    return f"{len(notes):,} old files {many}{until}"


def _listed(words: Iterable[str]) -> str:
    return ", ".join(dict.fromkeys(words))


def _machines(licenses: Sequence[License]) -> str:
    """Return the fingerprint, or the number of machines: several would not fit into a row."""
    bound = [each.machine_fingerprint for each in licenses if each.machine_fingerprint]
    if len(bound) > 1:
        return f"of {len(bound)} machines"
    return bound[0] if bound else "any"


def _joined(what: str, texts: Iterable[str | None]) -> str | None:
    """Return the different texts of several licenses as one, or None."""
    joined = "; ".join(sorted(set(filter(None, texts))))
    try:
        if joined:
            (parse_name if what == "order ids" else parse_note)(joined)
    except InvalidTerms as refused:
        name = "--order-id" if what == "order ids" else "--note"
        raise InvalidTerms(
            f"the {what} of these licenses are too long together: {refused.message}",
            hint=Hint("give one with ", option(name, "TEXT")),
        ) from None
    return joined or None
