"""What of a customer changes, what that means for the licenses in force, and writing it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from polygent_issuer import dates
from polygent_issuer.cli.customer import naming
from polygent_issuer.cli.customer.change_options import ChangeOptions
from polygent_issuer.findings import Finding
from polygent_issuer.issuing.still_named import StillNamed, still_named
from polygent_issuer.registry import Customer, Reading, Writing, customers, licenses, machines


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
    still_named: tuple[StillNamed, ...]

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
        findings=() if name is None else naming.similar(db, name, besides=customer),
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
        named["name"] = naming.proper(wanted.name)
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
) -> tuple[StillNamed, ...]:
    current = licenses.current(db, customer)
    return still_named(db, current, slug=customer.slug, name=name, now=now)


def _text(value: object) -> str | None:
    if isinstance(value, tuple):
        return ", ".join(value) or None
    return None if value is None else str(value)
