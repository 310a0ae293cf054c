"""Findings: actions that are allowed but risky, and their consent (DESIGN, "Findings and consent").

A finding is neither an error nor a silent success. The core collects findings; the command line
asks on a terminal and otherwise stops with exit 4. The journal records who accepted what, when and
why.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from polygent_issuer.errors import ExitCode, IssuerError
from polygent_issuer.text import Hint


class FindingCode(StrEnum):
    """The stable codes, as `--accept` takes them."""

    STALE_MACHINE_INFO = "stale-machine-info"
    IMPLAUSIBLE_FINGERPRINT = "implausible-fingerprint"
    MACHINE_OF_ANOTHER_CUSTOMER = "machine-of-another-customer"
    ADDITIONAL_MACHINE = "additional-machine"
    CLAIMED_CUSTOMER = "claimed-customer"
    ENTITLEMENT_LOSS = "entitlement-loss"
    LONG_TERM = "long-term"
    SIMILAR_CUSTOMER = "similar-customer"
    NOT_DUE = "not-due"
    ON_HOLD = "on-hold"
    WEAK_PASSPHRASE = "weak-passphrase"  # noqa: S105 - a code, not a password
    CLOCK_BEHIND = "clock-behind"
    KEY_ROLLOUT = "key-rollout"
    REGISTRY_ROLLBACK = "registry-rollback"


MEANINGS: Final[Mapping[FindingCode, str]] = {
    FindingCode.STALE_MACHINE_INFO: "the document is older than 14 days (setting "
    "`machine_info_max_age`), or more than 5 minutes in the future",
    FindingCode.IMPLAUSIBLE_FINGERPRINT: "the fingerprint of the document is a placeholder: one "
    "repeated character, the hash of an empty input, a vendor's filler text, or `sha256:` without "
    "64 hexadecimal digits",
    FindingCode.MACHINE_OF_ANOTHER_CUSTOMER: "the fingerprint belongs to a machine of another "
    "customer",
    FindingCode.ADDITIONAL_MACHINE: "the customer already has a machine, and this is a different "
    "one",
    FindingCode.CLAIMED_CUSTOMER: "the document names a different known customer than the one "
    "given; or, without a terminal, only the document names the customer",
    FindingCode.ENTITLEMENT_LOSS: "fewer features, users, hosts, host names or days than now, and "
    "no option asks for the change; several licenses are added up",
    FindingCode.LONG_TERM: "the license runs longer than 3 years (setting `long_term`)",
    FindingCode.SIMILAR_CUSTOMER: "the name of a new customer differs from a known one only in the "
    "legal form or in one letter, or one of them begins with the other; names with different "
    "numbers are not similar (topic `customers`)",
    FindingCode.NOT_DUE: "a renewal more than 90 days before the expiry (setting `not_due`); "
    "converting a trial is never too early",
    FindingCode.ON_HOLD: "the customer is on hold (`customer hold`); batches skip its licenses and "
    "take no consent to that",
    FindingCode.WEAK_PASSPHRASE: "a new passphrase has fewer than 12 characters",
    FindingCode.CLOCK_BEHIND: "this machine's clock is behind the newest row of the journal",
    FindingCode.KEY_ROLLOUT: "servers need the new public key before files signed with the new key",
    FindingCode.REGISTRY_ROLLBACK: "the current registry contains rows that the backup lacks",
}
"""When each finding is reported. The guide topic *findings* is generated from it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """One risk: its code, the evidence, and what to do instead of accepting it."""

    code: FindingCode
    message: str
    hint: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Consent:
    """The codes that the operator accepted, and why.

    A code that is not needed is harmless. Without a terminal the command line requires `reason` as
    soon as a finding is accepted.
    """

    accepted: frozenset[FindingCode] = frozenset()
    reason: str | None = None

    def missing(self, findings: Iterable[Finding]) -> tuple[Finding, ...]:
        """Return the findings that this consent does not cover, in their order."""
        return tuple(finding for finding in findings if finding.code not in self.accepted)

    def used(self, findings: Iterable[Finding]) -> tuple[FindingCode, ...]:
        """Return the accepted codes that were needed, sorted, as the journal records them."""
        return tuple(sorted({f.code for f in findings if f.code in self.accepted}))


class ConsentNeeded(IssuerError):
    """Findings were not accepted; nothing was changed.

    The message names each finding; the hint lists the options that accept them.
    """

    code = "consent_needed"
    exit_code = ExitCode.CONSENT

    def __init__(self, findings: tuple[Finding, ...], *, reason_missing: bool = False) -> None:
        """Name the findings and the options that accept them."""
        self.findings = findings
        self.reason_missing = reason_missing
        self.to_continue = "add --reason TEXT"
        codes = sorted({finding.code for finding in findings})
        if reason_missing:
            named = ", ".join(codes)
            super().__init__(f"a reason is required to accept {named}", hint=self.to_continue)
            return
        flags = " ".join(f"--accept {code}" for code in codes)
        risks = "; ".join(f"{finding.code}: {finding.message}" for finding in findings)
        self.to_continue = f"to continue, add {flags} --reason TEXT"
        hint = Hint(self.to_continue, _alternatives(findings))
        super().__init__(f"consent needed: {risks}", hint=hint)


def _alternatives(findings: Iterable[Finding]) -> Hint:
    """Return the end of the hint: what to do instead; for several findings, each with its code."""
    hints: dict[str, FindingCode] = {}
    for finding in findings:
        if finding.hint:
            hints.setdefault(finding.hint, finding.code)
    if len(hints) == 1:
        return Hint("; or ", *hints)
    return Hint(*(Hint(f"; for {code}: ", hint) for hint, code in hints.items()))


def require(findings: Iterable[Finding], consent: Consent, *, with_reason: bool = False) -> None:
    """Check that the consent covers every finding.

    Args:
        with_reason: whether an accepted finding needs a reason.

    Raises:
        ConsentNeeded: (`consent_needed`) for findings without consent, or for a missing reason.
    """
    findings = tuple(findings)
    missing = consent.missing(findings)
    if missing:
        raise ConsentNeeded(missing)
    if findings and with_reason and not consent.reason:
        raise ConsentNeeded(findings, reason_missing=True)
