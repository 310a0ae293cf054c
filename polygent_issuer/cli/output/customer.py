"""Customers as text and JSON, and their licenses that carry another name."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from polygent_issuer.cli.output.json_text import hint_json
from polygent_issuer.cli.output.model import Block, Line
from polygent_issuer.registry.holds import hold_end, on_hold
from polygent_issuer.terms import dates

if TYPE_CHECKING:
    from datetime import datetime
    from zoneinfo import ZoneInfo

    from polygent_issuer.issuing.customer_changes import OutdatedLicense
    from polygent_issuer.registry import Customer


def customer_json(customer: "Customer") -> dict[str, Any]:
    """Return a customer as JSON."""
    return {
        "slug": customer.slug,
        "name": customer.name,
        "contacts": list(customer.contacts),
        "time_zone": customer.time_zone,
        "crm": customer.crm,
        "aliases": list(customer.aliases),
        "created_at": dates.instant(customer.created_at),
        "archived_at": dates.optional_instant(customer.archived_at),
        "notes": customer.notes,
        "held_at": dates.optional_instant(customer.held_at),
        "held_until": dates.optional_instant(customer.held_until),
        "held_reason": customer.held_reason,
    }


def customer_rows(
    customer: "Customer", now: "datetime | None" = None
) -> Iterable[tuple[str, str | None]]:
    """Yield the fields of a customer for people, and its hold unless `now` is after its end."""
    yield "name", customer.name
    yield "slug", customer.slug
    yield "aliases", ", ".join(customer.aliases) or None
    yield "contacts", ", ".join(customer.contacts) or None
    yield "time zone", customer.time_zone
    yield "CRM", customer.crm
    yield "notes", customer.notes
    yield "since", dates.instant(customer.created_at)
    yield "archived", dates.optional_instant(customer.archived_at)
    if customer.held_at is not None and (now is None or on_hold(customer, now)):
        yield "on hold", hold_text(customer)


def hold_text(customer: "Customer") -> str:
    """Return beginning, end and reason of a hold."""
    end = hold_end(customer)
    since = dates.optional_instant(customer.held_at)
    return f"since {since}{end and f', until {end}'}: {customer.held_reason}"


def hold_line(customer: "Customer") -> Line:
    """Return a hold and the command that ends it as one line, for lists of licenses."""
    end, slug = hold_end(customer), customer.slug
    state = f"{slug} is on hold{end and f' until {end}'}: {customer.held_reason}"
    return Line(f"{state}; to release it: polygent-issue customer hold {slug} --release", "warn")


def zone_of(customer: "Customer") -> "ZoneInfo | None":
    """Return the customer's time zone, or None if it is not set or not known on this machine."""
    return dates.known_zone(customer.time_zone)


def outdated_json(license_: "OutdatedLicense") -> dict[str, Any]:
    """Return a license as JSON; `mend` is the command that reissues it."""
    return {
        "id": license_.license_id,
        "name": license_.name,
        "slug": license_.sub,
        "machine": license_.machine,
        "expires_at": dates.instant(license_.expires_at),
        **hint_json(license_.command, "mend"),
    }


def outdated_lines(licenses: "Sequence[OutdatedLicense]", what: str) -> Iterable[Block]:
    """Yield each license that still contains `what` (`the old name`), and below it the command."""
    if not licenses:
        return
    yield Line(f"these license files still contain {what}, and stay valid:", "warn")
    for each in licenses:
        until = dates.describe_expiry(each.expires_at)
        yield Line(f"{each.name}, {each.machine or 'any machine'}, until {until}", indent=1)
        yield Line(each.command, indent=2)
