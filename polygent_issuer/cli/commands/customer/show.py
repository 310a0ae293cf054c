"""`polygent-issue customer show`: all that the registry holds of a customer."""

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

from polygent_issuer.cli.completion import candidates
from polygent_issuer.cli.context import Invocation
from polygent_issuer.cli.options.common import argument
from polygent_issuer.cli.output.customer import customer_json, customer_rows, zone_of
from polygent_issuer.cli.output.journal_rows import journal_json, journal_table
from polygent_issuer.cli.output.license import license_json, license_table
from polygent_issuer.cli.output.model import Block, Fields, Line, Table
from polygent_issuer.cli.output.result import Result
from polygent_issuer.registry import (
    Customer,
    Identity,
    JournalRow,
    LicenseRecord,
    Machine,
    Reading,
    journal,
    licenses,
    machines,
)
from polygent_issuer.terms import dates

_LAST_ROWS = 10

if TYPE_CHECKING:
    from polygent_issuer.issuing.machines import IdentityChange


@dataclass(frozen=True, kw_only=True, slots=True)
class ShownMachine:
    """A machine as it is, what it was before and when it changed, the latest first."""

    machine: Machine
    history: tuple[Identity, ...]
    changes: "tuple[IdentityChange, ...]"
    notes: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """The machine for programs; `before` is its history."""
        return {
            "label": self.machine.label,
            "fingerprint": self.machine.fingerprint,
            "hostname": self.machine.hostname,
            "since": dates.instant(self.machine.since),
            "before": [
                {
                    "fingerprint": past.fingerprint,
                    "hostname": past.hostname,
                    "since": dates.instant(past.since),
                    "until": dates.optional_instant(past.until),
                }
                for past in self.history
            ],
            "changes": [
                {
                    "at": dates.instant(change.at),
                    "components": {part.name: str(part.state) for part in change.components},
                }
                for change in self.changes
            ],
            "notes": list(self.notes),
        }

    def lines(self) -> Iterable[Line]:
        """Which parts each change was of, where they are known, and what else is to be known."""
        from polygent_issuer.issuing.machines import list_components

        label = self.machine.label
        for change in self.changes:
            parts = list_components(change.components)
            if parts is not None:
                yield Line(f"{label} changed at {dates.instant(change.at)}: {parts}", "dim", 1)
        for note in self.notes:
            yield Line(f"{label}: {note}", "warn", 1)

    def rows(self) -> Iterable[tuple[str, ...]]:
        """The machine as it is; below it, without a label, what it was."""
        now = self.machine
        yield now.label, now.hostname or "", now.fingerprint, dates.instant(now.since), "now"
        for past in self.history:
            until = dates.optional_instant(past.until) or ""
            yield "", past.hostname or "", past.fingerprint, dates.instant(past.since), until


@dataclass(frozen=True, kw_only=True, slots=True)
class ShownCustomer(Result):
    """All that the registry holds of a customer; of the journal the last rows, newest last."""

    customer: Customer
    machines: tuple[ShownMachine, ...]
    licenses: tuple[LicenseRecord, ...]
    now: datetime
    journal: tuple[JournalRow, ...]

    def to_json(self) -> Mapping[str, Any]:
        """`customer`, `machines`, `licenses`, `journal`."""
        return {
            "customer": customer_json(self.customer),
            "machines": [each.to_json() for each in self.machines],
            "licenses": [
                {**license_json(each, self.now), "expires_at_local": self._local_expiry(each)}
                for each in self.licenses
            ],
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
        yield self._license_table() if self.licenses else Line("no license", "dim")
        if self.journal:
            yield Line()
            yield Line(f"the last {len(self.journal)} rows of the journal", "title")
            yield journal_table(self.journal)
            yield Line(f"all: polygent-issue journal show --customer {self.customer.slug}", "dim")

    def _license_table(self) -> Table:
        """The table of licenses; where a time zone is known, with the expiries there."""
        table = license_table(self.licenses, self.now)
        if zone_of(self.customer) is None:
            return table
        local = (self._local_expiry(each) or "" for each in self.licenses)
        rows = tuple((*row, there) for row, there in zip(table.rows, local, strict=True))
        headers = (*table.headers, f"in {self.customer.time_zone}")
        return replace(table, headers=headers, rows=rows)

    def _local_expiry(self, each: LicenseRecord) -> str | None:
        """An expiry in the customer's time zone; None without one, and past its calendar."""
        zone = zone_of(self.customer)
        try:
            local = zone and each.expires_at.astimezone(zone)
            return local.isoformat(timespec="seconds") if local else None
        except OverflowError:
            return None


CustomerName = Annotated[
    str, argument("CUSTOMER", "A slug or a name.", complete=candidates.customers)
]


def show(invocation: Invocation, customer: CustomerName) -> ShownCustomer:
    """Show a customer: machines, licenses, and the last rows of the journal."""
    owner, now = invocation.customer(customer), invocation.now
    with invocation.registry.reading() as db:
        return ShownCustomer(
            customer=owner,
            machines=tuple(_shown(db, machine, now) for machine in machines.of(db, owner)),
            licenses=tuple(licenses.of(db, owner)),
            now=now,
            journal=tuple(deque(journal.rows(db, customer=owner), maxlen=_LAST_ROWS)),
        )


def _shown(db: Reading, machine: Machine, now: datetime) -> ShownMachine:
    from polygent_issuer.issuing.machines import identity_changes, machine_notes

    identities = machines.history(db, machine)
    return ShownMachine(
        machine=machine,
        history=identities[1:],
        changes=identity_changes(identities),
        notes=machine_notes(db, machine, now),
    )
