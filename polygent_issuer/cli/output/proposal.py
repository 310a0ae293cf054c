"""Proposals and issued licenses as text and JSON: changes, expiry, upload deadline."""

from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from polygent_issuer.cli.output.blocks import Block, Fields, Line, at_home, cut
from polygent_issuer.cli.output.records import zone_of
from polygent_issuer.cli.output.result import finding_json
from polygent_issuer.findings import Consent
from polygent_issuer.home.settings import Settings
from polygent_issuer.issuing.proposal import NewCustomer, Proposal
from polygent_issuer.issuing.signing import Issued
from polygent_issuer.terms import dates
from polygent_issuer.terms.decision import Difference, wildcard_depth
from polygent_issuer.text import Hint, run
from polygent_issuer.verifier import License, Tier

_FINGERPRINT: Final = 20
"""The number of columns of a fingerprint; `--json` and the license have all of it."""

_DOMAIN = "allowed domain"
_COVERS = "covers"
_ANYWHERE = "any (bearer license)"
_ASSUMED = Hint(" (assumed); to set the window: ", run("config", "set", "upload_window", "7d"))


def preview(proposals: Iterable[Proposal], settings: Settings) -> Iterable[Block]:
    """Yield the content of each license before it is signed."""
    for proposal in proposals:
        yield Line(f"{proposal.action} {proposal.file_name}", "title")
        yield fields(proposal, settings)
        for note in proposal.notes:
            yield Line(note, "dim", 1)


def fields(
    proposal: Proposal, settings: Settings, *, file: str | None = None, drafts: Iterable[Path] = ()
) -> Fields:
    """Return customer, changes and expiry of a license, and the files that were written for it."""
    same = (("terms", "as before"),) if proposal.replaced and not proposal.differences else ()
    new = ", NEW" if isinstance(proposal.customer, NewCustomer) else ""
    return Fields(
        (
            ("customer", f"{proposal.license.customer} ({proposal.license.sub}{new})"),
            ("machine", _machine(proposal)),
            *_terms(proposal),
            *same,
            ("expires", _expiry(proposal)),
            *_replaced(proposal),
            ("order", proposal.order_id),
            ("note", proposal.note),
            ("key", f"{proposal.key.label} ({proposal.key.kid[:8]})"),
            ("file", file),
            *(("mail draft", str(draft)) for draft in drafts),
            ("upload before", upload_before(proposal.license, settings)),
        )
    )


def written(file: str, drafts: Iterable[Path]) -> Fields:
    """Return the files of a license whose other fields were shown before."""
    return Fields((("file", file), *(("mail draft", str(draft)) for draft in drafts)))


def upload_before(license_: License, settings: Settings) -> str:
    """Return the upload deadline, and whether it is assumed."""
    until = dates.upload_deadline(license_.issued_at, settings.upload_window_or_assumed)
    return deadline(until, assumed=settings.upload_window_is_assumed)


def deadline(until: datetime, *, assumed: bool) -> str:
    """Return an upload deadline as text."""
    return Hint(dates.instant(until), _ASSUMED) if assumed else dates.instant(until)


def _terms(proposal: Proposal) -> Iterable[tuple[str, str | None]]:
    """Yield all terms of a first license, or the changes of a later one; a wildcard's depth."""
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
        if term.name == _DOMAIN and (domain := proposal.license.allowed_domain) is not None:
            yield _COVERS, wildcard_depth(domain)


def _replaced(proposal: Proposal) -> Iterable[tuple[str, str]]:
    """Yield the license that it replaces; of several, also machine and expiry of each."""
    if len(proposal.replaced) == 1:
        yield "replaces", proposal.replaced[0].id
        return
    for record in proposal.replaced:
        of = record.machine_label or record.tier
        yield "replaces", f"{record.id} ({of}, until {dates.instant(record.expires_at)})"


def _machine(proposal: Proposal) -> str:
    choice = proposal.machine
    if choice is None:
        return "any (enterprise)"
    state = ", new" if choice.known is None else ", changed" if choice.changed else ""
    return f"{choice.label}{state}: {choice.fingerprint}"


def _expiry(proposal: Proposal) -> str:
    issued, customer = proposal.license, proposal.customer
    zone = None if isinstance(customer, NewCustomer) else zone_of(customer)
    days = dates.days(dates.days_left(issued.expires_at, issued.issued_at))
    new = f"{dates.describe_expiry(issued.expires_at, zone)}; {days} from now"
    if not proposal.replaced:
        return new
    last = max(record.expires_at for record in proposal.replaced)
    of_several = " (the latest)" if len(proposal.replaced) > 1 else ""
    if last == issued.expires_at:
        return f"as before{of_several}: {new}"
    return f"{dates.instant(last)}{of_several} → {new}"


def issued_json(
    issued: Issued, settings: Settings, *, drafts: Iterable[Path], agreed: Consent
) -> dict[str, Any]:
    """Return an issued license: its proposal, file, mail drafts and accepted findings."""
    return {
        **proposal_json(issued.proposal, settings),
        "file": None if issued.path is None else str(issued.path),
        "drafts": [str(path) for path in drafts],
        "accepted": list(agreed.used(issued.proposal.findings)),
    }


def proposal_json(proposal: Proposal, settings: Settings) -> dict[str, Any]:
    """Return the content of a license, its changes and its findings."""
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
        "findings": [finding_json(finding) for finding in proposal.findings],
        "notes": list(map(at_home, proposal.notes)),
        "order_id": proposal.order_id,
        "note": proposal.note,
    }


def days_text(proposal: Proposal) -> str:
    """Return the last full day, or old → new if it changes."""
    new = dates.last_full_day(proposal.license.expires_at).isoformat()
    before = [dates.last_full_day(old.expires_at).isoformat() for old in proposal.replaced]
    return new if max(before, default=new) == new else f"{max(before)} → {new}"


def change_text(change: Difference) -> str:
    """Return a change of a term in a few words: `users 25 → 30`."""
    old, new = change.old, change.new
    if change.key == "fingerprint":
        old, new = cut(old, _FINGERPRINT), cut(new, _FINGERPRINT)
    return f"{change.name} {old} → {new}"
