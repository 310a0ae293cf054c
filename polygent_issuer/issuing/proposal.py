"""A license that is decided but not signed, beside those it replaces.

Those are read from their stored files, never from rows that can be edited.
"""

import json
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from polygent_issuer.errors import InvalidTerms
from polygent_issuer.findings import Finding, FindingCode
from polygent_issuer.hints import Hint, join, option, run
from polygent_issuer.registry import Customer, KeyRecord, LicenseRecord, Machine, Reading, keys
from polygent_issuer.registry.errors import RegistryDamaged
from polygent_issuer.terms import dates, decision
from polygent_issuer.terms.decision import Difference
from polygent_issuer.terms.parsing import Changes, Terms
from polygent_issuer.text import escape, list_first, slugify
from polygent_issuer.verifier import KeySet, License, LicenseError, Verifier, jws

if TYPE_CHECKING:
    from polygent_issuer.machine_info.document import ReceivedDocument


# A kid is an RFC 7638 thumbprint under SHA-256: 43 characters, whichever key signs.
_ANY_KID: Final = "A" * 43
_CERTAINLY_FITS: Final = 6_000
_FIRST_SECOND = datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC)  # FORMAT §1: iat is at least 1


class Action(StrEnum):
    """What is done to a license."""

    SIGN = "sign"
    RENEW = "renew"
    REISSUE = "reissue"

    @property
    def done(self) -> str:
        """The same in the past: `signed`, `renewed`, `reissued`."""
        return {"sign": "signed", "renew": "renewed", "reissue": "reissued"}[self]


@dataclass(frozen=True, kw_only=True, slots=True)
class NewCustomer:
    """A customer who will be added with the license."""

    slug: str
    name: str


