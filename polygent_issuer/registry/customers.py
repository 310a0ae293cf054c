"""Customers: whom licenses are for."""

import re
from collections.abc import Iterable, Iterator
from enum import Enum
from typing import Final

from polygent_issuer.errors import InputRefused
from polygent_issuer.registry.customer_search import (
    beginning,
    by_id,
    by_slug,
    find,
    find_by_beginning,
    get,
    select,
    similar,
)
from polygent_issuer.registry.errors import Taken
from polygent_issuer.registry.records import Customer, Value, as_int, canonical, text
from polygent_issuer.registry.transactions import Reading, Writing
from polygent_issuer.text import SLUG_LENGTH, escape, nfc, normalize_for_comparison, slugify

__all__ = [
    "UNSET",
    "Unset",
    "add",
    "archive",
    "by_id",
    "by_slug",
    "count_archived",
    "edit",
    "every",
    "find",
    "find_by_beginning",
    "free_slug",
    "get",
    "require_free_slug",
    "similar",
    "unarchive",
    "zones",
]

_NOT_ASCII: Final = re.compile(r"[^\x00-\x7f]")


class Unset(Enum):
    """The type of `UNSET`."""

    UNSET = "unset"


# What `edit` leaves as it is; None clears.
UNSET: Final = Unset.UNSET


def every(db: Reading, *, archived: bool = False) -> Iterator[Customer]:
    """Stream the customers by slug.

    Args:
        archived: also those.
    """
    return select(db, "ORDER BY slug" if archived else "WHERE archived_at IS NULL ORDER BY slug")


def zones(db: Reading) -> Iterator[tuple[str, str]]:
    """Stream slug and time zone of those who have one and are not archived, by slug."""
    sql = """SELECT slug, time_zone FROM customers
        WHERE time_zone IS NOT NULL AND archived_at IS NULL ORDER BY slug"""
    return db.each(lambda row: (text(row["slug"]), text(row["time_zone"])), sql)


def count_archived(db: Reading) -> int:
    """How many are archived."""
    sql = "SELECT count(*) FROM customers WHERE archived_at IS NOT NULL"
    return db.value(as_int, sql) or 0


def free_slug(db: Reading, name: str, *, besides: Iterable[str] = ()) -> str:
    """Make a slug from a name, one that nobody has: `acme`, `acme-2` and so on.

    Args:
        besides: what is not free either.
    """
    base = slugify(name)
    taken = _slugs(db, base).union(besides)
    number, slug = 1, base
    while slug in taken:
        number += 1
        ending = f"-{number}"
        slug = base[: SLUG_LENGTH - len(ending)].rstrip("-") + ending
    return slug


def require_free_slug(db: Reading, slug: str) -> None:
    """Check a slug that a new customer will get.

    Raises:
        InputRefused: (`input_refused`) when it breaks FORMAT §1 (`sub`).
        Taken: (`taken`) when it is the slug or alias of another customer.
    """
    # The verifier loads cryptography (30 ms), which listing customers needs not wait for.
    from polygent_issuer.verifier.identifiers import is_slug  # noqa: PLC0415

    if not is_slug(slug):
        raise InputRefused(
            f"{escape(slug)} is not a slug", hint="use lower-case letters, digits and inner hyphens"
        )
    other = by_slug(db, slug)
    if other is not None:
        raise Taken(
            f"the slug {slug} is taken by {escape(other.name)}",
            hint=f"take another, such as {free_slug(db, slug)}",
        )


def add(
    db: Writing,
    *,
    slug: str,
    name: str,
    contacts: Iterable[str] = (),
    time_zone: str | None = None,
    crm: str | None = None,
) -> Customer:
    """Add a customer; the name is stored in NFC.

    Args:
        slug: FORMAT §1 (`sub`), free: no other's slug or alias.
        name: a display name (FORMAT §1).
        contacts: mail addresses or names of people.
        time_zone: an IANA name, judged by the caller.
        crm: the reference in the operator's own books.

    Raises:
        InputRefused: (`input_refused`) for a slug or text that FORMAT §1 forbids.
        Taken: (`taken`) when the slug is another's.
    """
    require_free_slug(db, slug)
    db.insert(
        "customers",
        slug=slug,
        slug_reversed=slug[::-1],
        created_at=db.at,
        **_name(name),
        contacts=_contacts(contacts),
        time_zone=time_zone,
        crm=_text("the CRM reference", crm),
    )
    return get(db, slug)


