"""`polygent-issue customer show`: all that the registry holds of a customer."""

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Annotated, Any

import typer

from polygent_issuer.cli.completion import candidates
from polygent_issuer.cli.context import Invocation
from polygent_issuer.cli.options import customer_argument
from polygent_issuer.cli.output.customer import customer_json, customer_rows, zone_of
from polygent_issuer.cli.output.journal_rows import journal_json, journal_table
from polygent_issuer.cli.output.license_rows import Listed, license_table
from polygent_issuer.cli.output.machine import ShownMachine
from polygent_issuer.cli.output.model import Block, Fields, Line, Table
from polygent_issuer.cli.output.result import Result
from polygent_issuer.issuing.machines import identity_changes, machine_notes
from polygent_issuer.registry import (
    Customer,
    JournalRow,
    Machine,
    Reading,
    journal,
    licenses,
    machines,
)


@dataclass(frozen=True, kw_only=True, slots=True)
class ShownCustomer(Result):
    """All that the registry holds of a customer; of the journal the last rows, newest last."""

    customer: Customer
    machines: tuple[ShownMachine, ...]
    licenses: tuple[Listed, ...]
    journal: tuple[JournalRow, ...]

    def to_json(self) -> Mapping[str, Any]:
        """`customer`, `machines`, `licenses`, `journal`."""
        return {
            "customer": customer_json(self.customer),
            "machines": [each.to_json() for each in self.machines],
            "licenses": [self._license_json(each) for each in self.licenses],
            "journal": [journal_json(row) for row in self.journal],
        }

    def blocks(self) -> Iterable[Block]:
        """The customer, then a table of each kind."""
        yield Line(self.customer.name, "title")
        yield Fields(tuple(customer_rows(self.customer))[1:])
        yield Line()
        if self.machines:
            headers = ("machine", "hostname", "fingerprint", "since", "until")
            rows = tuple(row for each in self.machines for row in each.rows())
            yield Table(headers, rows, folding=("hostname", "fingerprint"))
            for each in self.machines:
                yield from each.lines()
        else:
            yield Line("no machine", "dim")
        yield Line()
        yield self._licenses() if self.licenses else Line("no license", "dim")
        if self.journal:
            yield Line()
            yield Line(f"the last {len(self.journal)} rows of the journal", "title")
            yield journal_table(self.journal)
            yield Line(f"all: polygent-issue journal show --customer {self.customer.slug}", "dim")

    def _license_json(self, one: Listed) -> dict[str, Any]:
        there = self._there(one.expires_at)
        return one.to_json() | {"expires_at_local": there}

    def _licenses(self) -> Table:
        """The table of licenses; where a time zone is known, with the expiries there."""
        table = license_table(self.licenses)
        if zone_of(self.customer) is None:
            return table
        local = (self._there(each.expires_at) or "" for each in self.licenses)
        rows = tuple((*row, there) for row, there in zip(table.rows, local, strict=True))
        headers = (*table.headers, f"in {self.customer.time_zone}")
        return replace(table, headers=headers, rows=rows)

    def _there(self, expires: datetime) -> str | None:
        """An expiry in the customer's time zone; None without one, and past its calendar."""
        zone = zone_of(self.customer)
        try:
            return None if zone is None else expires.astimezone(zone).isoformat(timespec="seconds")
        except OverflowError:
            return None


_LAST_ROWS = 10


def show(
    invocation: Invocation,
    customer: Annotated[
        str,
        typer.Argument(
            metavar="CUSTOMER", autocompletion=candidates.customers, help="A slug or a name."
        ),
    ],
) -> ShownCustomer:
    """Show a customer: machines, licenses, and the last rows of the journal."""
    found, now = customer_argument.customer(invocation, customer), invocation.now
    with invocation.registry.reading() as db:
        return ShownCustomer(
            customer=found,
            machines=tuple(_shown(db, machine, now) for machine in machines.of(db, found)),
            licenses=tuple(Listed.of(record, now) for record in licenses.of(db, found)),
            journal=tuple(deque(journal.rows(db, customer=found), maxlen=_LAST_ROWS)),
        )


def _shown(db: Reading, machine: Machine, now: datetime) -> ShownMachine:
    identities = machines.history(db, machine)
    return ShownMachine(
        machine=machine,
        history=identities[1:],
        changes=identity_changes(identities),
        notes=machine_notes(db, machine, now),
    )
