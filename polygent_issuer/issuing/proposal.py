"""A license that is decided but not signed, and everything an operator wants to see of it."""

import hashlib
import json
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from polygent_issuer.errors import InvalidTerms
from polygent_issuer.findings import Finding
from polygent_issuer.registry import Customer, KeyRecord, LicenseRecord, Machine
from polygent_issuer.terms import dates
from polygent_issuer.terms.decision import Difference
from polygent_issuer.terms.terms import Terms
from polygent_issuer.text import slugify
from polygent_issuer.verifier import License, jws
from polygent_issuer.verifier.errors import LicenseError

if TYPE_CHECKING:
    from polygent_issuer.machine_info.document import MachineInfo

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
class ReceivedDocument:
    """A `machine-info.json` as it came: its exact bytes and what they say."""

    content: bytes
    info: "MachineInfo"

    @property
    def sha256(self) -> str:
        """SHA-256 of the bytes, lower-case hex."""
        return hashlib.sha256(self.content).hexdigest()


@dataclass(frozen=True, kw_only=True, slots=True)
class NewCustomer:
    """A customer who will be added with the license."""

    slug: str
    name: str


@dataclass(frozen=True, kw_only=True, slots=True)
class MachineChoice:
    """The machine of a standard license, and what its row becomes.

    Attributes:
        known: the machine's row; `None` adds one.
        changed: the row takes a new identity from the document.
    """

    label: str
    fingerprint: str
    known: Machine | None = None
    changed: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Proposal:
    """A decision. Two proposals are equal when they rest on the same facts.

    Attributes:
        license: what will be signed, to the last claim.
        replaced: the licenses that it supersedes, as they are kept; mostly one.
        term, plan: kept with the license, so that the next renewal knows them.
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
    document: ReceivedDocument | None = None
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


def file_name(held: License, label: str | None) -> str:
    """`acme-prod-2027-11-30-1f3a9c2e.lic`: customer, machine, last full day, ID (§6).

    Args:
        held: the license.
        label: its machine's; `None` for an enterprise license.
    """
    machine = () if label is None else (slugify(label),)
    day = dates.last_full_day(held.expires_at).isoformat()
    return "-".join((held.sub, *machine, day, held.jti[:8])) + ".lic"


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
    """The license of these terms, checked against FORMAT §1.

    Args:
        issued_at, expires_at: UTC; whole seconds are kept.

    Raises:
        InvalidTerms: (`invalid_terms`) when no license may say this, or be of this instant, or
            its file would have more bytes than a server reads.
    """
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
    """Refuse what no server would read; the size of its file is known before it is signed.

    Raises:
        InvalidTerms: (`invalid_terms`) above `jws.MAX_FILE_BYTES` (FORMAT §1).
    """
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
