"""How a customer looks."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from polygent_issuer.registry import Customer
from polygent_issuer.terms import dates

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo


def customer_json(customer: Customer) -> dict[str, Any]:
    """A customer for programs."""
    archived = customer.archived_at
    return {
        "slug": customer.slug,
        "name": customer.name,
        "contacts": list(customer.contacts),
        "time_zone": customer.time_zone,
        "crm": customer.crm,
        "aliases": list(customer.aliases),
        "created_at": dates.instant(customer.created_at),
        "archived_at": None if archived is None else dates.instant(archived),
    }


def customer_rows(customer: Customer) -> Iterable[tuple[str, str | None]]:
    """A customer as names and values for people."""
    yield "name", customer.name
    yield "slug", customer.slug
    yield "aliases", ", ".join(customer.aliases) or None
    yield "contacts", ", ".join(customer.contacts) or None
    yield "time zone", customer.time_zone
    yield "CRM", customer.crm
    yield "since", dates.instant(customer.created_at)
    yield "archived", None if customer.archived_at is None else dates.instant(customer.archived_at)


def zone_of(customer: Customer) -> "ZoneInfo | None":
    """The customer's time zone; `None` also where this machine does not know it."""
    return dates.known_zone(customer.time_zone)
