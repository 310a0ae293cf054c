"""`polygent-issue customer show`: show a customer's machines, licenses and history."""

from collections import deque
from collections.abc import Iterable
from datetime import datetime
from typing import Any, Final

from polygent_issuer.cli.context import Invocation
from polygent_issuer.cli.options.common import CustomerName
from polygent_issuer.cli.output.model import Block, Fields, Line, Table
from polygent_issuer.cli.output.records import (
    customer_json,
    customer_rows,
    journal_json,
    journal_table,
    license_json,
    license_table,
    zone_of,
)
from polygent_issuer.cli.output.result import Report
from polygent_issuer.registry import Reading, journal, licenses, machines
from polygent_issuer.registry.holds import on_hold
from polygent_issuer.registry.journal import JournalRow
from polygent_issuer.registry.records import Customer, Identity, LicenseRecord, Machine
from polygent_issuer.terms import dates

_LAST_ROWS: Final = 10


_Shown = tuple[dict[str, Any], list[tuple[str, ...]], list[Line]]
"""A machine: JSON members, table rows, and the lines below the table."""


def show(invocation: Invocation, customer: CustomerName) -> Report:
    """Show a customer's machines, licenses and history.

    The history is the last ten rows of the journal about the customer.
    """
    owner, now = invocation.customer(customer), invocation.now
    with invocation.registry.reading() as db:
        shown = [_machine(db, machine, now) for machine in machines.of(db, owner)]
        records = tuple(licenses.of(db, owner))
        rows = tuple(deque(journal.rows(db, customer=owner), maxlen=_LAST_ROWS))
    local = [_local_expiry(owner, record) for record in records]
    members = {
        "customer": {**customer_json(owner), "on_hold": on_hold(owner, now)},
        "machines": [members for members, _, _ in shown],
        "licenses": [
            {**license_json(record, now), "expires_at_local": there}
            for record, there in zip(records, local, strict=True)
        ],
        "journal": [journal_json(row) for row in rows],
    }
    table = license_table(records, now).without_repeated("customer")
    return Report(members, _text(owner, now, shown, table, rows))


def _text(
    customer: Customer,
    now: datetime,
    shown: list[_Shown],
    table: Table,
    rows: tuple[JournalRow, ...],
) -> Iterable[Block]:
    yield Line(customer.name, "title")
    yield Fields(tuple(customer_rows(customer, now))[1:])
    yield Line()
    if shown:
        headers = ("machine", "hostname", "fingerprint", "since", "until")
        cells = tuple(row for _, machine_rows, _ in shown for row in machine_rows)
        yield Table(headers, cells)
        yield from (line for _, _, lines in shown for line in lines)
    else:
        yield Line("no machines", "dim")
    yield Line()
    yield table if table.rows else Line("no licenses", "dim")
    if rows:
        yield Line()
        last = "last row" if len(rows) == 1 else f"last {len(rows)} rows"
        yield Line(f"{last} of the journal", "title")
        yield journal_table(rows).without_repeated("customer")
        yield Line(f"all rows: polygent-issue journal show --customer {customer.slug}", "dim")


def _local_expiry(customer: Customer, record: LicenseRecord) -> str | None:
    """Return an expiry in the customer's time zone; None without one, or after the year 9999."""
    zone = zone_of(customer)
    try:
        local = zone and record.expires_at.astimezone(zone)
        return local.isoformat(timespec="seconds") if local else None
    except OverflowError:
        return None


def _machine(db: Reading, machine: Machine, now: datetime) -> _Shown:
    """Return a machine with its earlier identities and changes, latest first."""
    from polygent_issuer.issuing.machines import identity_changes, list_components, machine_notes

    identities = machines.history(db, machine)
    changes, notes = identity_changes(identities), machine_notes(db, machine, now)
    members = {
        "label": machine.label,
        "fingerprint": machine.fingerprint,
        "hostname": machine.hostname,
        "since": dates.instant(machine.since),
        "before": [
            {
                "fingerprint": past.fingerprint,
                "hostname": past.hostname,
                "since": dates.instant(past.since),
                "until": dates.optional_instant(past.until),
            }
            for past in identities[1:]
        ],
        "changes": [
            {
                "at": dates.instant(change.at),
                "components": {part.name: str(part.state) for part in change.components},
            }
            for change in changes
        ],
        "notes": list(notes),
    }
    rows = [_row(machine.label, machine, "now")]
    rows += [_row("", past, dates.optional_instant(past.until) or "") for past in identities[1:]]
    described = ((dates.instant(each.at), list_components(each.components)) for each in changes)
    lines = [
        Line(f"{machine.label} changed at {at}: {parts}", "dim", 1)
        for at, parts in described
        if parts is not None
    ]
    return members, rows, lines + [Line(f"{machine.label}: {note}", "warn", 1) for note in notes]


def _row(label: str, each: Machine | Identity, until: str) -> tuple[str, ...]:
    return label, each.hostname or "", each.fingerprint, dates.instant(each.since), until
