"""Customers as they are stored: one way to select them, for every search."""

from collections.abc import Iterator
from typing import Final

from polygent_issuer.registry.columns import (
    Fields,
    as_int,
    maybe_moment,
    maybe_text,
    moment,
    strings,
    text,
)
from polygent_issuer.registry.connection import Params
from polygent_issuer.registry.records import Customer
from polygent_issuer.registry.transactions import Reading

COLUMNS: Final = """id, slug, name, created_at, archived_at, time_zone, crm, contacts,
    (SELECT group_concat(slug, ' ') FROM aliases WHERE customer_id = customers.id) AS aliases"""
"""What `of_row` reads of a row of customers, as SQL."""


def select(db: Reading, rest: str, params: Params = ()) -> Iterator[Customer]:
    """Stream customers.

    Args:
        rest: what follows `FROM customers`; SQL of our own, values in `params`.
    """
    return db.each(of_row, f"SELECT {COLUMNS} FROM customers {rest}", params)  # noqa: S608  # the same


def checked(db: Reading, customer: Customer) -> Customer:
    """Return a customer whose row is as the journal last recorded it.

    Raises:
        RegistryDamaged: (`registry_damaged`) when it is not.
    """
    db.require_recorded("customers", customer.id)
    return customer


def by_id(db: Reading, customer_id: int) -> Customer:
    """The customer of a row id, as the journal recorded it.

    Raises:
        RegistryDamaged: (`registry_damaged`) when there is none: only another row names it.
    """
    found = next(select(db, "WHERE id = ?", (customer_id,)), None)
    if found is None:
        raise db.damaged(f"lacks the customer {customer_id}, which another row names")
    return checked(db, found)


def by_slug(db: Reading, slug: str) -> Customer | None:
    """The customer of exactly this slug, or whose alias it is, as the journal recorded it."""
    where = "WHERE slug = ? OR id = (SELECT customer_id FROM aliases WHERE slug = ?)"
    found = next(select(db, where, (slug, slug)), None)
    if found is None or found.slug != slug:
        db.require_recorded("aliases", slug)
    return None if found is None else checked(db, found)


def beginning(prefix: str) -> tuple[str, str]:
    """The range that the texts beginning with `prefix` are in: from, and below."""
    return prefix, prefix + "\U0010ffff"


def of_row(row: Fields) -> Customer:
    """The customer of a row."""
    return Customer(
        id=as_int(row["id"]),
        slug=text(row["slug"]),
        name=text(row["name"]),
        created_at=moment(row["created_at"]),
        archived_at=maybe_moment(row["archived_at"]),
        time_zone=maybe_text(row["time_zone"]),
        crm=maybe_text(row["crm"]),
        contacts=strings(row["contacts"]),
        aliases=tuple(sorted((maybe_text(row["aliases"]) or "").split())),
    )
