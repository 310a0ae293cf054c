"""Archive a customer, or put one on hold."""

from dataclasses import dataclass
from datetime import date, datetime

from polygent_issuer.errors import InvalidTerms
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
from polygent_issuer.registry.holds import Hold, hold_of, set_hold
from polygent_issuer.terms import dates
from polygent_issuer.text import Hint, option


@dataclass(frozen=True, kw_only=True, slots=True)
class ArchivePlan:
    """The effect of archiving or unarchiving a customer; plans of the same facts are equal.

    `needed` is False if the customer is in that state already. `running` are the current licenses
    that have not expired, by expiry.
    """

    customer: Customer
    undo: bool
    needed: bool
    running: tuple[LicenseRecord, ...]


def plan_archive(db: Reading, slug: str, *, undo: bool, now: datetime) -> ArchivePlan:
    """Plan to archive or unarchive a customer; nothing is written."""
    customer = customers.get(db, slug)
    running = tuple(each for each in licenses.current(db, customer) if each.expires_at > now)
    needed = (customer.archived_at is None) is not undo
    return ArchivePlan(customer=customer, undo=undo, needed=needed, running=running)


def archive(decided: Decided[ArchivePlan], *, reason: str | None, consent: Consent) -> ArchivePlan:
    """Carry out the plan, and record the actor and the reason in the journal.

    Raises:
        ConsentNeeded: (`consent_needed`) a finding was not accepted.
        RegistryChanged: (`registry_changed`) the plan would be different now.
    """
    require(decided.behind, consent)
    plan = decided.decision

    def write(db: Writing) -> ArchivePlan:
        customers.archive(db, plan.customer, undo=plan.undo)
        db.record(
            "customer-unarchived" if plan.undo else "customer-archived",
            customer=plan.customer.slug,
            accepted=consent.used(decided.behind),
            reason=reason,
            details={"running": {each.id: dates.instant(each.expires_at) for each in plan.running}},
        )
        return decided.decide(db)

    return change.carry_out(decided, write)


@dataclass(frozen=True, kw_only=True, slots=True)
class HoldPlan:
    """A hold, or a release without `hold`; plans of the same facts are equal.

    `before` is the present hold.
    """

    customer: Customer
    before: Hold | None
    hold: Hold | None

    @property
    def needed(self) -> bool:
        """False if the customer is in that state already."""
        return self.hold != self.before


def plan_hold(
    db: Reading, slug: str, *, reason: str, last_day: date | None, now: datetime
) -> HoldPlan:
    """Plan to put a customer on hold, or to change the hold; nothing is written.

    A changed hold keeps its beginning.

    Args:
        last_day: the last day of the hold in the customer's time zone, else in UTC. None: the hold
            has no end.

    Raises:
        InvalidTerms: (`invalid_terms`) that day is over.
    """
    customer = customers.get(db, slug)
    before = hold_of(customer, now)
    zone = dates.known_zone(customer.time_zone)
    until = None if last_day is None else dates.end_of_day(last_day, zone)
    if until is not None and until <= now:
        raise InvalidTerms(
            f"the hold would already be over: {last_day} is in the past",
            hint=Hint("give a later day with ", option("--until", "DATE")),
        )
    hold = Hold(since=before.since if before else now, until=until, reason=reason)
    return HoldPlan(customer=customer, before=before, hold=hold)


def plan_release(db: Reading, slug: str, *, now: datetime) -> HoldPlan:
    """Plan to release a customer; nothing is written."""
    customer = customers.get(db, slug)
    return HoldPlan(customer=customer, before=hold_of(customer, now), hold=None)


def change_hold(decided: Decided[HoldPlan], *, reason: str | None, consent: Consent) -> Customer:
    """Carry out the plan, record old and new in the journal, and return the customer.

    Raises:
        ConsentNeeded: (`consent_needed`) a finding was not accepted.
        RegistryChanged: (`registry_changed`) the plan would be different now.
    """
    require(decided.behind, consent)
    plan = decided.decision

    def write(db: Writing) -> Customer:
        customer = set_hold(db, plan.customer, plan.hold)
        db.record(
            "customer-released" if plan.hold is None else "customer-held",
            customer=customer.slug,
            accepted=consent.used(decided.behind),
            reason=reason,
            details={"hold": [hold_members(plan.before), hold_members(plan.hold)]},
        )
        return customer

    return change.carry_out(decided, write)


def hold_members(hold: Hold | None) -> dict[str, str | None] | None:
    """Return a hold for the journal and for programs."""
    if hold is None:
        return None
    until = dates.optional_instant(hold.until)
    return {"since": dates.instant(hold.since), "until": until, "reason": hold.reason}
