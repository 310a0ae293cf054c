"""`polygent-issue customer list`, `show` and `export`: print customers."""

from collections import deque
from collections.abc import Iterable
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from polygent_issuer.cli.context import Invocation
from polygent_issuer.cli.options.common import CustomerName, flag
from polygent_issuer.cli.output import records
from polygent_issuer.cli.output.blocks import Block, Fields, Line, Table
from polygent_issuer.cli.output.files import CsvOptions, OutputFile
from polygent_issuer.cli.output.result import Report, Result
from polygent_issuer.registry import Reading, customers, journal, licenses, machines
from polygent_issuer.registry.holds import hold_end, on_hold
from polygent_issuer.registry.journal import JournalRow
from polygent_issuer.registry.records import Customer, Identity, LicenseRecord, Machine
from polygent_issuer.terms import dates
from polygent_issuer.text import Hint, run

if TYPE_CHECKING:
    from polygent_issuer.registry.summaries import CustomerSummary

LIST_COLUMNS: Final = (
    *("slug", "name", "contacts", "time_zone", "crm", "aliases"),
    *("created_at", "archived_at", "current_licenses", "next_expiry", "notes"),
    *("on_hold", "held_at", "held_until", "held_reason"),
)
"""JSON members of a listed customer, which are the columns of the CSV."""
EXPORT_COLUMNS: Final = ("slug", "name", "contacts", "time_zone", "crm", "notes")
"""JSON members of an exported customer; `customer import` reads the same columns."""
_LAST_ROWS: Final = 10
_Shown = tuple[dict[str, Any], list[tuple[str, ...]], list[Line]]
"""A machine: JSON members, table rows, and the lines below the table."""


def list_all(
    invocation: Invocation,
    *,
    archived: bool = flag("--archived", "Include archived customers."),
    form: CsvOptions,
) -> Result:
    """List customers.

    For each customer the list shows the number of current licenses and the next expiry, and
    whether it is on hold.
    """
    from polygent_issuer.registry import summaries

    as_csv, now = form.asked(invocation), invocation.now
    with invocation.registry.reading(checked=False) as db:
        listed = tuple(summaries.customers(db, archived=archived))
        left_out = 0 if archived else customers.count_archived(db)
    if as_csv:
        items = (_customer_json(each, now) for each in listed)
        return form.table(LIST_COLUMNS, items, name="customers.csv")
    members = {"customers": (_customer_json(each, now) for each in listed)}
    return Report(members, _list_text(listed, now, archived=archived, left_out=left_out))


def _list_text(
    listed: "tuple[CustomerSummary, ...]", now: datetime, *, archived: bool, left_out: int
) -> Iterable[Block]:
    if listed:
        headers = ("customer", "name", "current licenses", "next expiry")
        more = ("archived",) if archived else ()
        held = any(on_hold(each.customer, now) for each in listed)
        yield Table(
            (*headers, *more, "on hold") if held else (*headers, *more),
            tuple(
                (*_list_row(each, archived=archived), *((_hold(each, now),) if held else ()))
                for each in listed
            ),
            tuple("plain" if each.customer.archived_at is None else "dim" for each in listed),
        )
    elif not left_out:
        yield Line(Hint("no customers yet; to add one: ", run("customer", "add", "NAME")), "dim")
    if left_out:
        command = run("customer", "list", "--archived")
        yield Line(Hint(f"not listed: {left_out} archived; to list them: ", command), "dim")


def _list_row(listed: "CustomerSummary", *, archived: bool) -> tuple[str, ...]:
    last_day = "" if listed.first is None else dates.last_full_day(listed.first).isoformat()
    customer, at = listed.customer, listed.customer.archived_at
    more = ("" if at is None else at.date().isoformat(),) if archived else ()
    return customer.slug, customer.name, str(listed.current), last_day, *more


def _hold(listed: "CustomerSummary", now: datetime) -> str:
    """Return the end of a hold; empty without one."""
    if not on_hold(listed.customer, now):
        return ""
    end = hold_end(listed.customer)
    return f"until {end}" if end else "yes"


def _customer_json(listed: "CustomerSummary", now: datetime) -> dict[str, Any]:
    members = {
        **records.customer_json(listed.customer),
        "current_licenses": listed.current,
        "next_expiry": dates.optional_instant(listed.first),
        "on_hold": on_hold(listed.customer, now),
    }
    return {name: members[name] for name in LIST_COLUMNS}


def show(invocation: Invocation, customer: CustomerName) -> Report:
    """Show a customer's machines, licenses and history.

    The history is the last ten rows of the journal about the customer.
    """
    owner, now = invocation.customer(customer), invocation.now
    with invocation.registry.reading() as db:
        shown = [_machine(db, machine, now) for machine in machines.of(db, owner)]
        owned = tuple(licenses.of(db, owner))
        rows = tuple(deque(journal.rows(db, customer=owner), maxlen=_LAST_ROWS))
    local = [_local_expiry(owner, record) for record in owned]
    members = {
        "customer": {**records.customer_json(owner), "on_hold": on_hold(owner, now)},
        "machines": [members for members, _, _ in shown],
        "licenses": [
            {**records.license_json(record, now), "expires_at_local": there}
            for record, there in zip(owned, local, strict=True)
        ],
        "journal": [records.journal_json(row) for row in rows],
    }
    table = records.license_table(owned, now).without_repeated("customer")
    return Report(members, _text(owner, now, shown, table, rows))


def _text(
    customer: Customer,
    now: datetime,
    shown: list[_Shown],
    table: Table,
    rows: tuple[JournalRow, ...],
) -> Iterable[Block]:
    yield Line(customer.name, "title")
    yield Fields(tuple(records.customer_rows(customer, now))[1:])
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
        yield records.journal_table(rows).without_repeated("customer")
        every = run("journal", "show", "--customer", customer.slug)
        yield Line(Hint("all rows: ", every), "dim")


def _local_expiry(customer: Customer, record: LicenseRecord) -> str | None:
    """Return an expiry in the customer's time zone; None without one, or after the year 9999."""
    zone = records.zone_of(customer)
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


def export(invocation: Invocation, *, to: OutputFile = None) -> Result:
    """Export customers as CSV for customer import.

    There is one row for each customer; archived customers are left out. Change the file in a
    spreadsheet and import it again: unchanged rows change nothing. An existing file is never
    overwritten.
    """
    form = CsvOptions(csv=not invocation.as_json or to is not None, to=to)
    as_csv = form.asked(invocation)
    with invocation.registry.reading() as db:
        rows = [exported(customers.checked(db, each)) for each in customers.every(db)]
    if as_csv:
        return form.table(EXPORT_COLUMNS, rows, name="customers.csv")
    return Report({"customers": iter(rows)}, ())


def exported(customer: Customer) -> dict[str, str | None]:
    """Return a customer as the cells of a row, by column."""
    from polygent_issuer.email_address import join_contacts  # not for list and show

    cells = {name: getattr(customer, name) for name in EXPORT_COLUMNS}
    return {**cells, "contacts": join_contacts(customer.contacts)}
