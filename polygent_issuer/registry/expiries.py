"""When current licenses end, and whose they are: enough for an overview of any number of them."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from polygent_issuer.registry.columns import Row, seconds, text, whole, whole_seconds
from polygent_issuer.registry.license_rows import STATUS
from polygent_issuer.registry.records import LicenseStatus
from polygent_issuer.registry.transactions import Reading

_ENDS: Final = f"""SELECT expires_at, customer_id,
    (SELECT name FROM customers WHERE customers.id = customer_id)
    FROM licenses WHERE {STATUS[LicenseStatus.CURRENT]}
    AND expires_at > ? AND expires_at <= ?
    AND EXISTS (SELECT 1 FROM customers WHERE id = customer_id AND archived_at IS NULL)
    ORDER BY expires_at, id"""  # noqa: S608 - conditions of our own


@dataclass(frozen=True, kw_only=True, slots=True)
class Expiry:
    """One current license's end, and whose it is."""

    expires_at: datetime
    customer_id: int
    customer: str


def between(db: Reading, after: datetime, until: datetime) -> Iterator[Expiry]:
    """Stream the ends of current licenses, the first first; archived customers are left out.

    Args:
        after, until: aware instants; one that ends at `until` counts, one at `after` does not.
    """
    return db.each(_expiry, _ENDS, (whole_seconds(after), whole_seconds(until)))


def _expiry(row: Row) -> Expiry:
    return Expiry(expires_at=seconds(row[0]), customer_id=whole(row[1]), customer=text(row[2]))