@dataclass(frozen=True, kw_only=True, slots=True)
class MachineChoice:
    """The machine of a standard license: the known row, or None to add one.

    `changed` gives that row a new identity from the document.
    """

    label: str
    fingerprint: str
    known: Machine | None = None
    changed: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Proposal:
    """A decision. Two proposals are equal when they rest on the same facts.

    Attributes:
        replaced: the licenses that it supersedes; mostly one.
        term, plan: recorded with the license, so that the next renewal knows them.
        findings: what is risky and needs consent.
        differences: old → new, or all terms of a first license.
        notes: what the operator should know, without being asked.
    """

    action: Action
    license: License
    customer: Customer | NewCustomer
    machine: MachineChoice | None
    key: KeyRecord
    term: str | None
    plan: str | None
    replaced: tuple[LicenseRecord, ...] = ()
    document: "ReceivedDocument | None" = None
    findings: tuple[Finding, ...] = ()
    differences: tuple[Difference, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def file_name(self) -> str:
        """The name that its file gets where nobody says otherwise."""
        return file_name(self.license, self.machine.label if self.machine else None)

    def with_findings(self, *findings: Finding | None) -> "Proposal":
        """The same decision with more findings; `None` is left out."""
        more = tuple(finding for finding in findings if finding is not None)
        return replace(self, findings=(*self.findings, *more)) if more else self


def file_name(license_: License, label: str | None) -> str:
    """`acme-prod-2027-11-30-1f3a9c2e.lic`: customer, machine if any, last full day, ID (§6)."""
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
    """The license of these terms, to whole seconds; `invalid_terms` if FORMAT §1 forbids it."""
    if issued_at < _FIRST_SECOND:
        raise InvalidTerms(
            f"no license can be issued at {dates.instant(issued_at)}, "
            "as this machine's clock has it",
            hint="set the clock right",
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
        raise InvalidTerms(
            f"no license may say this: {refused.message}", hint=refused.hint
        ) from None
    _require_readable(built)
    return built


def _require_readable(license_: License) -> None:
    """Refuse what no server would read; the size of its file is known before it is signed."""
    # At most 67 bytes of the payload for a feature, 39 for an id, 4,000 for all other claims.
    if 67 * len(license_.features) + 39 * len(license_.replaces) < _CERTAINLY_FITS:
        return
    signing_input = jws.signing_input(_ANY_KID, license_.to_payload())
    size = len(jws.assemble(signing_input, bytes(jws.SIGNATURE_BYTES)))
    if size <= jws.MAX_FILE_BYTES:
        return
    taken = len(json.dumps(license_.features, separators=(",", ":"))) * 4 // 3  # in base64url
    raise InvalidTerms(
        f"the license file would have {size:,} bytes, and a server reads at most "
        f"{jws.MAX_FILE_BYTES:,}",
        hint=f"grant fewer features, or give them shorter names: the {len(license_.features)} "
        f"that it grants take {taken:,} bytes",
    )


def load_license(db: Reading, record: LicenseRecord) -> License:
    """What the stored `.lic` says, verified with its pinned key; else `registry_damaged`."""
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
    """What verifies with one pinned key; reading a key takes as long as a verification."""
    return Verifier(KeySet.of(key.public_key, allow_example=True))


def similar_customer(
    subject: str, alike: Sequence[Customer | str], *, hint: str, where: str = ""
) -> Finding | None:
    """`similar-customer`: the subject of the sentence is very like others, or like their names.

    None where there are none; `where` says more of them.
    """
    if not alike:
        return None
    names = [each if isinstance(each, str) else f"{each.name} ({each.slug})" for each in alike]
    message = f"{subject} is very like {list_first(names)}{where}"
    return Finding(code=FindingCode.SIMILAR_CUSTOMER, message=message, hint=hint)


_LESSER: Final = ("users", "session-hosts", "deploy-hosts", "remove-feature", "allowed-domain")
_NAMES: Final = join(", ", [option(f"--{name}") for name in _LESSER])
_NAME_IT: Final = Hint("name what is meant with ", _NAMES, " or ", option("--expires"))


def loss_finding(
    replaced: Sequence[License], new: License, typed: Changes | None
) -> Finding | None:
    """`entitlement-loss`: less than now, and not named on the command line, if there was one."""
    changes = Changes() if typed is None else typed
    losses = list(decision.losses([Terms.of(old) for old in replaced], Terms.of(new), changes))
    named = changes.term or changes.expires or changes.basis
    longest = max(old.expires_at for old in replaced)
    if new.expires_at < longest and not named:
        days = dates.days_left(longest, new.expires_at)
        losses.append(
            f"it would end {dates.days(days)} earlier, at {dates.instant(new.expires_at)}"
        )
    if not losses:
        return None
    return Finding(
        code=FindingCode.ENTITLEMENT_LOSS,
        message=f"{new.customer} would lose: {'; '.join(losses)}",
        hint=None if typed is None else _NAME_IT,
    )


def license_differences(replaced: Sequence[License], new: License) -> tuple[Difference, ...]:
    """Old → new, for display: what the licenses say beside their terms, then those."""
    pairs = (
        ("customer", _listed(old.customer for old in replaced), new.customer),
        ("customer slug", _listed(old.sub for old in replaced), new.sub),
        ("issuer", _listed(old.iss for old in replaced), new.iss),
        ("fingerprint", _machines(replaced), _machines([new])),
    )
    changed = [Difference(name=name, old=old, new=now) for name, old, now in pairs if old != now]
    return (*changed, *decision.differences([Terms.of(old) for old in replaced], Terms.of(new)))


def replaced_note(db: Reading, record: LicenseRecord, now: datetime) -> str:
    """What becomes of the old file of a license that is replaced."""
    until = dates.instant(record.expires_at)
    if record.expires_at <= now:
        return f"license {record.id[:8]} expired at {until}"
    old, key = f"the old file {record.id[:8]}", keys.pinned(db, record.kid)
    works = f"keeps working until {until} where it is installed"
    if key.compromised:
        signed = f"{old} was signed with {escape(key.label)}, which is compromised"
        return f"{signed}: it works only where that key is still believed"
    if key.retired_at is not None:
        return f"{old} was signed with {escape(key.label)}, which is retired; it {works}"
    return f"{old} {works}"


def _listed(words: Iterable[str]) -> str:
    return ", ".join(dict.fromkeys(words))


def _machines(licenses: Sequence[License]) -> str:
    """Whose fingerprint, or of how many machines: a row of several would be read by nobody."""
    bound = [each.machine_fingerprint for each in licenses if each.machine_fingerprint]
    if len(bound) > 1:
        return f"of {len(bound)} machines"
    return bound[0] if bound else "any"
