"""`polygent-issue customer archive`: archive or unarchive a customer."""

from collections.abc import Iterable
from typing import Annotated

from polygent_issuer.cli import consent
from polygent_issuer.cli.context import Invocation
from polygent_issuer.cli.options.common import CustomerName, flag
from polygent_issuer.cli.output.model import Block, Line
from polygent_issuer.cli.output.records import customer_json, zone_of
from polygent_issuer.cli.output.result import Report
from polygent_issuer.issuing import customer_changes
from polygent_issuer.issuing.customer_changes import ArchivePlan
from polygent_issuer.terms import dates


def archive(
    invocation: Invocation,
    customer: CustomerName,
    *,
    undo: Annotated[bool, flag("--undo", "Unarchive the customer.")] = False,
    consents: consent.ConsentOptions,
    yes: consent.Yes = False,
) -> Report:
    """Archive or unarchive a customer.

    An archived customer cannot be issued licenses, and is left out of customer list and expiring.
    All records stay in the registry. Installed licenses stay valid until they expire.
    """
    typed, now = consent.parse_consent(consents), invocation.now
    slug = invocation.customer(customer).slug
    decided = invocation.decide(
        lambda db: customer_changes.plan_archive(db, slug, undo=undo, now=now)
    )
    plan = decided.decision
    if not plan.needed:
        return _report(plan, changed=False)
    agreed = consent.obtain(invocation, decided.behind, typed)
    reason = agreed.reason
    if not undo:
        reason = consent.required_reason(invocation, reason, "archive a customer")
        question = f"archive {plan.customer.name} ({slug})?"
        consent.confirm_or_cancel(invocation, question, yes=yes, preview=_consequences(plan))
    done = customer_changes.archive(decided, reason=reason, consent=agreed)
    return _report(done, changed=True)


def _report(plan: ArchivePlan, *, changed: bool) -> Report:
    running = [
        {
            "id": record.id,
            "machine": record.machine_label,
            "works_until": dates.instant(record.expires_at),
        }
        for record in plan.running
    ]
    members = {"customer": customer_json(plan.customer), "changed": changed, "running": running}
    return Report(members, _text(plan, changed=changed))


def _text(plan: ArchivePlan, *, changed: bool) -> Iterable[Block]:
    customer, undo = plan.customer, plan.undo
    name = f"{customer.name} ({customer.slug})"
    if not changed:
        state = "is not archived" if undo else "is already archived"
        yield Line(f"{name} {state}; nothing was changed", "dim")
        return
    yield Line(f"{'unarchived' if undo else 'archived'} {name}", "good")
    if not undo:
        yield from _consequences(plan)
        yield Line(f"to undo: polygent-issue customer archive {customer.slug} --undo", "dim")


def _consequences(plan: ArchivePlan) -> Iterable[Block]:
    yield Line("no licenses can be issued to it; customer list and expiring leave it out")
    zone = zone_of(plan.customer)
    for record in plan.running:
        until = dates.describe_expiry(record.expires_at, zone)
        name = f"license {record.id[:8]} for {record.machine_label or 'any machine'}"
        yield Line(f"{name}: the installed file stays valid until {until}", "warn", 1)
