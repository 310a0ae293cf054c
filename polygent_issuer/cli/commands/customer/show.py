"""`polygent-issue customer show`: all that the registry holds of a customer."""

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from polygent_issuer.cli.context import Invocation
from polygent_issuer.cli.options.common import CustomerName
from polygent_issuer.cli.output.customer import customer_json, customer_rows, zone_of
from polygent_issuer.cli.output.journal_rows import journal_json, journal_table
from polygent_issuer.cli.output.license import license_json, license_table
from polygent_issuer.cli.output.model import Block, Fields, Line, Table
from polygent_issuer.cli.output.result import Report
from polygent_issuer.registry import (
    Customer,
    Identity,
    JournalRow,
    LicenseRecord,
    Machine,
    journal,
    licenses,
    machines,
)
from polygent_issuer.terms import dates

if TYPE_CHECKING:
    from polygent_issuer.issuing.machines import IdentityChange

_LAST_ROWS: Final = 10


@dataclass(frozen=True, kw_only=True, slots=True)
class ShownMachine:
    """A machine as it is, what it was before and when it changed, the latest first."""

    machine: Machine
    history: tuple[Identity, ...]
    changes: "tuple[IdentityChange, ...]"
    notes: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Return the machine for programs; `before` is its history."""
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

    def rows(self) -> Iterator[tuple[str, ...]]:
        """Yield the machine as it is; below it, without a label, what it was."""
        now = self.machine
        yield now.label, now.hostname or "", now.fingerprint, dates.instant(now.since), "now"
        for past in self.history:
            until = dates.optional_instant(past.until) or ""
            yield "", past.hostname or "", past.fingerprint, dates.instant(past.since), until

    def lines(self) -> Iterator[Line]:
        """Yield the parts of each change, where they are known, and the notes."""
        from polygent_issuer.issuing.machines import list_components

        label = self.machine.label
        for change in self.changes:
            parts = list_components(change.components)
            if parts is not None:
                yield Line(f"{label} changed at {dates.instant(change.at)}: {parts}", "dim", 1)
        for note in self.notes:
            yield Line(f"{label}: {note}", "warn", 1)


def show(invocation: Invocation, customer: CustomerName) -> Report:
    """Show a customer: machines, licenses, and the last rows of the journal."""
    from polygent_issuer.issuing.machines import identity_changes, machine_notes

    owner, now = invocation.customer(customer), invocation.now
    shown = []
    with invocation.registry.reading() as db:
        for machine in machines.of(db, owner):
            identities = machines.history(db, machine)
            shown.append(
                ShownMachine(
                    machine=machine,
                    history=identities[1:],
                    changes=identity_changes(identities),
                    notes=machine_notes(db, machine, now),
                )
            )
        records = tuple(licenses.of(db, owner))
        rows = tuple(deque(journal.rows(db, customer=owner), maxlen=_LAST_ROWS))
    local = [_local_expiry(owner, record) for record in records]
    members = {
        "customer": customer_json(owner),
        "machines": [each.to_json() for each in shown],
        "licenses": [
            {**license_json(record, now), "expires_at_local": there}
            for record, there in zip(records, local, strict=True)
        ],
        "journal": [journal_json(row) for row in rows],
    }
    table = license_table(records, now)
    if zone_of(owner) is not None:
        headers = (*table.headers, f"in {owner.time_zone}")
        with_local = zip(table.rows, local, strict=True)
        table = replace(
            table, headers=headers, rows=tuple((*row, there or "") for row, there in with_local)
        )
    return Report(members, _text(owner, shown, table, rows))


def _text(
    customer: Customer, shown: list[ShownMachine], table: Table, rows: tuple[JournalRow, ...]
) -> Iterable[Block]:
    yield Line(customer.name, "title")
    yield Fields(tuple(customer_rows(customer))[1:])
    yield Line()
    if shown:
        headers = ("machine", "hostname", "fingerprint", "since", "until")
        cells = tuple(row for each in shown for row in each.rows())
        yield Table(headers, cells, folding=("hostname", "fingerprint"))
        for each in shown:
            yield from each.lines()
    else:
        yield Line("no machine", "dim")
    yield Line()
    yield table if table.rows else Line("no license", "dim")
    if rows:
        yield Line()
        yield Line(f"the last {len(rows)} rows of the journal", "title")
        yield journal_table(rows)
        yield Line(f"all: polygent-issue journal show --customer {customer.slug}", "dim")


def _local_expiry(customer: Customer, record: LicenseRecord) -> str | None:
    """Return an expiry in the customer's time zone; None without one, and past its calendar."""
    zone = zone_of(customer)
    try:
        local = zone and record.expires_at.astimezone(zone)
        return local.isoformat(timespec="seconds") if local else None
    except OverflowError:
        return None
