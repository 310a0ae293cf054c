"""`polygent-issue customer archive`: a customer who is none any more."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from polygent_issuer.cli import consent
from polygent_issuer.cli.commands.customer.show import CustomerName
from polygent_issuer.cli.context import Invocation
from polygent_issuer.cli.options.common import flag
from polygent_issuer.cli.output.customer import customer_json, zone_of
from polygent_issuer.cli.output.model import Block, Line
from polygent_issuer.cli.output.result import Result
from polygent_issuer.issuing import customer_changes
from polygent_issuer.issuing.customer_changes import ArchivePlan
from polygent_issuer.terms import dates


@dataclass(frozen=True, kw_only=True, slots=True)
class ArchivedCustomer(Result):
    """A customer who is archived, or not any more; `changed` if this command did it."""

    plan: ArchivePlan
    changed: bool

    def to_json(self) -> Mapping[str, Any]:
        """`customer`, `changed`, and the licenses that are `running` all the same."""
        return {
            "customer": customer_json(self.plan.customer),
            "changed": self.changed,
            "running": [
                {
                    "id": record.id,
                    "machine": record.machine_label,
                    "works_until": dates.instant(record.expires_at),
                }
                for record in self.plan.running
            ],
        }

    def blocks(self) -> Iterable[Block]:
        """What it is now, and what the operator should know."""
        customer, undo = self.plan.customer, self.plan.undo
        state = f"{customer.name} ({customer.slug}) is {'not ' if undo else ''}archived"
        if not self.changed:
            yield Line(state if undo else f"{state} already", "dim")
            return
        yield Line(f"{state} any more" if undo else state, "good")
        if not undo:
            yield from _consequences(self.plan)
            yield Line(f"to undo: polygent-issue customer archive {customer.slug} --undo", "dim")


def archive(
    invocation: Invocation,
    customer: CustomerName,
    *,
    undo: Annotated[bool, flag("--undo", "Take it back.")] = False,
    consents: consent.ConsentOptions,
    yes: consent.Yes = False,
) -> ArchivedCustomer:
    """Archive a customer: issued nothing more, and left out of customer list and expiring.

    Nothing is forgotten, and what runs keeps running where it is installed.
    """
    typed, now = consent.given(consents), invocation.now
    slug = invocation.customer(customer).slug
    decided = invocation.decide(
        lambda db: customer_changes.plan_archive(db, slug, undo=undo, now=now)
    )
    plan = decided.decision
    if not plan.needed:
        return ArchivedCustomer(plan=plan, changed=False)
    agreed = consent.obtain(invocation, decided.behind, typed)
    reason = agreed.reason
    if not undo:
        reason = consent.required_reason(invocation, reason, "a customer is archived")
        question = f"archive {plan.customer.name} ({slug})?"
        consent.confirm_or_cancel(invocation, question, yes=yes, preview=_consequences(plan))
    done = customer_changes.archive(decided, reason=reason, consent=agreed)
    return ArchivedCustomer(plan=done, changed=True)


def _consequences(plan: ArchivePlan) -> Iterable[Block]:
    yield Line("sign, renew and reissue refuse it; customer list and expiring leave it out")
    zone = zone_of(plan.customer)
    for record in plan.running:
        until = dates.describe_expiry(record.expires_at, zone)
        name = f"license {record.id[:8]} for {record.machine_label or 'any machine'}"
        yield Line(f"{name} keeps working until {until}, where it is installed", "warn", 1)
