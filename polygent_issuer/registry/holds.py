"""Holds: batches keep back the licenses of a customer on hold.

A hold is over at its end, without a command; its columns stay until the next hold or release.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import NamedTuple

from polygent_issuer.registry.customers import edit
from polygent_issuer.registry.records import Customer, LicenseRecord, Value, moment_text
from polygent_issuer.registry.writing import Writing
from polygent_issuer.terms import dates


class Hold(NamedTuple):
    """A hold since an instant, until an instant or without end."""

    since: datetime
    until: datetime | None
    reason: str


def on_hold(row: Customer | LicenseRecord, now: datetime) -> bool:
    """Return whether the customer, or that of the license, is on hold at an instant."""
    return row.held_at is not None and (row.held_until is None or now < row.held_until)


def hold_end(customer: Customer) -> str:
    """Return the last day of a hold in the customer's time zone; empty if the hold has no end."""
    until, zone = customer.held_until, dates.known_zone(customer.time_zone)
    return "" if until is None else dates.last_full_day(until, zone).isoformat()


def hold_of(customer: Customer, now: datetime) -> Hold | None:
    """Return the hold of a customer at an instant, or None."""
    if customer.held_at is None or not on_hold(customer, now):
        return None
    reason = customer.held_reason or ""
    return Hold(since=customer.held_at, until=customer.held_until, reason=reason)


def set_hold(db: Writing, customer: Customer, hold: Hold | None) -> Customer:
    """Put a customer on hold, change the hold, or remove it (None)."""
    return edit(db, customer, **columns_of(hold))


def columns_of(hold: Hold | None) -> dict[str, Value]:
    """Return the columns of a customer with this hold."""
    if hold is None:
        return {"held_at": None, "held_until": None, "held_reason": None}
    until = None if hold.until is None else moment_text(hold.until)
    return {"held_at": moment_text(hold.since), "held_until": until, "held_reason": hold.reason}


def merged_hold(customers: Iterable[Customer], now: datetime) -> Hold | None:
    """Return one hold for several customers: first beginning, last end, and every reason."""
    holds = [hold for each in customers if (hold := hold_of(each, now)) is not None]
    if not holds:
        return None
    ends = [hold.until for hold in holds if hold.until is not None]
    return Hold(
        since=min(hold.since for hold in holds),
        until=max(ends) if len(ends) == len(holds) else None,
        reason="; ".join(dict.fromkeys(hold.reason for hold in holds)),
    )
