"""`polygent-issue customer archive` and `merge`: archive a customer, or merge it into another."""

from collections.abc import Iterable
from typing import Any

from polygent_issuer.cli import candidates, prompts
from polygent_issuer.cli.context import Invocation
from polygent_issuer.cli.options.common import (
    ConsentOptions,
    CustomerName,
    Yes,
    argument,
    flag,
)
from polygent_issuer.cli.output import records
from polygent_issuer.cli.output.blocks import Block, Fields, Line
from polygent_issuer.cli.output.result import Report, hint_json
from polygent_issuer.issuing import customer_changes, customer_status
from polygent_issuer.issuing.customer_changes import DuplicateMachineLicense, MergePlan
from polygent_issuer.registry import Customer
from polygent_issuer.terms import dates
from polygent_issuer.text import Hint, run


def archive(
    invocation: Invocation,
    customer: CustomerName,
    *,
    undo: bool = flag("--undo", "Unarchive the customer."),
    consents: ConsentOptions,
    yes: Yes = False,
) -> Report:
    """Archive or unarchive a customer.

    An archived customer cannot be issued licenses, and is left out of customer list and expiring.
    All records stay in the registry. Installed licenses stay valid until they expire.
    """
    typed, now = consents.parse(), invocation.now
    slug = invocation.customer(customer).slug
    decided = invocation.decide(
        lambda db: customer_status.plan_archive(db, slug, undo=undo, now=now)
    )
    plan = decided.decision
    if not plan.needed:
        return _archive_report(plan, changed=False)
    agreed = prompts.obtain_consent(invocation, decided.behind, typed)
    reason = agreed.reason
    if not undo:
        reason = prompts.required_reason(invocation, reason, "archive a customer")
        question = f"archive {plan.customer.name} ({slug})?"
        prompts.confirm_or_cancel(
            invocation, question, yes=yes, preview=_archive_consequences(plan)
        )
    done = customer_status.archive(decided, reason=reason, consent=agreed)
    return _archive_report(done, changed=True)


def _archive_report(plan: customer_status.ArchivePlan, *, changed: bool) -> Report:
    running = [
        {
            "id": record.id,
            "machine": record.machine_label,
            "works_until": dates.instant(record.expires_at),
        }
        for record in plan.running
    ]
    members = {
        "customer": records.customer_json(plan.customer),
        "changed": changed,
        "running": running,
    }
    return Report(members, _archive_text(plan, changed=changed))


def _archive_text(plan: customer_status.ArchivePlan, *, changed: bool) -> Iterable[Block]:
    customer, undo = plan.customer, plan.undo
    name = f"{customer.name} ({customer.slug})"
    if not changed:
        state = "is not archived" if undo else "is already archived"
        yield Line(f"{name} {state}; nothing was changed", "dim")
        return
    yield Line(f"{'unarchived' if undo else 'archived'} {name}", "good")
    if not undo:
        yield from _archive_consequences(plan)
        undo_it = run("customer", "archive", customer.slug, "--undo")
        yield Line(Hint("to undo: ", undo_it), "dim")


def _archive_consequences(plan: customer_status.ArchivePlan) -> Iterable[Block]:
    yield Line("no licenses can be issued to it; customer list and expiring leave it out")
    zone = records.zone_of(plan.customer)
    for record in plan.running:
        until = dates.describe_expiry(record.expires_at, zone)
        name = f"license {record.id[:8]} for {record.machine_label or 'any machine'}"
        yield Line(f"{name}: the installed file stays valid until {until}", "warn", 1)


