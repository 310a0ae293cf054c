"""A customer who is none any more: issued nothing, left out of lists, never forgotten."""

from dataclasses import dataclass
from datetime import datetime

from polygent_issuer.findings import Consent, require
from polygent_issuer.registry import (
    Customer,
    LicenseRecord,
    Reading,
    Writing,
    change,
    customers,
    licenses,
)
from polygent_issuer.registry.change import Decided
from polygent_issuer.terms import dates


@dataclass(frozen=True, kw_only=True, slots=True)
class ArchivePlan:
    """What archiving means; two are equal when they rest on the same facts.

    Attributes:
        undo: whether it is to be taken back.
        needed: whether anything is to be written; else it is so already.
        running: the current licenses in force, the first to end first.
    """

    customer: Customer
    undo: bool
    needed: bool
    running: tuple[LicenseRecord, ...]


def decide(db: Reading, slug: str, *, undo: bool, now: datetime) -> ArchivePlan:
    """What would follow; nothing is written.

    Raises:
        NotFound: (`not_found`) when there is no such customer.
    """
    customer = customers.get(db, slug)
    running = (each for each in licenses.current(db, customer) if each.expires_at > now)
    return ArchivePlan(
        customer=customer,
        undo=undo,
        needed=(customer.archived_at is None) is not undo,
        running=tuple(running),
    )


def carry_out(
    decided: Decided[ArchivePlan],
    *,
    reason: str | None,
    consent: Consent,
) -> ArchivePlan:
    """Do what was shown, and journal who decided it and why.

    Raises:
        ConsentNeeded: (`consent_needed`) when a finding was not accepted.
        RegistryChanged: (`registry_changed`) when it is no longer what was shown.
    """
    require(decided.behind, consent)
    archival = decided.decision

    def write(db: Writing) -> ArchivePlan:
        mark = customers.unarchive if archival.undo else customers.archive
        mark(db, archival.customer)
        db.record(
            "customer-unarchived" if archival.undo else "customer-archived",
            customer=archival.customer.slug,
            accepted=consent.used(decided.behind),
            reason=reason,
            details={
                "running": {each.id: dates.instant(each.expires_at) for each in archival.running}
            },
        )
        return decided.decide(db)

    return change.carry_out(decided, write)
