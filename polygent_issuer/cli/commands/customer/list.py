"""`polygent-issue customer list`: list customers and the next expiry of each."""

from collections.abc import Iterable
from datetime import datetime
from typing import Annotated, Any, Final

from polygent_issuer.cli.context import Invocation
from polygent_issuer.cli.options.common import flag
from polygent_issuer.cli.output.files import CsvOptions
from polygent_issuer.cli.output.model import Block, Line, Table
from polygent_issuer.cli.output.records import customer_json
from polygent_issuer.cli.output.result import Report, Result
from polygent_issuer.registry import customers, summaries
from polygent_issuer.registry.holds import hold_end, on_hold
from polygent_issuer.registry.summaries import CustomerSummary
from polygent_issuer.terms import dates

COLUMNS: Final = (
    *("slug", "name", "contacts", "time_zone", "crm", "aliases"),
    *("created_at", "archived_at", "current_licenses", "next_expiry", "notes"),
    *("on_hold", "held_at", "held_until", "held_reason"),
)
"""JSON members of a listed customer, which are the columns of the CSV."""


def list_all(
    invocation: Invocation,
    *,
    archived: Annotated[bool, flag("--archived", "Include archived customers.")] = False,
    form: CsvOptions,
) -> Result:
    """List customers.

    For each customer the list shows the number of current licenses and the next expiry, and
    whether it is on hold.
    """
    as_csv, now = form.asked(invocation), invocation.now
    with invocation.registry.reading(checked=False) as db:
        listed = tuple(summaries.customers(db, archived=archived))
        left_out = 0 if archived else customers.count_archived(db)
    if as_csv:
        items = (_customer_json(each, now) for each in listed)
        return form.table(COLUMNS, items, name="customers.csv")
    members = {"customers": (_customer_json(each, now) for each in listed)}
    return Report(members, _text(listed, now, archived=archived, left_out=left_out))


def _text(
    listed: tuple[CustomerSummary, ...], now: datetime, *, archived: bool, left_out: int
) -> Iterable[Block]:
    if listed:
        headers = ("customer", "name", "current licenses", "next expiry")
        more = ("archived",) if archived else ()
        held = any(on_hold(each.customer, now) for each in listed)
        yield Table(
            (*headers, *more, "on hold") if held else (*headers, *more),
            tuple(
                (*_row(each, archived=archived), *((_hold(each, now),) if held else ()))
                for each in listed
            ),
            tuple("plain" if each.customer.archived_at is None else "dim" for each in listed),
        )
    elif not left_out:
        yield Line("no customers yet; to add one: polygent-issue customer add NAME", "dim")
    if left_out:
        command = "polygent-issue customer list --archived"
        yield Line(f"not listed: {left_out} archived; to list them: {command}", "dim")


def _row(listed: CustomerSummary, *, archived: bool) -> tuple[str, ...]:
    last_day = "" if listed.first is None else dates.last_full_day(listed.first).isoformat()
    customer, at = listed.customer, listed.customer.archived_at
    more = ("" if at is None else at.date().isoformat(),) if archived else ()
    return customer.slug, customer.name, str(listed.current), last_day, *more


def _hold(listed: CustomerSummary, now: datetime) -> str:
    """Return the end of a hold; empty without one."""
    if not on_hold(listed.customer, now):
        return ""
    end = hold_end(listed.customer)
    return f"until {end}" if end else "yes"


def _customer_json(listed: CustomerSummary, now: datetime) -> dict[str, Any]:
    members = {
        **customer_json(listed.customer),
        "current_licenses": listed.current,
        "next_expiry": dates.optional_instant(listed.first),
        "on_hold": on_hold(listed.customer, now),
    }
    return {name: members[name] for name in COLUMNS}
