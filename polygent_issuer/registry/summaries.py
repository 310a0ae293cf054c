"""Counts of the registry, and of each customer: current licenses, and which ends first."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from polygent_issuer.registry.columns import Fields, as_int, maybe_seconds
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
class CustomerSummary:
    """A customer, the number of current licenses, and when the first of them ends, if any."""

    customer: Customer
    current: int
    first: datetime | None


def every(db: Reading, *, archived: bool) -> Iterator[CustomerSummary]:
    """Stream the customers by slug.

    Args:
        archived: also those.
    """
    where = "" if archived else " WHERE archived_at IS NULL"
    return db.each(_ends, f"{_SELECT}{where} ORDER BY slug")


def _ends(row: Fields) -> CustomerSummary:
    return CustomerSummary(
        customer=of_row(row), current=as_int(row["current"]), first=maybe_seconds(row["first"])
    )


_COUNTED: Final = ("customers", "machines", "licenses", "keys", "journal")


def count_all(db: Reading) -> dict[str, int]:
    """How many rows the tables have that people ask for, by table.

    Raises:
        RegistryDamaged: (`registry_damaged`) when one of them is gone.
    """
    return {
        table: db.value(as_int, f"SELECT count(*) FROM {table}") or 0  # noqa: S608  # tables of our own
        for table in _COUNTED
    }