def merge(
    invocation: Invocation,
    gone: str = argument("FROM", "Select the customer to merge.", candidates.customers),
    kept: str = argument("INTO", "Select the customer to merge it into.", candidates.customers),
    *,
    consents: ConsentOptions,
    yes: Yes = False,
) -> Report:
    """Merge a customer into another.

    Machines, licenses and history of FROM move to INTO. This cannot be undone. The slug of FROM
    becomes an alias, so commands and the journal still find it. INTO gets the contacts of both,
    and keeps its own time zone, CRM reference and notes if it has them. A hold of either stays.
    """
    typed, now = consents.parse(), invocation.now
    slugs = [invocation.customer(text).slug for text in (gone, kept)]
    decided = invocation.decide(lambda db: customer_changes.plan_merge(db, *slugs, now=now))
    agreed = prompts.obtain_consent(invocation, decided.behind, typed)
    reason = prompts.required_reason(invocation, agreed.reason, "merge customers")
    plan = decided.decision
    question = f"permanently merge {plan.merger.gone.slug} into {plan.merger.kept.slug}?"
    prompts.confirm_or_cancel(invocation, question, yes=yes, preview=_consequences(plan))
    merged = customer_changes.merge(decided, reason=reason, consent=agreed)
    return _report(plan, merged)


def _report(plan: MergePlan, customer: Customer) -> Report:
    merger = plan.merger
    moved = [(machine.label, label, "moved") for machine, label in merger.moved]
    same = [(old.label, kept.label, "same") for old, kept in merger.same]
    members = {
        "customer": records.customer_json(customer),
        "from": records.customer_json(merger.gone),
        "licenses": plan.licenses,
        "machines": [{"was": was, "label": now, "what": what} for was, now, what in moved + same],
        "still_named": [records.outdated_json(each) for each in plan.still_named],
        "rivals": [_rival_json(each) for each in plan.rivals],
    }
    done = Line(f"merged {merger.gone.slug} into {customer.slug}", "good")
    fields = Fields(tuple(records.customer_rows(customer)))
    return Report(members, [done, fields, *_consequences(plan)])


def _consequences(plan: MergePlan) -> Iterable[Block]:
    merger = plan.merger
    gone, kept = merger.gone, merger.kept
    yield Line(
        f"{gone.name} ({gone.slug}) → {kept.name} ({kept.slug}); {gone.slug} becomes an alias"
    )
    yield Line(f"licenses moved: {plan.licenses}", indent=1)
    for machine, label in merger.moved:
        now = "" if machine.label == label else f" → {label}, since the label was in use"
        yield Line(f"machine {machine.label}{now}", indent=1)
    for old, same in merger.same:
        yield Line(
            f"machine {old.label} has the same fingerprint as {same.label} of {kept.slug}, "
            "so both become one machine",
            indent=1,
        )
    for name, theirs, ours, merged in (
        ("time zone", gone.time_zone, kept.time_zone, merger.time_zone),
        ("CRM reference", gone.crm, kept.crm, merger.crm),
        ("notes", gone.notes, kept.notes, merger.notes),
    ):
        if theirs is None or theirs == ours:
            continue
        if ours is None:
            yield Line(f"{name}: {merged}, from {gone.slug}", indent=1)
        else:
            yield Line(f"{name}: {ours} is kept; {gone.slug} had {theirs}", "warn", 1)
    if merger.hold is not None:
        yield Line(f"on hold: {merger.hold.reason}", "warn", 1)
    if gone.archived_at is not None:
        yield Line(f"{gone.slug} was archived; its licenses become renewable again", "warn", 1)
    for rival in plan.rivals:
        until = dates.describe_expiry(rival.record.expires_at)
        yield Line(
            f"{rival.machine} has two current licenses; {rival.keep.id[:8]} expires later than "
            f"{rival.record.id[:8]}, which expires {until}; to retire the latter:",
            "warn",
        )
        yield Line(_retire_command(rival), indent=1)
    yield from records.outdated_lines(plan.still_named, f"the name or slug of {gone.slug}")


def _retire_command(rival: DuplicateMachineLicense) -> Hint:
    reason = f"same machine as {rival.keep.id[:8]}"
    return run("license", "retire", rival.record.id[:8], "--reason", reason)


def _rival_json(rival: DuplicateMachineLicense) -> dict[str, Any]:
    return {
        "id": rival.record.id,
        "machine": rival.machine,
        "expires_at": dates.instant(rival.record.expires_at),
        "longer": rival.keep.id,
        **hint_json(_retire_command(rival), "mend"),
    }
