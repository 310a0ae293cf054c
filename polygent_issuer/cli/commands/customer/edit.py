"""`polygent-issue customer edit`: name, contacts, time zone, CRM reference, a machine's label."""

from dataclasses import dataclass
from typing import Annotated, Any

from polygent_issuer.cli import consent
from polygent_issuer.cli.completion import candidates
from polygent_issuer.cli.context import Invocation
from polygent_issuer.cli.options.common import CustomerName, OptionGroup, option
from polygent_issuer.cli.output.customer import customer_json, outdated_json, outdated_lines
from polygent_issuer.cli.output.model import Fields, Line
from polygent_issuer.cli.output.result import Report
from polygent_issuer.errors import UsageProblem
from polygent_issuer.findings import FindingCode
from polygent_issuer.issuing import customer_changes
from polygent_issuer.issuing.customer_changes import CustomerUpdate
from polygent_issuer.registry import Customer
from polygent_issuer.terms import dates


@dataclass(frozen=True, kw_only=True, slots=True)
class ChangeOptions(OptionGroup):
    """Everything about a customer that may change."""

    name: Annotated[str | None, option("--name", "NAME", "For licenses from now on.")] = None
    contact: Annotated[
        list[str] | None,
        option("--contact", "EMAIL", "An address or a name, instead of all so far; repeatable."),
    ] = None
    no_contacts: Annotated[bool, option("--no-contacts", None, "Forget them all.")] = False
    time_zone: Annotated[str | None, option("--time-zone", "ZONE", "Such as Europe/Berlin.")] = None
    no_time_zone: Annotated[bool, option("--no-time-zone", None, "Forget it.")] = False
    crm: Annotated[str | None, option("--crm", "TEXT", "The reference in your own books.")] = None
    no_crm: Annotated[bool, option("--no-crm", None, "Forget it.")] = False
    machine: Annotated[
        str | None, option("--machine", "LABEL", "Rename this machine.", candidates.machines)
    ] = None
    label: Annotated[str | None, option("--label", "LABEL", "Its new label.")] = None

    def check(self) -> None:
        """Refuse options that say nothing, or against each other.

        Raises:
            UsageProblem: (`usage`) naming them.
        """
        if self == ChangeOptions():
            raise UsageProblem(
                "nothing to change was named",
                hint="--name, --contact, --time-zone, --crm, or --machine with --label",
            )
        for one, other, both in (
            ("--contact", "--no-contacts", self.contact and self.no_contacts),
            ("--time-zone", "--no-time-zone", self.time_zone and self.no_time_zone),
            ("--crm", "--no-crm", self.crm and self.no_crm),
        ):
            if both:
                raise UsageProblem(f"{one} and {other} contradict each other", hint="one of them")
        if (self.machine is None) != (self.label is None):
            raise UsageProblem(
                "a machine is renamed with both its labels", hint="--machine OLD --label NEW"
            )

    def columns(self) -> dict[str, Any]:
        """Return the new values by the names of the record's fields.

        Raises:
            InputRefused: (`input_refused`) for a name that FORMAT §1 forbids.
            InvalidTerms: (`invalid_terms`) when there is no such time zone.
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
        return columns


def edit(
    invocation: Invocation,
    customer: CustomerName,
    *,
    wanted: ChangeOptions,
    consents: consent.ConsentOptions,
) -> Report:
    """Change a customer; the slug stays for ever.

    A new name goes into the licenses that are issued from now on: those that still carry the old
    one are listed. A machine is renamed with --machine OLD --label NEW.
    """
    typed = consent.given(consents)
    wanted.check()
    slug = invocation.customer(customer).slug
    decided = invocation.decide(
        lambda db: customer_changes.plan_update(
            db,
            slug,
            wanted.columns(),
            machine=wanted.machine,
            label=wanted.label,
            now=invocation.now,
        )
    )
    plan = decided.decision
    if not plan.changes:
        return _report(plan.customer, plan, ())
    findings = (*plan.findings, *decided.behind)
    agreed = consent.obtain(invocation, findings, typed)
    edited = customer_changes.update(decided, findings, agreed)
    return _report(edited, plan, agreed.used(findings))


def _report(
    customer: Customer, update: CustomerUpdate, accepted: tuple[FindingCode, ...]
) -> Report:
    changes = update.changes
    members = {
        "customer": customer_json(customer),
        "changes": [{"name": name, "old": old, "new": new} for name, (old, new) in changes.items()],
        "still_named": [outdated_json(each) for each in update.still_named],
        "accepted": [str(code) for code in accepted],
    }
    if not changes:
        return Report(members, [Line(f"{customer.slug} is so already; nothing was changed", "dim")])
    rows = tuple(
        (name.replace("_", " "), f"{old or 'none'} → {new or 'none'}")
        for name, (old, new) in changes.items()
    )
    renamed = outdated_lines(update.still_named, "the old name")
    return Report(members, [Line(f"changed {customer.slug}", "good"), Fields(rows), *renamed])
