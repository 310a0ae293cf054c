"""The rows of an issued license: customer, machine, document, license, outbox, journal."""

import os
from collections.abc import Mapping
from typing import Any

from polygent_issuer.findings import Consent
from polygent_issuer.issuing.proposal import NewCustomer, Proposal
from polygent_issuer.issuing.signing import Issued
from polygent_issuer.registry import (
    Customer,
    Document,
    Machine,
    Writing,
    customers,
    licenses,
    machines,
    outbox,
)
from polygent_issuer.terms import dates


def record_issue(
    db: Writing,
    signed: Issued,
    consent: Consent,
    *,
    particulars: Mapping[str, object] | None = None,
) -> None:
    """Write everything that one issue means into the open transaction.

    Args:
        particulars: what the journal tells of it besides; JSON.
    """
    proposal = signed.proposal
    customer = _customer(db, proposal)
    document = _document(db, proposal)
    machine = _machine(db, customer, proposal, document)
    issued = proposal.license
    licenses.add(
        db,
        license_id=issued.jti,
        customer_id=customer.id,
        machine_id=machine.id if machine else None,
        kid=proposal.key.kid,
        file=signed.file,
        tier=str(issued.tier),
        issued_at=issued.issued_at,
        expires_at=issued.expires_at,
        term=proposal.term,
        plan=proposal.plan,
        document_id=document.id if document else None,
    )
    for record in proposal.replaced:
        licenses.replace(db, record.id, issued.jti)
    place = "stdout" if signed.path is None else str(signed.path)
    folder, name = os.path.split(signed.path) if signed.path else (None, None)
    outbox.add(db, license_id=issued.jti, folder=folder, name=name)
    db.record(
        f"license-{proposal.action.done}",
        customer=customer.slug,
        license=issued.jti,
        kid=proposal.key.kid,
        accepted=consent.used(proposal.findings),
        reason=consent.reason,
        details={**_details(proposal), **(particulars or {}), "to": place},
    )


def _customer(db: Writing, proposal: Proposal) -> Customer:
    if isinstance(proposal.customer, NewCustomer):
        return customers.add(db, slug=proposal.customer.slug, name=proposal.customer.name)
    return proposal.customer


def _document(db: Writing, proposal: Proposal) -> Document | None:
    received = proposal.document
    if received is None:
        return None
    return machines.add_document(
        db,
        received.content,
        fingerprint=received.info.fingerprint,
        generated_at=received.info.generated_at,
    )


def _machine(
    db: Writing, customer: Customer, proposal: Proposal, document: Document | None
) -> Machine | None:
    choice = proposal.machine
    if choice is None:
        return None
    if choice.known is not None and not choice.changed:
        return choice.known
    info = proposal.document.info if proposal.document else None
    identity: dict[str, Any] = {
        "fingerprint": choice.fingerprint,
        "hostname": info.hostname if info else None,
        "components": dict(info.components) if info else {},
        "document_id": document.id if document else None,
    }
    if choice.known is not None:
        return machines.change_identity(db, choice.known, **identity)
    return machines.add(db, customer, label=choice.label, **identity)


def _details(proposal: Proposal) -> dict[str, Any]:
    issued = proposal.license
    details: dict[str, Any] = {
        "expires_at": dates.instant(issued.expires_at),
        "tier": str(issued.tier),
        "changes": {change.key: [change.old, change.new] for change in proposal.differences},
    }
    if proposal.replaced:
        ids = [old.id for old in proposal.replaced]
        details["replaces"] = ids[0] if len(ids) == 1 else ids
        details["expired_at"] = dates.instant(max(old.expires_at for old in proposal.replaced))
    if proposal.document is not None:
        details["machine_info"] = proposal.document.sha256
    return details
