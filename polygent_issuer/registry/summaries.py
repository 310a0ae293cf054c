"""Queries for a few columns of many rows, such as counts and overviews."""

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Final, NamedTuple, TypeVar

from polygent_issuer.registry import machines
from polygent_issuer.registry.customer_names import text_range
from polygent_issuer.registry.customers import COLUMNS, SELECT, of_row
from polygent_issuer.registry.engine import Params
from polygent_issuer.registry.licenses import CURRENT, STATUS_COLUMN
from polygent_issuer.registry.reading import Reading
from polygent_issuer.registry.records import (
    Customer,
    Fields,
    LicenseStatus,
    Machine,
    as_int,
    optional,
    reader,
    seconds,
    text,
    whole_seconds,
)

_Row = TypeVar("_Row")

SHORT: Final = 8
"""The number of characters of a license's short id, if that is unambiguous."""

_COUNTED: Final = ("customers", "machines", "licenses", "keys", "journal")
_THEIRS: Final = f"customer_id = customers.id AND {CURRENT}"
_CUSTOMERS: Final = f"""SELECT {COLUMNS},
    (SELECT count(*) FROM licenses WHERE {_THEIRS}) AS current,
    (SELECT min(expires_at) FROM licenses WHERE {_THEIRS}) AS first
    FROM customers"""  # noqa: S608  # columns and conditions of our own
_ENDS: Final = f"""SELECT expires_at, customer_id,
    (SELECT name FROM customers WHERE customers.id = customer_id) AS customer
    FROM licenses WHERE {CURRENT}
    AND expires_at > ? AND expires_at <= ?
    AND EXISTS (SELECT 1 FROM customers WHERE id = customer_id AND archived_at IS NULL)
    ORDER BY expires_at, id"""  # noqa: S608 - conditions of our own
_REPLACED: Final = """SELECT id, replaced_by FROM licenses
    WHERE replaced_by IS NOT NULL ORDER BY issued_at, id"""
_IDS: Final = f"""SELECT id, CASE WHEN (SELECT count(*) FROM (SELECT 1 FROM licenses AS other
        WHERE other.id >= substr(licenses.id, 1, {SHORT})
        AND other.id < substr(licenses.id, 1, {SHORT}) || '\U0010ffff' LIMIT 2) AS same) = 1
        THEN substr(id, 1, {SHORT}) ELSE id END AS short,
    (SELECT slug FROM customers WHERE customers.id = customer_id) AS customer,
    (SELECT label FROM machines WHERE machines.id = machine_id) AS machine, expires_at,
    {STATUS_COLUMN}
    FROM licenses"""  # noqa: S608  # a number of our own


class CustomerSummary(NamedTuple):
    """A customer, the number of its current licenses, and the first expiry of these, if any."""

    customer: Customer
    current: int
    first: datetime | None


def customers(db: Reading, *, archived: bool) -> Iterator[CustomerSummary]:
    """Stream the customers by slug; `archived` includes archived ones."""
    first = optional(seconds)

    def summary(row: Fields) -> CustomerSummary:
        return CustomerSummary(
            customer=of_row(row), current=as_int(row["current"]), first=first(row["first"])
        )

    where = "" if archived else " WHERE archived_at IS NULL"
    return db.each(summary, f"{_CUSTOMERS}{where} ORDER BY slug")


def count_all(db: Reading) -> dict[str, int]:
    """Count the rows of the main tables, by table."""
    return {
        table: db.value(as_int, f"SELECT count(*) FROM {table}") or 0  # noqa: S608  # tables of our own
        for table in _COUNTED
    }


class Chain(NamedTuple):
    """The first and the last of licenses that replaced one another, and the replacements."""

    first_id: str
    last_id: str
    replacements: int


class Chains:
    """The chains of replacements of a snapshot.

    A license that replaced several others continues the chain of the one that was issued first. The
    chains of the others end before it.
    """

    def __init__(self, db: Reading) -> None:
        """Read all replacements."""
        self._next: dict[str, str] = {}
        self._before: dict[str, str] = {}
        for old, new in db.each(lambda row: tuple(map(text, row.values())), _REPLACED):
            if self._before.setdefault(new, old) == old:
                self._next[old] = new

    def of(self, license_id: str) -> Chain:
        """Return the chain of a license; a circle, which only edited rows form, ends it."""
        back = _walk(license_id, self._before)
        on = _walk(license_id, self._next)
        return Chain(first_id=back[-1], last_id=on[-1], replacements=len(back) + len(on) - 2)


def _walk(start: str, steps: Mapping[str, str]) -> list[str]:
    walked = {start: None}  # a dict keeps its order
    while (step := steps.get(start)) is not None and step not in walked:
        walked[step] = None
        start = step
    return list(walked)


class Expiry(NamedTuple):
    """The expiry of a current license, and the customer's name."""

    expires_at: datetime
    customer_id: int
    customer: str


_expiry: Final = reader(Expiry, expires_at=seconds)


def expiries(db: Reading, after: datetime, until: datetime) -> Iterator[Expiry]:
    """Stream the expiries of current licenses, earliest first; without archived customers.

    Args:
        after, until: aware instants; an expiry at `until` is included, one at `after` is not.
    """
    return db.each(_expiry, _ENDS, (whole_seconds(after), whole_seconds(until)))


class IdRow(NamedTuple):
    """A license; `short` is an unambiguous beginning of its id."""

    id: str
    short: str
    customer: str
    machine: str | None
    expires_at: datetime
    status: LicenseStatus


_id: Final = reader(IdRow, expires_at=seconds)


def slugs(db: Reading, prefix: str, most: int) -> tuple[Customer, ...]:
    """Return customers whose slug has the prefix, by slug."""
    sql = f"{SELECT} WHERE slug >= ? AND slug < ?"
    return _some(db, of_row, sql, text_range(prefix), by="slug", most=most)


def labels(db: Reading, customer: Customer, prefix: str, most: int) -> tuple[Machine, ...]:
    """Return a customer's machines whose label has the prefix, by label."""
    sql = f"{machines.SELECT} WHERE customer_id = ? AND label >= ? AND label < ?"
    params = (customer.id, *text_range(prefix))
    return _some(db, machines.of_row, sql, params, by="label", most=most)


def ids(
    db: Reading, prefix: str, most: int, *, customer: Customer | None, current: bool
) -> tuple[IdRow, ...]:
    """Return licenses whose id has the prefix, by id; optionally of a customer, or current ones."""
    sql = f"{_IDS} WHERE id >= ? AND id < ?"
    params: Params = text_range(prefix)
    if customer is not None:
        sql, params = f"{sql} AND customer_id = ?", (*params, customer.id)
    if current:
        sql = f"{sql} AND {CURRENT}"
    return _some(db, _id, sql, params, by="id", most=most)


def _some(
    db: Reading, build: Callable[[Fields], _Row], sql: str, params: Params, *, by: str, most: int
) -> tuple[_Row, ...]:
    """Read the first `most` rows; if there are more, the last row replaces the last of these."""
    first = tuple(db.each(build, f"{sql} ORDER BY {by} LIMIT ?", (*params, most)))
    if len(first) < most:
        return first
    last = tuple(db.each(build, f"{sql} ORDER BY {by} DESC LIMIT 1", params))
    return (*first[:-1], *last)
