"""Expiries of current licenses for an overview, and chains of replacements for a calendar."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from polygent_issuer.registry.columns import Fields, as_int, seconds, text, whole_seconds
from polygent_issuer.registry.license_rows import STATUS
from polygent_issuer.registry.records import LicenseStatus
from polygent_issuer.registry.transactions import Reading

_ENDS: Final = f"""SELECT expires_at, customer_id,
    (SELECT name FROM customers WHERE customers.id = customer_id) AS name
    FROM licenses WHERE {STATUS[LicenseStatus.CURRENT]}
    AND expires_at > ? AND expires_at <= ?
    AND EXISTS (SELECT 1 FROM customers WHERE id = customer_id AND archived_at IS NULL)
    ORDER BY expires_at, id"""  # noqa: S608 - conditions of our own


_REPLACED: Final = f"""SELECT id, replaced_by FROM licenses
    WHERE {STATUS[LicenseStatus.REPLACED]} ORDER BY issued_at, id"""  # noqa: S608 - our own


@dataclass(frozen=True, kw_only=True, slots=True)
class Chain:
    """A license, those that it replaced one after the other, and those that replaced it.

    Attributes:
        first_id, last_id: the two ends.
        replacements: how often a license replaced another.
    """

    first_id: str
    last_id: str
    replacements: int


class Chains:
    """The chains of replacements of a snapshot.

    Where several licenses were joined into one, it continues the chain of the one that was issued
    first; the chains of the others end there.
    """

    def __init__(self, db: Reading) -> None:
        """Read which license replaced which other."""
        self._next: dict[str, str] = {}
        self._before: dict[str, str] = {}
        for old, new in db.each(_replacement, _REPLACED):
            if self._before.setdefault(new, old) == old:
                self._next[old] = new

    def of(self, license_id: str) -> Chain:
        """Return the chain of a license. If edited rows form a circle, it ends there."""
        back = _walk(license_id, self._before)
        on = _walk(license_id, self._next)
        return Chain(first_id=back[-1], last_id=on[-1], replacements=len(back) + len(on) - 2)


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


def _expiry(row: Fields) -> Expiry:
    return Expiry(
        expires_at=seconds(row["expires_at"]),
        customer_id=as_int(row["customer_id"]),
        customer=text(row["name"]),
    )


def _replacement(row: Fields) -> tuple[str, str]:
    return text(row["id"]), text(row["replaced_by"])


def _walk(start: str, steps: Mapping[str, str]) -> list[str]:
    walked = {start: None}  # a dict keeps its order
    while (step := steps.get(start)) is not None and step not in walked:
        walked[step] = None
        start = step
    return list(walked)
