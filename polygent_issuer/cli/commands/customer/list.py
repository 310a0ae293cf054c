"""`polygent-issue customer list`: the customers, and when the first license of each ends."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Final

from polygent_issuer.cli.context import Invocation
from polygent_issuer.cli.options.common import flag
from polygent_issuer.cli.output.csv_text import CsvOptions
from polygent_issuer.cli.output.customer import customer_json
from polygent_issuer.cli.output.model import Block, Line, Style, Table
from polygent_issuer.cli.output.result import Result
from polygent_issuer.registry import customers, summaries
from polygent_issuer.registry.summaries import CustomerSummary
from polygent_issuer.terms import dates

COLUMNS: Final = (
    *("slug", "name", "contacts", "time_zone", "crm", "aliases"),
    *("created_at", "archived_at", "current_licenses", "next_expiry"),
)
"""The members of a listed customer, as the columns of its CSV."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CustomerList(Result):
    """The customers by slug.

    Attributes:
        archived: whether those who were archived are among them.
        left_out: how many were archived and are not listed.
    """

    customers: tuple[CustomerSummary, ...]
    archived: bool
    left_out: int

    def to_json(self) -> Mapping[str, Any]:
        """`customers`, each with the number of its current licenses."""
        return {"customers": map(_customer_json, self.customers)}

    def blocks(self) -> Iterable[Block]:
        """A table."""
        if self.customers:
            headers = ("customer", "name", "current licenses", "next expiry", "last full day")
            yield Table(
                (*headers, "archived") if self.archived else headers,
                tuple(map(self._row, self.customers)),
                tuple(map(_style, self.customers)),
                folding=("customer", "name"),
            )
        elif not self.left_out:
            yield Line("no customer yet: polygent-issue customer add NAME, or sign", "dim")
        if self.left_out:
            command = "polygent-issue customer list --archived"
            yield Line(f"archived, not listed: {self.left_out}; to see them: {command}", "dim")

    def _row(self, listed: CustomerSummary) -> tuple[str, ...]:
        first = dates.optional_instant(listed.first) or ""
        last_day = "" if listed.first is None else dates.last_full_day(listed.first).isoformat()
        customer, at = listed.customer, listed.customer.archived_at
        more = ((dates.optional_instant(at) or ""),) if self.archived else ()
        return customer.slug, customer.name, str(listed.current), first, last_day, *more


def list_all(
    invocation: Invocation,
    *,
    archived: Annotated[bool, flag("--archived", "Those too.")] = False,
    form: CsvOptions,
) -> Result:
    """List the customers, with the number of their current licenses and the next to end."""
    as_csv = form.asked(invocation)
    with invocation.registry.reading(checked=False) as db:
        listed = tuple(summaries.customers(db, archived=archived))
        left_out = 0 if archived else customers.count_archived(db)
    if as_csv:
        return form.table(COLUMNS, map(_customer_json, listed), name="customers.csv")
    return CustomerList(customers=listed, archived=archived, left_out=left_out)


def _customer_json(listed: CustomerSummary) -> dict[str, Any]:
    return {
        **customer_json(listed.customer),
        "current_licenses": listed.current,
        "next_expiry": dates.optional_instant(listed.first),
    }


def _style(listed: CustomerSummary) -> Style:
    return "plain" if listed.customer.archived_at is None else "dim"
