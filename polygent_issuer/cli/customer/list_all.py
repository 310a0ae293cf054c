"""`polygent-issue customer list`: the customers, and when the first license of each ends."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Final

import typer

from polygent_issuer import dates
from polygent_issuer.cli.blocks import Block, Line, Style, Table
from polygent_issuer.cli.context import Invocation
from polygent_issuer.cli.customer.customer_view import customer_json
from polygent_issuer.cli.output import Result
from polygent_issuer.cli.spreadsheet import CsvOptions, CsvTable
from polygent_issuer.registry import Customer, LicenseStatus, Reading, customers, licenses

COLUMNS: Final = (
    *("slug", "name", "contacts", "time_zone", "crm", "aliases"),
    *("created_at", "archived_at", "current_licenses", "next_expiry"),
)
"""The members of a listed customer, as the columns of its CSV."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Customers(Result):
    """The customers by slug.

    Attributes:
        expiries: of the current licenses, the first to end first, by the customer's row id.
        archived: whether those who were archived are among them.
        left_out: how many were archived and are not listed.
    """

    customers: tuple[Customer, ...]
    expiries: Mapping[int, list[datetime]]
    archived: bool
    left_out: int

    def to_json(self) -> Mapping[str, Any]:
        """`customers`, each with the number of its current licenses."""
        return {"customers": list(self.items())}

    def items(self) -> Iterable[Mapping[str, Any]]:
        """Each customer for programs."""
        for customer in self.customers:
            ends = self._of(customer)
            yield {
                **customer_json(customer),
                "current_licenses": len(ends),
                "next_expiry": dates.instant(ends[0]) if ends else None,
            }

    def blocks(self) -> Iterable[Block]:
        """A table."""
        if self.customers:
            yield self._table()
        elif not self.left_out:
            yield Line("no customer yet: polygent-issue customer add NAME, or sign", "dim")
        if self.left_out:
            all_of_them = "polygent-issue customer list --archived"
            yield Line(f"archived, not listed: {self.left_out}; to see them: {all_of_them}", "dim")

    def _table(self) -> Table:
        headers = ("customer", "name", "current licenses", "next expiry", "last full day")
        more = ("archived",) if self.archived else ()
        styles = tuple(map(_style, self.customers))
        return Table((*headers, *more), tuple(map(self._row, self.customers)), styles)

    def _of(self, customer: Customer) -> list[datetime]:
        return self.expiries.get(customer.id, [])

    def _row(self, customer: Customer) -> tuple[str, ...]:
        ends = self._of(customer)
        first = dates.instant(ends[0]) if ends else ""
        last_day = dates.last_full_day(ends[0]).isoformat() if ends else ""
        at = customer.archived_at
        more = (("" if at is None else dates.instant(at)),) if self.archived else ()
        return customer.slug, customer.name, str(len(ends)), first, last_day, *more


def _style(customer: Customer) -> Style:
    return "plain" if customer.archived_at is None else "dim"


def list_all(
    invocation: Invocation,
    *,
    archived: Annotated[bool, typer.Option("--archived", help="Those too.")] = False,
    form: CsvOptions,
) -> Customers | CsvTable:
    """List the customers, with the number of their current licenses and the next to end."""
    as_csv = form.asked(invocation)
    with invocation.registry.reading() as db:
        every = tuple(customers.every(db, archived=True))
        listed = Customers(
            customers=tuple(each for each in every if archived or each.archived_at is None),
            expiries=_expiries(db),
            archived=archived,
            left_out=0 if archived else sum(each.archived_at is not None for each in every),
        )
    return CsvTable(columns=COLUMNS, items=listed.items()) if as_csv else listed


def _expiries(db: Reading) -> dict[int, list[datetime]]:
    found: dict[int, list[datetime]] = {}
    for record in licenses.select(db, status=LicenseStatus.CURRENT):
        found.setdefault(record.customer_id, []).append(record.expires_at)
    return found
