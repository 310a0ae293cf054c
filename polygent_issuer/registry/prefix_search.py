"""What begins with what was typed, for shell completion: few columns and few rows of any registry.

When more rows match than are wanted, the last of them is among those given: what a shell fills in
by itself is the beginning that all have in common, and that of the first and the last is it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Final, TypeVar

from polygent_issuer.registry.columns import Fields, as_int, maybe_text, seconds, text
from polygent_issuer.registry.connection import Params
from polygent_issuer.registry.customer_rows import beginning
from polygent_issuer.registry.license_rows import STATUS
from polygent_issuer.registry.records import Customer, LicenseStatus
from polygent_issuer.registry.transactions import Reading

SHORT: Final = 8
"""How much of a license's id people type, where that names only one."""

_Row = TypeVar("_Row")


@dataclass(frozen=True, kw_only=True, slots=True)
class SlugRow:
    """A customer's slug, and whose it is."""

    slug: str
    name: str
    archived: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class LabelRow:
    """A machine's label, and the name that it has in its network."""

    label: str
    hostname: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class IdRow:
    """A license; `short` is the beginning of its id that names no other one."""

    id: str
    short: str
    customer: str
    machine: str | None
    expires_at: datetime
    status: LicenseStatus


def slugs(db: Reading, prefix: str, most: int) -> tuple[SlugRow, ...]:
    """Customers whose slug begins so, in its order."""
    sql = "SELECT slug, name, archived_at FROM customers WHERE slug >= ? AND slug < ?"
    return _some(db, _slug, sql, beginning(prefix), by="slug", most=most)


def labels(db: Reading, customer: Customer, prefix: str, most: int) -> tuple[LabelRow, ...]:
    """A customer's machines whose label begins so, in its order."""
    sql = "SELECT label, hostname FROM machines WHERE customer_id = ? AND label >= ? AND label < ?"
    params = (customer.id, *beginning(prefix))
    return _some(db, _label, sql, params, by="label", most=most)


def ids(
    db: Reading, prefix: str, most: int, *, customer: Customer | None, current: bool
) -> tuple[IdRow, ...]:
    """Licenses whose id begins so, in its order.

    Args:
        customer: theirs only.
        current: only those that may be renewed.
    """
    sql = f"{_IDS} WHERE id >= ? AND id < ?"
    params: Params = beginning(prefix)
    if customer is not None:
        sql, params = f"{sql} AND customer_id = ?", (*params, customer.id)
    if current:
        sql = f"{sql} AND {STATUS[LicenseStatus.CURRENT]}"
    return _some(db, _id, sql, params, by="id", most=most)


_IDS: Final = f"""SELECT id, (SELECT slug FROM customers WHERE customers.id = customer_id) AS slug,
    (SELECT label FROM machines WHERE machines.id = machine_id) AS label, expires_at,
    replaced_by, retired_at,
    (SELECT count(*) FROM (SELECT 1 FROM licenses AS other
        WHERE other.id >= substr(licenses.id, 1, {SHORT})
        AND other.id < substr(licenses.id, 1, {SHORT}) || char(1114111) LIMIT 2)) AS alike
    FROM licenses"""  # noqa: S608  # a number of our own


def _some(
    db: Reading, build: Callable[[Fields], _Row], sql: str, params: Params, *, by: str, most: int
) -> tuple[_Row, ...]:
    first = tuple(db.each(build, f"{sql} ORDER BY {by} LIMIT ?", (*params, most)))
    if len(first) < most:
        return first
    last = tuple(db.each(build, f"{sql} ORDER BY {by} DESC LIMIT 1", params))
    return (*first[:-1], *last)


def _slug(row: Fields) -> SlugRow:
    archived = row["archived_at"] is not None
    return SlugRow(slug=text(row["slug"]), name=text(row["name"]), archived=archived)


def _label(row: Fields) -> LabelRow:
    return LabelRow(label=text(row["label"]), hostname=maybe_text(row["hostname"]))


def _id(row: Fields) -> IdRow:
    license_id, status = text(row["id"]), LicenseStatus.CURRENT
    if row["replaced_by"] is not None:
        status = LicenseStatus.REPLACED
    elif row["retired_at"] is not None:
        status = LicenseStatus.RETIRED
    return IdRow(
        id=license_id,
        short=license_id[:SHORT] if as_int(row["alike"]) == 1 else license_id,
        customer=text(row["slug"]),
        machine=maybe_text(row["label"]),
        expires_at=seconds(row["expires_at"]),
        status=status,
    )
