"""`polygent-issue customer add`, `edit` and `hold`: change one customer."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from polygent_issuer.cli import candidates, prompts
from polygent_issuer.cli.context import Invocation
from polygent_issuer.cli.options.common import (
    ConsentOptions,
    CustomerName,
    OptionGroup,
    argument,
    flag,
    option,
)
from polygent_issuer.cli.output import records
from polygent_issuer.cli.output.blocks import Block, Fields, Line
from polygent_issuer.cli.output.result import Report
from polygent_issuer.errors import UsageProblem
from polygent_issuer.findings import FindingCode
from polygent_issuer.issuing import customer_changes, customer_status
from polygent_issuer.issuing.customer_changes import CustomerUpdate
from polygent_issuer.issuing.customer_status import HoldPlan
from polygent_issuer.registry import Customer, change, customers
from polygent_issuer.registry.holds import hold_end
from polygent_issuer.terms import dates
from polygent_issuer.terms.parsing import parse_day
from polygent_issuer.text import Hint, one_line, run


def add(
    invocation: Invocation,
    name: str = argument("NAME", "Set the name written into licenses."),
    *,
    slug: str | None = option("--slug", "SLUG", "Set the slug (default: derived from the name)."),
    contact: list[str] | None = option(
        "--contact", "EMAIL", "Add a contact: an email address or a name (repeatable)."
    ),
    time_zone: str | None = option(
        "--time-zone", "ZONE", "Set the time zone, such as Europe/Berlin."
    ),
    crm: str | None = option("--crm", "TEXT", "Set the reference in your CRM."),
    notes: str | None = option("--notes", "TEXT", "Set the notes about the customer."),
    consents: ConsentOptions,
) -> Report:
    """Add a customer.

    sign also adds a new customer, but without contacts, time zone, CRM reference and notes. The
    slug is in every license and never changes; the name may change. A name that is similar to a
    known one needs consent (similar-customer).
    """
    typed, name = consents.parse(), customer_changes.normalize_name(name)
    zone = None if time_zone is None else str(dates.parse_zone(time_zone))
    decided = invocation.decide(
        lambda db: (
            slug or customers.free_slug(db, name),
            customer_changes.similar_name_finding(db, name),
        )
    )
    new_slug, similar = decided.decision
    findings = (*((similar,) if similar else ()), *decided.behind)
    agreed = prompts.obtain_consent(invocation, findings, typed)
    accepted = agreed.used(findings)
    columns = {
        "contacts": contact or (),
        "time_zone": zone,
        "crm": crm,
        "notes": None if notes is None else one_line(notes),
    }
    added = change.carry_out(
        decided,
        lambda db: customer_changes.record_new(
            db, slug=new_slug, name=name, columns=columns, accepted=accepted, reason=agreed.reason
        ),
        undone="nothing was added",
    )
    members = {
        "customer": records.customer_json(added),
        "accepted": [str(code) for code in accepted],
    }
    done = Line(f"added {added.slug}", "good")
    next_command = Line(Hint("next: ", run("sign", "--customer", added.slug)), "dim")
    return Report(members, [done, Fields(tuple(records.customer_rows(added))), next_command])


@dataclass(frozen=True, kw_only=True, slots=True)
class ChangeOptions(OptionGroup):
    """The details of a customer that may change."""

    name: str | None = option("--name", "NAME", "Set the name for licenses from now on.")
    contact: list[str] | None = option(
        "--contact", "EMAIL", "Replace all contacts: address or name (repeatable)."
    )
    no_contacts: bool = flag("--no-contacts", "Remove all contacts.")
    time_zone: str | None = option(
        "--time-zone", "ZONE", "Set the time zone, such as Europe/Berlin."
    )
    no_time_zone: bool = flag("--no-time-zone", "Remove the time zone.")
    crm: str | None = option("--crm", "TEXT", "Set the reference in your CRM.")
    no_crm: bool = flag("--no-crm", "Remove the CRM reference.")
    notes: str | None = option("--notes", "TEXT", "Set the notes about the customer.")
    no_notes: bool = flag("--no-notes", "Remove the notes.")
    machine: str | None = option(
        "--machine", "LABEL", "Select the machine to rename.", candidates.machines
    )
    label: str | None = option("--label", "LABEL", "Set the new label of the machine.")

    def check(self) -> None:
        """Check that there are changes, and that options do not contradict each other.

        Raises:
            UsageProblem: (`usage`) naming the options.
        """
        if self == ChangeOptions():
            raise UsageProblem(
                "no changes given",
                hint="give --name, --contact, --time-zone, --crm, --notes, or --machine with "
                "--label",
            )
        for one, other, both in (
            ("--contact", "--no-contacts", self.contact and self.no_contacts),
            ("--time-zone", "--no-time-zone", self.time_zone and self.no_time_zone),
            ("--crm", "--no-crm", self.crm and self.no_crm),
            ("--notes", "--no-notes", self.notes and self.no_notes),
        ):
            if both:
                exclusive = f"{one} and {other} are mutually exclusive"
                raise UsageProblem(exclusive, hint="give one of them")
        if (self.machine is None) != (self.label is None):
            raise UsageProblem(
                "renaming a machine needs both --machine and --label",
                hint="--machine OLD --label NEW",
            )

    def columns(self) -> dict[str, Any]:
        """Return the new values by the field names of the record.

        Raises:
            InputRefused: (`input_refused`) FORMAT §1 forbids the name.
            InvalidTerms: (`invalid_terms`) the time zone does not exist.
        """
        columns: dict[str, Any] = {}
        if self.name is not None:
            columns["name"] = customer_changes.normalize_name(self.name)
        if self.contact or self.no_contacts:
            columns["contacts"] = tuple(self.contact or ())
        if self.time_zone is not None or self.no_time_zone:
            zone = self.time_zone
            columns["time_zone"] = None if zone is None else str(dates.parse_zone(zone))
        if self.crm is not None or self.no_crm:
            columns["crm"] = self.crm
        if self.notes is not None or self.no_notes:
            columns["notes"] = None if self.notes is None else one_line(self.notes)
        return columns


def edit(
    invocation: Invocation,
    customer: CustomerName,
    *,
    options: ChangeOptions,
    consents: ConsentOptions,
) -> Report:
    """Change a customer's name, contacts or other details.

    The slug cannot change. A new name applies to licenses issued from now on; current licenses
    with the old name are listed. To rename a machine, give --machine OLD --label NEW.
    """
    typed = consents.parse()
    options.check()
    slug = invocation.customer(customer).slug
    decided = invocation.decide(
        lambda db: customer_changes.plan_update(
            db,
            slug,
            options.columns(),
            machine=options.machine,
            label=options.label,
            now=invocation.now,
        )
    )
    plan = decided.decision
    if not plan.changes:
        return _report(plan.customer, plan, ())
    findings = (*plan.findings, *decided.behind)
    agreed = prompts.obtain_consent(invocation, findings, typed)
    edited = customer_changes.update(decided, findings, agreed)
    return _report(edited, plan, agreed.used(findings))


def _report(
    customer: Customer, update: CustomerUpdate, accepted: tuple[FindingCode, ...]
) -> Report:
    changes = update.changes
    members = {
        "customer": records.customer_json(customer),
        "changes": [{"name": name, "old": old, "new": new} for name, (old, new) in changes.items()],
        "still_named": [records.outdated_json(each) for each in update.still_named],
        "accepted": [str(code) for code in accepted],
    }
    if not changes:
        unchanged = f"{customer.slug} is already up to date; nothing was changed"
        return Report(members, [Line(unchanged, "dim")])
    rows = tuple(
        (name.replace("_", " "), f"{old or 'none'} → {new or 'none'}")
        for name, (old, new) in changes.items()
    )
    renamed = records.outdated_lines(update.still_named, "the old name")
    return Report(members, [Line(f"changed {customer.slug}", "good"), Fields(rows), *renamed])


def hold(
    invocation: Invocation,
    customer: CustomerName,
    *,
    until: str | None = option(
        "--until", "DATE", "Set the last day, in the customer's time zone or UTC."
    ),
    release: bool = flag("--release", "Release the customer."),
    consents: ConsentOptions,
) -> Report:
    """Put a customer on hold or release it.

    Batches skip the licenses of a customer on hold and print the reason. sign, renew and reissue
    of that customer alone report the finding on-hold. Installed licenses stay valid. The hold ends
    with the day of --until, or with --release. The same command again changes reason and end.
    """
    typed, now = consents.parse(), invocation.now
    if release and until is not None:
        raise UsageProblem("--until and --release are mutually exclusive", hint="give one of them")
    last_day = None if until is None else parse_day(until)
    slug = invocation.customer(customer).slug
    reason = typed.reason
    if not release:
        reason = prompts.required_reason(invocation, reason, "put a customer on hold")
    decided = invocation.decide(
        lambda db: (
            customer_status.plan_release(db, slug, now=now)
            if release
            else customer_status.plan_hold(
                db, slug, reason=reason or "", last_day=last_day, now=now
            )
        )
    )
    plan = decided.decision
    if not plan.needed:
        return _hold_report(plan, plan.customer, changed=False)
    agreed = prompts.obtain_consent(invocation, decided.behind, typed)
    done = customer_status.change_hold(decided, reason=reason or agreed.reason, consent=agreed)
    return _hold_report(plan, done, changed=True)


def _hold_report(plan: HoldPlan, customer: Customer, *, changed: bool) -> Report:
    members = {
        "customer": records.customer_json(customer),
        "changed": changed,
        "on_hold": plan.hold is not None,
        "before": customer_status.hold_members(plan.before),
    }
    return Report(members, _hold_text(plan, customer, changed=changed))


def _hold_text(plan: HoldPlan, customer: Customer, *, changed: bool) -> Iterable[Block]:
    name, end = f"{customer.name} ({customer.slug})", hold_end(customer)
    until = f"until {end}" if end else "until it is released"
    if not changed:
        state = "is not on hold" if plan.hold is None else f"is already on hold {until}"
        yield Line(f"{name} {state}; nothing was changed", "dim")
    elif plan.hold is None:
        yield Line(f"released {name}", "good")
    else:
        yield Line(f"{name} is on hold {until}: {plan.hold.reason}", "good")
        yield Line("batches skip its licenses; installed licenses stay valid")
        release = run("customer", "hold", customer.slug, "--release")
        yield Line(Hint("to release it: ", release), "dim")
