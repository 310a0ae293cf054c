"""A customer who is none any more: issued nothing, left out of lists, never forgotten."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from polygent_issuer import dates
from polygent_issuer.errors import RegistryChanged
from polygent_issuer.findings import Consent, Finding, require
from polygent_issuer.registry import (
    Actor,
    Customer,
    LicenseRecord,
    Reading,
    Registry,
    customers,
    licenses,
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Archival:
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


def decide(db: Reading, slug: str, *, undo: bool, now: datetime) -> Archival:
    """What would follow; nothing is written.

    Raises:
        NotFound: (`not_found`) when there is no such customer.
    """
    customer = customers.get(db, slug)
    running = (each for each in licenses.current(db, customer) if each.expires_at > now)
    return Archival(
        customer=customer,
        undo=undo,
        needed=(customer.archived_at is None) is not undo,
        running=tuple(running),
    )


def carry_out(
    registry: Registry,
    decided: Archival,
    *,
    reason: str | None,
    findings: Iterable[Finding] = (),
    consent: Consent,
    now: datetime,
    actor: Actor,
) -> Archival:
    """Do what was shown, and journal who decided it and why.

    Raises:
        ConsentNeeded: (`consent_needed`) when a finding was not accepted.
        RegistryChanged: (`registry_changed`) when it is no longer what was shown.
    """
    findings = tuple(findings)
    require(findings, consent)
    slug = decided.customer.slug
    with registry.writing(now=now, actor=actor) as db:
        if decide(db, slug, undo=decided.undo, now=now) != decided:
            raise RegistryChanged.since_shown("nothing was changed")
        write = customers.unarchive if decided.undo else customers.archive
        write(db, decided.customer)
        db.record(
            "customer-unarchived" if decided.undo else "customer-archived",
            customer=slug,
            accepted=consent.used(findings),
            reason=reason,
            details={
                "running": {each.id: dates.instant(each.expires_at) for each in decided.running}
            },
        )
        return decide(db, slug, undo=decided.undo, now=now)