def edit(
    db: Writing,
    customer: Customer,
    *,
    name: str | Unset = UNSET,
    contacts: Iterable[str] | Unset = UNSET,
    time_zone: str | Unset | None = UNSET,
    crm: str | Unset | None = UNSET,
) -> Customer:
    """Change what is given, leave the rest; the slug stays for ever.

    Raises:
        InputRefused: (`input_refused`) for text that FORMAT §1 forbids.
        NotFound: (`not_found`) when the customer is not in the registry.
    """
    columns: dict[str, Value] = {}
    if not isinstance(name, Unset):
        columns.update(_name(name))
    if not isinstance(contacts, Unset):
        columns["contacts"] = _contacts(contacts)
    if not isinstance(time_zone, Unset):
        columns["time_zone"] = time_zone
    if not isinstance(crm, Unset):
        columns["crm"] = _text("the CRM reference", crm)
    if columns:
        db.update("customers", customer.id, **columns)
    return by_id(db, customer.id)


def archive(db: Writing, customer: Customer) -> Customer:
    """Note that the customer is none any more; the licenses stay as they are."""
    db.update("customers", customer.id, archived_at=db.at)
    return by_id(db, customer.id)


def unarchive(db: Writing, customer: Customer) -> Customer:
    """Take back an `archive`."""
    db.update("customers", customer.id, archived_at=None)
    return by_id(db, customer.id)


def _name(name: str) -> dict[str, Value]:
    name = nfc(name)
    _text("the name", name)
    folded = normalize_for_comparison(name)
    return {"name": name, "folded": folded, "folded_reversed": folded[::-1]}


def _contacts(contacts: Iterable[str]) -> str:
    from polygent_issuer.email_address import ENCODED_WORD  # noqa: PLC0415  # see above

    contacts = tuple(contacts)
    for contact in contacts:
        _text("the contact", contact)
        if ENCODED_WORD in contact:
            raise InputRefused(
                f"the contact cannot be used: {escape(contact)} contains {ENCODED_WORD}, which "
                "begins an encoded word (RFC 2047)",
                hint="type the name as it reads: Ada <ada@acme.example>",
            )
        if "@" in contact and not _is_mailbox(contact):
            raise InputRefused(
                f"this is no mail address: {escape(contact)}",
                hint="leave out mailto:"
                if "mailto:" in contact.lower()
                else "such as ops@acme.example or Ada <ada@acme.example>; a name alone has no @",
            )
    return canonical(contacts)


def _is_mailbox(contact: str) -> bool:
    """Check the form of a mailbox; letters beyond ASCII may be in both parts of the address."""
    from polygent_issuer import email_address  # noqa: PLC0415  # see above

    return email_address.parse_address(_NOT_ASCII.sub("x", contact)) is not None


def _text(what: str, value: str | None) -> str | None:
    from polygent_issuer.verifier.identifiers import display_name_problem  # noqa: PLC0415  # see above

    problem = None if value is None else display_name_problem(value)
    if problem is not None:
        raise InputRefused(f"{what} cannot be used: {problem}", hint="write it otherwise")
    return value


def _slugs(db: Reading, prefix: str) -> set[str]:
    # A number may have displaced the end of a long name.
    low, high = beginning(prefix[: SLUG_LENGTH - 8])
    sql = """SELECT slug FROM customers WHERE slug >= ? AND slug < ?
        UNION SELECT slug FROM aliases WHERE slug >= ? AND slug < ?"""
    return set(db.values(text, sql, (low, high, low, high)))
