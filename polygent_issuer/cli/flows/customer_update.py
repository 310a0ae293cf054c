"""A change of a customer: its options, its new name, its consequences, and writing it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any

from polygent_issuer.cli.completion import candidates
from polygent_issuer.cli.options.common import OptionGroup, option
from polygent_issuer.errors import InputRefused, InvalidTerms, UsageProblem
from polygent_issuer.findings import Finding, FindingCode
from polygent_issuer.hints import Hint, run
from polygent_issuer.issuing.customer_changes import OutdatedLicense, outdated_licenses
from polygent_issuer.registry import Customer, Reading, Writing, customers, licenses, machines
from polygent_issuer.terms import dates
from polygent_issuer.terms.parsing import parse_name
from polygent_issuer.text import list_first


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
            columns["name"] = proper(self.name)
        if self.contact or self.no_contacts:
            columns["contacts"] = tuple(self.contact or ())
        if self.time_zone is not None or self.no_time_zone:
            zone = self.time_zone
            columns["time_zone"] = None if zone is None else str(dates.parse_zone(zone))
        if self.crm is not None or self.no_crm:
            columns["crm"] = self.crm
        return columns


def proper(text: str) -> str:
    """Return a name as the registry gets it, in NFC.

    Raises:
        InputRefused: (`input_refused`) when it is no display name (FORMAT §1).
    """
    try:
        return parse_name(text)
    except InvalidTerms as refused:
        message = f"this cannot be a customer's name: {refused.message}"
        raise InputRefused(message, hint=refused.hint) from None


def similar(db: Reading, name: str, *, besides: Customer | None = None) -> tuple[Finding, ...]:
    """Return `similar-customer`, if the name is like a known one: case, form, spacing, one letter.

    Args:
        besides: the customer who is to have the name.
    """
    alike = customers.similar(db, name, besides=besides)
    if not alike:
        return ()
    names = list_first([f"{other.name} ({other.slug})" for other in alike])
    return (
        Finding(
            code=FindingCode.SIMILAR_CUSTOMER,
            message=f"the name {name} is very like {names}",
            hint=Hint("look whether it is the same: ", run("customer", "show", alike[0].slug)),
        ),
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class Change:
    """What changes; two are equal when they rest on the same facts.

    Attributes:
        columns: the new values by the names of the record's fields.
        relabelled: a machine's old label and its new one.
        still_named: the licenses in force that would carry an old name.
    """

    customer: Customer
    columns: Mapping[str, Any]
    relabelled: tuple[str, str] | None
    findings: tuple[Finding, ...]
    still_named: tuple[OutdatedLicense, ...]

    @property
    def changes(self) -> dict[str, tuple[str | None, str | None]]:
        """Old and new by name; empty when everything is so already."""
        changes = {
            name: (_text(getattr(self.customer, name)), _text(new))
            for name, new in self.columns.items()
        }
        return changes if self.relabelled is None else {**changes, "machine": self.relabelled}


def decide(db: Reading, slug: str, wanted: ChangeOptions, *, now: datetime) -> Change:
    """Decide what `wanted` changes; nothing is written.

    Raises:
        InputRefused, InvalidTerms: as `ChangeOptions.columns`.
        NotFound: (`not_found`) when there is no such machine.
        HomeProblem: (`registry_damaged`) when a stored license does not verify.
    """
    customer = customers.get(db, slug)
    columns = {key: new for key, new in wanted.columns().items() if new != getattr(customer, key)}
    name = columns.get("name")
    findings: tuple[Finding, ...] = ()
    still_named: tuple[OutdatedLicense, ...] = ()
    if name is not None:
        findings = similar(db, name, besides=customer)
        current = licenses.current(db, customer)
        still_named = outdated_licenses(db, current, slug=slug, name=name, now=now)
    return Change(
        customer=customer,
        columns=columns,
        relabelled=_relabelled(db, customer, wanted),
        findings=findings,
        still_named=still_named,
    )


def write(db: Writing, change: Change) -> Customer:
    """Write what was decided, and leave the journal row to the caller."""
    if change.relabelled is not None:
        old, new = change.relabelled
        machines.rename(db, machines.by_label(db, change.customer, old), new)
    return customers.edit(db, change.customer, **change.columns)


def _relabelled(db: Reading, customer: Customer, wanted: ChangeOptions) -> tuple[str, str] | None:
    if wanted.machine is None or wanted.label is None:
        return None
    machine = machines.by_label(db, customer, wanted.machine)
    return None if machine.label == wanted.label else (machine.label, wanted.label)


def _text(value: object) -> str | None:
    if isinstance(value, tuple):
        return ", ".join(value) or None
    return None if value is None else str(value)
