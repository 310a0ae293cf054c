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


def require_sense(wanted: ChangeOptions) -> None:
    """Refuse options that say nothing, or against each other.

    Raises:
        UsageProblem: (`usage`) naming them.
    """
    if wanted == ChangeOptions():
        raise UsageProblem(
            "nothing to change was named",
            hint="--name, --contact, --time-zone, --crm, or --machine with --label",
        )
    for one, other, said in (
        ("--contact", "--no-contacts", wanted.contact and wanted.no_contacts),
        ("--time-zone", "--no-time-zone", wanted.time_zone and wanted.no_time_zone),
        ("--crm", "--no-crm", wanted.crm and wanted.no_crm),
    ):
        if said:
            raise UsageProblem(f"{one} and {other} contradict each other", hint="one of them")
    if (wanted.machine is None) != (wanted.label is None):
        raise UsageProblem(
            "a machine is renamed with both its labels", hint="--machine OLD --label NEW"
        )


def proper(text: str) -> str:
    """A name as it will be kept, in NFC.

    Raises:
        InputRefused: (`input_refused`) when it is no display name (FORMAT §1).
    """
    try:
        return parse_name(text)
    except InvalidTerms as refused:
        told = f"this cannot be a customer's name: {refused.message}"
        raise InputRefused(told, hint=refused.hint) from None


def similar(db: Reading, name: str, *, besides: Customer | None = None) -> tuple[Finding, ...]:
    """`similar-customer`, if the name is like a known one: case, form, spacing, one letter.

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
    def told(self) -> dict[str, tuple[str | None, str | None]]:
        """Old and new by name; empty when everything is so already."""
        told = {
            name: (_text(getattr(self.customer, name)), _text(new))
            for name, new in self.columns.items()
        }
        return told if self.relabelled is None else {**told, "machine": self.relabelled}


def decide(db: Reading, slug: str, wanted: ChangeOptions, *, now: datetime) -> Change:
    """What `wanted` changes; nothing is written.

    Raises:
        InputRefused: (`input_refused`) for a name that FORMAT §1 forbids.
        InvalidTerms: (`invalid_terms`) when there is no such time zone.
        NotFound: (`not_found`) when there is no such machine.
        HomeProblem: (`registry_damaged`) when a stored license does not verify.
    """
    customer = customers.get(db, slug)
    columns = {name: new for name, new in _named(wanted).items() if new != getattr(customer, name)}
    name = columns.get("name")
    return Change(
        customer=customer,
        columns=columns,
        relabelled=_relabelled(db, customer, wanted),
        findings=() if name is None else similar(db, name, besides=customer),
        still_named=() if name is None else _named_otherwise(db, customer, name, now),
    )


def write(db: Writing, change: Change) -> Customer:
    """Write what was decided, and leave the journal row to the caller."""
    if change.relabelled is not None:
        old, new = change.relabelled
        machines.rename(db, machines.by_label(db, change.customer, old), new)
    return customers.edit(db, change.customer, **change.columns)


def _named(wanted: ChangeOptions) -> dict[str, Any]:
    named: dict[str, Any] = {}
    if wanted.name is not None:
        named["name"] = proper(wanted.name)
    if wanted.contact or wanted.no_contacts:
        named["contacts"] = tuple(wanted.contact or ())
    if wanted.time_zone is not None or wanted.no_time_zone:
        zone = wanted.time_zone
        named["time_zone"] = None if zone is None else str(dates.parse_zone(zone))
    if wanted.crm is not None or wanted.no_crm:
        named["crm"] = wanted.crm
    return named


def _relabelled(db: Reading, customer: Customer, wanted: ChangeOptions) -> tuple[str, str] | None:
    if wanted.machine is None or wanted.label is None:
        return None
    machine = machines.by_label(db, customer, wanted.machine)
    return None if machine.label == wanted.label else (machine.label, wanted.label)


def _named_otherwise(
    db: Reading, customer: Customer, name: str, now: datetime
) -> tuple[OutdatedLicense, ...]:
    current = licenses.current(db, customer)
    return outdated_licenses(db, current, slug=customer.slug, name=name, now=now)


def _text(value: object) -> str | None:
    if isinstance(value, tuple):
        return ", ".join(value) or None
    return None if value is None else str(value)
