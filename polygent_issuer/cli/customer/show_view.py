"""How all that is known of a customer looks."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from polygent_issuer.cli.blocks import Block, Fields, Line, Table
from polygent_issuer.cli.customer.customer_view import customer_json, customer_rows, zone_of
from polygent_issuer.cli.customer.machine_view import ShownMachine
from polygent_issuer.cli.journal.row_view import journal_json, journal_table
from polygent_issuer.cli.license.listing import Listed, license_table
from polygent_issuer.cli.output import Result
from polygent_issuer.registry import Customer, JournalRow


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
