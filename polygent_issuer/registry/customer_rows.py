"""Customers as they are stored: one way to select them, for every search."""

from collections.abc import Iterator
from typing import Final

from polygent_issuer.registry.columns import (
    Row,
    maybe_moment,
    maybe_text,
    moment,
    strings,
    text,
    whole,
)
from polygent_issuer.registry.connection import Params
from polygent_issuer.registry.records import Customer
from polygent_issuer.registry.transactions import Reading

COLUMNS: Final = """id, slug, name, created_at, archived_at, time_zone, crm, contacts,
    (SELECT group_concat(slug, ' ') FROM aliases WHERE customer_id = customers.id)"""
"""What `of_row` wants first of a row of customers, as SQL."""


def select(db: Reading, rest: str, params: Params = ()) -> Iterator[Customer]:
    """Stream customers.

    Args:
        rest: what follows `FROM customers`; SQL of our own, values in `params`.
    """
    return db.each(of_row, f"SELECT {COLUMNS} FROM customers {rest}", params)  # noqa: S608  # the same


def by_id(db: Reading, customer_id: int) -> Customer:
    """The customer of a row id.

    Raises:
        RegistryDamaged: (`registry_damaged`) when there is none: only another row names it.
    """
    found = _one(db, "WHERE id = ?", (customer_id,))
    if found is None:
        raise db.damaged(f"lacks the customer {customer_id}, which another row names")
    return found


def by_slug(db: Reading, slug: str) -> Customer | None:
    """The customer of exactly this slug, or whose alias it is."""
    where = "WHERE slug = ? OR id = (SELECT customer_id FROM aliases WHERE slug = ?)"
    return _one(db, where, (slug, slug))


def _one(db: Reading, rest: str, params: Params) -> Customer | None:
    return db.one(of_row, f"SELECT {COLUMNS} FROM customers {rest}", params)  # noqa: S608  # the same


def beginning(prefix: str) -> tuple[str, str]:
    """The range that the texts beginning with `prefix` are in: from, and below."""
    return prefix, prefix + "\U0010ffff"


def of_row(row: Row) -> Customer:
    """The customer that a row begins with."""
    return Customer(
        id=whole(row[0]),
        slug=text(row[1]),
        name=text(row[2]),
        created_at=moment(row[3]),
        archived_at=maybe_moment(row[4]),
        time_zone=maybe_text(row[5]),
        crm=maybe_text(row[6]),
        contacts=strings(row[7]),
        aliases=tuple(sorted((maybe_text(row[8]) or "").split())),
    )
