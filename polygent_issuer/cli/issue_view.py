"""How proposals and issued licenses look: old → new, the expiry, and until when to upload."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from polygent_issuer import dates
from polygent_issuer.cli.blocks import Block, Fields, Line
from polygent_issuer.cli.customer.customer_view import zone_of
from polygent_issuer.cli.drafts import draft_lines
from polygent_issuer.cli.output import Result
from polygent_issuer.findings import Consent
from polygent_issuer.issuing.proposal import NewCustomer, Proposal
from polygent_issuer.issuing.signing import Issued
from polygent_issuer.settings import Settings
from polygent_issuer.verifier import Tier

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

_DOMAIN = "allowed domain"
_ANYWHERE = "any: the file works for whoever holds it"
_ASSUMED = "assumed; set yours with: polygent-issue config set upload_window 7d"


@dataclass(frozen=True, kw_only=True, slots=True)
class DryRun(Result):
    """What would be issued; nothing was."""

    proposals: tuple[Proposal, ...]
    settings: Settings
    given: Consent

    def to_json(self) -> Mapping[str, Any]:
        """`licenses` as they would be, `dry_run` true."""
        licenses = [proposal_json(proposal, self.settings) for proposal in self.proposals]
        return {"dry_run": True, "licenses": licenses}

    def blocks(self) -> Iterable[Block]:
        """The preview, its findings, and that nothing happened."""
        yield from preview(self.proposals, self.settings)
        findings = [finding for each in self.proposals for finding in each.findings]
        for finding in findings:
            yield Line(f"{finding.code}: {finding.message}", "warn")
        codes = sorted({finding.code for finding in self.given.missing(findings)})
        if codes:
            flags = " ".join(f"--accept {code}" for code in codes)
            yield Line(f"it would need {flags} --reason TEXT, or a yes on a terminal", "warn")
        yield Line("dry run: nothing was issued", "dim")


@dataclass(frozen=True, kw_only=True, slots=True)
class IssuedReport(Result):
    """What was issued, and what the operator does next.

    Attributes:
        drafts: the mail drafts, by the ID of the license.
    """

    issued: tuple[Issued, ...]
    drafts: Mapping[str, tuple[Path, ...]]
    settings: Settings
    accepted: Consent
    to_stderr: bool

    @property
    def text_to_stderr(self) -> bool:
        """Whether stdout carries the license file itself."""
        return self.to_stderr

    def to_json(self) -> Mapping[str, Any]:
        """`licenses`, each with its `file` and `drafts`."""
        return {
            "dry_run": False,
            "licenses": [
                {
                    **proposal_json(each.proposal, self.settings),
                    "file": None if each.path is None else str(each.path),
                    "drafts": [str(path) for path in self.drafts[each.proposal.license.jti]],
                    "accepted": list(self.accepted.used(each.proposal.findings)),
                }
                for each in self.issued
            ],
        }

    def blocks(self) -> Iterable[Block]:
        """For each license: what, old → new, the file, until when to upload; what to do next."""
        for each in self.issued:
            license_id = each.proposal.license.jti
            yield Line(f"{each.proposal.action.done} license {license_id}", "good")
            yield _fields(each.proposal, self.settings, file=str(each.path or "stdout"))
            for note in each.proposal.notes:
                yield Line(note, "dim", 1)
            yield from draft_lines(self.drafts[license_id])
        ids = " ".join(each.proposal.license.jti[:8] for each in self.issued)
        yield Line(f"once mailed: polygent-issue license sent {ids}", "dim")


def preview(proposals: Iterable[Proposal], settings: Settings) -> Iterable[Block]:
    """A last look: everything that will be in the license, nothing yet signed."""
    for proposal in proposals:
        yield Line(f"{proposal.action} {proposal.file_name}", "title")
        yield _fields(proposal, settings)
        for note in proposal.notes:
            yield Line(note, "dim", 1)


def proposal_json(proposal: Proposal, settings: Settings) -> dict[str, Any]:
    """A proposal or issued license for programs."""
    issued = proposal.license
    window, assumed = settings.upload_window_or_assumed, settings.upload_window_is_assumed
    return {
        "action": str(proposal.action),
        "id": issued.jti,
        "customer": issued.sub,
        "customer_name": issued.customer,
        "new_customer": isinstance(proposal.customer, NewCustomer),
        "machine": proposal.machine.label if proposal.machine else None,
        "tier": str(issued.tier),
        "plan": proposal.plan,
        "term": proposal.term,
        "issued_at": dates.instant(issued.issued_at),
        "expires_at": dates.instant(issued.expires_at),
        "last_full_day": dates.last_full_day(issued.expires_at).isoformat(),
        "upload_before": dates.instant(dates.upload_deadline(issued.issued_at, window)),
        "upload_window_assumed": assumed,
        "claims": dict(issued.to_claims()),
        "kid": proposal.key.kid,
        "replaces": list(issued.replaces),
        "changes": [
            {"name": change.key, "old": change.old, "new": change.new}
            for change in proposal.differences
            if proposal.replaced
        ],
        "findings": [
            {"code": str(finding.code), "message": finding.message, "hint": finding.hint}
            for finding in proposal.findings
        ],
        "notes": list(proposal.notes),
    }


def _fields(proposal: Proposal, settings: Settings, file: str | None = None) -> Fields:
    issued = proposal.license
    until = dates.upload_deadline(issued.issued_at, settings.upload_window_or_assumed)
    assumed = f" ({_ASSUMED})" if settings.upload_window_is_assumed else ""
    kept = (("terms", "as before"),) if proposal.replaced and not proposal.differences else ()
    return Fields(
        (
            ("customer", _customer(proposal)),
            ("machine", _machine(proposal)),
            *_terms(proposal),
            *kept,
            ("expires", _expiry(proposal)),
            *_replaced(proposal),
            ("key", f"{proposal.key.label} ({proposal.key.kid[:8]})"),
            ("file", file),
            ("upload before", f"{dates.instant(until)}{assumed}"),
        )
    )


def _terms(proposal: Proposal) -> Iterable[tuple[str, str]]:
    """All terms of a first license; what changes, of a later one."""
    anywhere = proposal.license.tier is Tier.ENTERPRISE and proposal.license.allowed_domain is None
    changed = {term.name for term in proposal.differences} if proposal.replaced else frozenset()
    if anywhere and _DOMAIN not in changed:
        yield _DOMAIN, _ANYWHERE
    for term in proposal.differences:
        if proposal.replaced:
            after = _ANYWHERE if anywhere and term.name == _DOMAIN else term.new
            yield term.name, f"{term.old} → {after}"
        elif term.new != term.old or term.name == "features":
            yield term.name, term.new


def _replaced(proposal: Proposal) -> Iterable[tuple[str, str]]:
    """The license that it replaces; of several, which machine's each is, and until when."""
    if len(proposal.replaced) == 1:
        yield "replaces", proposal.replaced[0].id
        return
    for record in proposal.replaced:
        of = record.machine_label or record.tier
        yield "replaces", f"{record.id} ({of}, until {dates.instant(record.expires_at)})"


def _customer(proposal: Proposal) -> str:
    new = ", new" if isinstance(proposal.customer, NewCustomer) else ""
    return f"{proposal.license.customer} ({proposal.license.sub}{new})"


def _machine(proposal: Proposal) -> str:
    choice = proposal.machine
    if choice is None:
        return "any (enterprise)"
    state = ", new" if choice.known is None else ", changed" if choice.changed else ""
    return f"{choice.label}{state}: {choice.fingerprint}"


def _expiry(proposal: Proposal) -> str:
    issued = proposal.license
    days = (issued.expires_at - issued.issued_at).days
    new = f"{dates.describe_expiry(issued.expires_at, _zone(proposal))}; {days} days from now"
    if not proposal.replaced:
        return new
    last = max(record.expires_at for record in proposal.replaced)
    of_several = ", the last of them" if len(proposal.replaced) > 1 else ""
    if last == issued.expires_at:
        return f"as before{of_several}: {new}"
    return f"{dates.instant(last)}{of_several} → {new}"


def _zone(proposal: Proposal) -> "ZoneInfo | None":
    """The customer's time zone, when one is known, and this machine knows it."""
    return None if isinstance(proposal.customer, NewCustomer) else zone_of(proposal.customer)
