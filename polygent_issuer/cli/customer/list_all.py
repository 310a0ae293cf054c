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
        archived: whether those are among them.
    """

    customers: tuple[Customer, ...]
    expiries: Mapping[int, list[datetime]]
    archived: bool

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
        if not self.customers:
            yield Line("no customer yet: polygent-issue customer add NAME, or sign", "dim")
            return
        headers = ("customer", "name", "current licenses", "next expiry", "last full day")
        more = ("archived",) if self.archived else ()
        styles = tuple(map(_style, self.customers))
        yield Table((*headers, *more), tuple(map(self._row, self.customers)), styles)

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
        found = tuple(customers.every(db, archived=archived))
        listed = Customers(customers=found, expiries=_expiries(db), archived=archived)
    return CsvTable(columns=COLUMNS, items=listed.items()) if as_csv else listed


def _expiries(db: Reading) -> dict[int, list[datetime]]:
    found: dict[int, list[datetime]] = {}
    for record in licenses.select(db, status=LicenseStatus.CURRENT):
        found.setdefault(record.customer_id, []).append(record.expires_at)
    return found
