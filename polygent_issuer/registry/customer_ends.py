"""Customers with what they have: how many current licenses, and which ends first."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from polygent_issuer.registry.columns import Fields, maybe_seconds, whole
from polygent_issuer.registry.customer_rows import COLUMNS, of_row
from polygent_issuer.registry.license_rows import STATUS
from polygent_issuer.registry.records import Customer, LicenseStatus
from polygent_issuer.registry.transactions import Reading

_THEIRS: Final = f"customer_id = customers.id AND {STATUS[LicenseStatus.CURRENT]}"
_SELECT: Final = f"""SELECT {COLUMNS},
    (SELECT count(*) FROM licenses WHERE {_THEIRS}) AS current,
    (SELECT min(expires_at) FROM licenses WHERE {_THEIRS}) AS first
    FROM customers"""  # noqa: S608  # columns and conditions of our own


@dataclass(frozen=True, kw_only=True, slots=True)
class CustomerEnds:
    """A customer, the number of current licenses, and when the first of them ends, if any."""

    customer: Customer
    current: int
    first: datetime | None


def every(db: Reading, *, archived: bool) -> Iterator[CustomerEnds]:
    """Stream the customers by slug.

    Args:
        archived: also those.
    """
    where = "" if archived else " WHERE archived_at IS NULL"
    return db.each(_ends, f"{_SELECT}{where} ORDER BY slug")


def _ends(row: Fields) -> CustomerEnds:
    return CustomerEnds(
        customer=of_row(row), current=whole(row["current"]), first=maybe_seconds(row["first"])
    )
