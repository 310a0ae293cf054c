"""A license as names and values: for people, and as JSON."""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from polygent_issuer.cli.output.hint_json import finding_json
from polygent_issuer.findings import Consent
from polygent_issuer.home.settings import Settings
from polygent_issuer.issuing.proposal import NewCustomer, Proposal
from polygent_issuer.issuing.signing import Issued
from polygent_issuer.terms import dates
from polygent_issuer.verifier import License

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo


def claim_rows(held: License, zone: "ZoneInfo | None" = None) -> Iterable[tuple[str, str | None]]:
    """Every claim of a license; its expiry also in the customer's time zone.

    Args:
        zone: the customer's, when one is known.
    """
    yield "license", held.jti
    yield "customer", f"{held.customer} ({held.sub})"
    yield "issuer", held.iss
    yield "tier", str(held.tier)
    yield "fingerprint", held.machine_fingerprint
    yield "allowed domain", str(held.allowed_domain) if held.allowed_domain else None
    yield "features", ", ".join(held.features) or "none"
    yield "users", str(held.limits.users)
    yield "session hosts", str(held.limits.session_hosts)
    yield "deploy hosts", str(held.limits.deploy_hosts)
    yield "issued", dates.instant(held.issued_at)
    yield "expires", dates.describe_expiry(held.expires_at, zone)
    yield "replaces", ", ".join(held.replaces) or None


def issued_json(
    issued: Issued, settings: Settings, *, drafts: Iterable[Path], agreed: Consent
) -> dict[str, Any]:
    """A license that is issued: its proposal, where it is, and which findings were accepted.

    Args:
        drafts: the mail drafts about it.
        agreed: what was accepted, whether it was needed or not.
    """
    return {
        **proposal_json(issued.proposal, settings),
        "file": None if issued.path is None else str(issued.path),
        "drafts": [str(path) for path in drafts],
        "accepted": list(agreed.used(issued.proposal.findings)),
    }


def proposal_json(proposal: Proposal, settings: Settings) -> dict[str, Any]:
    """What is in the license, what changes, and what is risky about it."""
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
        "notes": list(proposal.notes),
    }
