"""Customers: find, add and change them.

Every command finds a customer by one rule (`matches`): slug, alias, exact name, or a name that
matches (`customer_names`).
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, Final

from polygent_issuer.errors import InputRefused, NotFound
from polygent_issuer.registry import customer_names
from polygent_issuer.registry.customer_names import name_keys, text_range
from polygent_issuer.registry.engine import Params, in_chunks, marks
from polygent_issuer.registry.errors import NAMED, Taken, ambiguous, give_one_of, not_found
from polygent_issuer.registry.reading import Reading
from polygent_issuer.registry.records import (
    Customer,
    Value,
    as_int,
    canonical,
    maybe_text,
    reader,
    text,
)
from polygent_issuer.registry.writing import Writing
from polygent_issuer.text import (
    SLUG_LENGTH,
    escape,
    escape_short,
    nearest,
    nfc,
    normalize_for_comparison,
    numbered,
    one_line,
    run,
    slugify,
)

_NOT_ASCII: Final = re.compile(r"[^\x00-\x7f]")
_LONGEST_NOTES: Final = 1_000
_ALIASES: Final = "group_concat(slug, ' ') FROM aliases WHERE customer_id = "
COLUMNS: Final = f"""id, slug, name, created_at, archived_at, held_at, held_until,
    held_reason, time_zone, crm, notes, contacts,
    (SELECT {_ALIASES} customers.id) AS aliases"""
SELECT: Final = f"SELECT {COLUMNS} FROM customers"  # noqa: S608  # columns of our own
"""The SQL for `of_row`."""
of_row: Final = reader(
    Customer, aliases=lambda value: tuple(sorted((maybe_text(value) or "").split()))
)
_NEAR: Final = 500


def select(db: Reading, rest: str, params: Params = ()) -> Iterator[Customer]:
    """Stream customers; `rest` is trusted SQL after `FROM customers`."""
    return db.each(of_row, f"{SELECT} {rest}", params)


def checked(db: Reading, customer: Customer) -> Customer:
    """Return the customer after a check that the row is as the journal last recorded it."""
    db.require_recorded("customers", customer.id)
    db.customers[customer.id] = customer
    return customer


def read_ahead(db: Reading, customer_ids: Iterable[int]) -> None:
    """Read many customers in a few queries, before `by_id` of each."""
    aliases = db.row_check.aliases
    for some in in_chunks(customer_ids):
        db.row_check.read_ahead("customers", some)
        aliases.update(dict.fromkeys(some, ""))
        sql = f"SELECT customer_id, slug FROM aliases WHERE customer_id IN ({marks(some)})"  # noqa: S608
        for customer_id, slug in db.each_row(lambda row: (as_int(row[0]), text(row[1])), sql, some):
            aliases[customer_id] += f" {slug}"


def by_id(db: Reading, customer_id: int) -> Customer:
    """Return the customer of a row id of another row, checked against the journal."""
    known = db.customers.get(customer_id)
    if known is None:
        row = db.require_present(db.recorded("customers", customer_id), f"customer {customer_id}")
        aliases = db.row_check.aliases.get(customer_id)
        if aliases is None:
            aliases = db.value(maybe_text, f"SELECT {_ALIASES} ?", (customer_id,))
        known = db.build(of_row, "customers", {**row, "aliases": aliases})
        db.customers[customer_id] = known
    return known


def by_slug(db: Reading, slug: str) -> Customer | None:
    """Return the customer with exactly this slug or alias, checked against the journal."""
    if (known := db.row_check.customer_ids.get(slug)) is not None:
        return by_id(db, known)
    where = "WHERE slug = ? OR id = (SELECT customer_id FROM aliases WHERE slug = ?)"
    customer = db.one(of_row, f"{SELECT} {where}", (slug, slug))
    if customer is None or customer.slug != slug:
        db.require_recorded("aliases", slug)
    return None if customer is None else by_id(db, customer.id)


def get(db: Reading, slug: str) -> Customer:
    """Return the customer with exactly this slug or alias; `not_found` suggests a similar one."""
    customer = by_slug(db, slug)
    if customer is None:
        raise _not_found(db, slug)
    return customer


def find(db: Reading, typed: str) -> Customer:
    """Return the customer that a text names (`matches`), which may be archived.

    Raises:
        NotFound: (`not_found`) without a match; the hint names those that begin like this, or the
            most similar one.
        Ambiguous: (`ambiguous`) when several match; the hint names them.
    """
    customer = find_known(db, typed)
    if customer is None:
        raise _not_found(db, typed)
    return customer


def find_known(db: Reading, typed: str) -> Customer | None:
    """Return the customer as `find`, or None without a match: then no hint is made, which is slow.

    Raises:
        Ambiguous: as `find`.
    """
    return _only(typed, matches(db, typed))


def matches(db: Reading, typed: str) -> tuple[Customer, ...]:
    """Return the customer with this slug, alias or exact name, else those whose names match."""
    customer = by_slug(db, typed)
    if customer is not None:
        return (customer,)
    if not typed.strip():
        return ()
    matching = _by_ids(db, customer_names.matching(db, typed))
    return tuple(each for each in matching if each.name == nfc(typed)) or matching


def find_by_beginning(db: Reading, typed: str) -> Customer:
    """Return the customer as `find`, or the only one whose slug, alias or name begins like this."""
    customer = find_known(db, typed) or _only(typed, _beginning_with(db, typed))
    if customer is None:
        raise _not_found(db, typed)
    return customer


def every(db: Reading, *, archived: bool = False) -> Iterator[Customer]:
    """Stream the customers by slug; `archived` includes archived ones."""
    return select(db, "ORDER BY slug" if archived else "WHERE archived_at IS NULL ORDER BY slug")


def zones(db: Reading) -> Iterator[tuple[str, str]]:
    """Stream slug and time zone of the customers with one, by slug; without archived ones."""
    sql = """SELECT slug, time_zone FROM customers
        WHERE time_zone IS NOT NULL AND archived_at IS NULL ORDER BY slug"""
    return db.each(lambda row: (text(row["slug"]), text(row["time_zone"])), sql)


def count_archived(db: Reading) -> int:
    """Count the archived customers."""
    return db.value(as_int, "SELECT count(*) FROM customers WHERE archived_at IS NOT NULL") or 0


def similar(db: Reading, name: str, *, besides: Customer | None = None) -> tuple[Customer, ...]:
    """Return the customers with a matching or similar name (`customer_names`), by slug.

    A customer whose slug or alias is made of this name counts, too; an alias also if only the legal
    form differs. `besides` is left out.
    """
    ids, slug = customer_names.similar(db, name) | _merged(db, name), slugify(name)
    plain = slug.replace("-", "")
    # Otherwise the slug is shortened, or made of another script.
    if any(plain.startswith(key.letters.replace(".", "")) for key in name_keys(name)):
        merged = by_slug(db, slug)
        ids |= {merged.id} if merged else set()
    if besides is not None:
        ids.discard(besides.id)
    return _by_ids(db, ids)


def free_slug(db: Reading, name: str, *, besides: Iterable[str] = ()) -> str:
    """Make an unused slug from a name: `acme`, `acme-2`; `besides` count as used."""
    slug = slugify(name)
    # In a long slug the number replaces the end of the name.
    range_ = text_range(slug[: SLUG_LENGTH - 8])
    sql = """SELECT slug FROM customers WHERE slug >= ? AND slug < ?
        UNION SELECT slug FROM aliases WHERE slug >= ? AND slug < ?"""
    taken = {*db.values(text, sql, (*range_, *range_)), *besides}
    return numbered(slug, taken, SLUG_LENGTH, strip="-")


def require_free_slug(db: Reading, slug: str) -> None:
    """Refuse a slug that violates FORMAT §1 (`input_refused`), or that is used (`taken`)."""
    require_slug(slug)
    other = by_slug(db, slug)
    if other is not None:
        raise Taken(
            f"the slug {slug} belongs to {escape(other.name)}",
            hint=f"choose another slug, such as {free_slug(db, slug)}",
        )


def add(
    db: Writing,
    *,
    slug: str,
    name: str,
    contacts: Iterable[str] = (),
    time_zone: str | None = None,
    crm: str | None = None,
    notes: str | None = None,
) -> Customer:
    """Add a customer; the name is stored in NFC. Errors as `require_free_slug`.

    Args:
        contacts: mail addresses or names of people.
        time_zone: an IANA name, checked by the caller.
        crm: the customer's reference in the operator's CRM.
        notes: up to 1,000 characters in one line, as from `one_line`.
    """
    require_free_slug(db, slug)
    columns = _columns(name=name, contacts=contacts, time_zone=time_zone, crm=crm, notes=notes)
    db.insert("customers", slug=slug, slug_reversed=slug[::-1], created_at=db.at, **columns)
    customer = get(db, slug)
    customer_names.write(db, customer.id, customer.name)
    return customer


def edit(db: Writing, customer: Customer, **changes: Any) -> Customer:  # noqa: ANN401  # as in `add`
    """Change the given columns, as in `add`; the slug never changes."""
    if changes:
        db.update("customers", customer.id, **_columns(**changes))
    edited = by_id(db, customer.id)
    if edited.name != customer.name:
        customer_names.write(db, customer.id, edited.name)
    return edited


def archive(db: Writing, customer: Customer, *, undo: bool = False) -> Customer:
    """Archive a customer, or undo that; the licenses do not change."""
    db.update("customers", customer.id, archived_at=None if undo else db.at)
    return by_id(db, customer.id)


def require_slug(slug: str) -> None:
    """Refuse a slug that violates FORMAT §1: `input_refused`."""
    from polygent_issuer.verifier.license import is_slug  # noqa: PLC0415 - the verifier loads cryptography (30 ms)

    if not is_slug(slug):
        raise InputRefused(
            f"{escape_short(slug)} is not a slug",
            hint="use lower-case letters, digits and inner hyphens",
        )


def require_contacts(contacts: Iterable[str]) -> tuple[str, ...]:
    """Return the contacts, each of them a mail address or a name; else `input_refused`."""
    from polygent_issuer import email_address  # noqa: PLC0415 - the verifier loads cryptography (30 ms)

    contacts, encoded = tuple(contacts), email_address.ENCODED_WORD
    for contact in contacts:
        require_text("contact", contact)
        if encoded in contact:
            raise InputRefused(
                f"invalid contact: {escape(contact)} contains {encoded}, the beginning of an "
                "encoded word (RFC 2047)",
                hint="type the name without encoding: Ada <ada@acme.example>",
            )
        plain = _NOT_ASCII.sub("x", contact)  # characters outside ASCII are allowed
        if "@" in contact and email_address.parse_address(plain) is None:
            raise InputRefused(
                f"not an email address: {escape(contact)}",
                hint="leave out mailto:"
                if "mailto:" in contact.lower()
                else "write it like ops@acme.example or Ada <ada@acme.example>; a name has no @",
            )
    return contacts


def require_notes(notes: str | None) -> None:
    """Refuse notes that are empty, too long or not printable in one line: `input_refused`."""
    if notes is None:
        return
    if not 0 < len(notes) <= _LONGEST_NOTES:
        raise InputRefused(
            f"invalid notes: must have 1 to {_LONGEST_NOTES:,} characters, have {len(notes):,}",
            hint="shorten them" if notes else "--no-notes removes them",
        )
    if escape(notes) != notes or one_line(notes) != notes:
        raise InputRefused(
            "invalid notes: they have unprintable characters", hint="write plain text"
        )


def require_text(what: str, value: str | None, *, hint: str = "write it differently") -> None:
    """Refuse a text that is not a display name (FORMAT §1): `input_refused`."""
    from polygent_issuer.verifier.license import display_name_problem  # noqa: PLC0415 - the verifier loads cryptography (30 ms)

    problem = None if value is None else display_name_problem(value)
    if problem is not None:
        raise InputRefused(f"invalid {what}: {problem}", hint=hint)


def _columns(**columns: Any) -> dict[str, Value]:  # noqa: ANN401  # as in `add`
    if "name" in columns:
        name = nfc(columns["name"])
        require_text("name", name)
        folded = normalize_for_comparison(name)
        columns.update(name=name, folded=folded, folded_reversed=folded[::-1])
    if "contacts" in columns:
        columns["contacts"] = canonical(require_contacts(columns["contacts"]))
    require_text("CRM reference", columns.get("crm"))
    require_notes(columns.get("notes"))
    return columns


def _merged(db: Reading, name: str) -> set[int]:
    """Return the ids of the customers with an alias of these letters: its own name is gone."""
    keys = name_keys(name)
    letters = {key.letters for key in keys}
    sql = "SELECT slug FROM aliases WHERE slug >= ? AND slug < ?"
    aliases = {
        alias for key in keys for alias in db.values(text, sql, text_range(slugify(key.words)))
    }
    return {
        get(db, alias).id
        for alias in aliases
        if letters & {key.letters for key in name_keys(alias.replace("-", " "))}
    }


def _by_ids(db: Reading, ids: Iterable[int]) -> tuple[Customer, ...]:
    customers = (by_id(db, customer_id) for customer_id in ids)
    return tuple(sorted(customers, key=lambda customer: customer.slug))


def _beginning_with(db: Reading, typed: str) -> tuple[Customer, ...]:
    """Return the first customers, by slug, whose slug, alias or name begins like this."""
    if not typed.strip():
        return ()
    range_ = text_range(typed)
    by_slugs = (
        "SELECT slug FROM customers WHERE slug >= ? AND slug < ? ORDER BY slug LIMIT ?",
        "SELECT slug FROM aliases WHERE slug >= ? AND slug < ? ORDER BY slug LIMIT ?",
    )
    slugs = [slug for sql in by_slugs for slug in db.values(text, sql, (*range_, NAMED + 1))]
    ids = {get(db, slug).id for slug in slugs}
    ids.update(islice(customer_names.beginning_with(db, typed), NAMED + 1))
    return _by_ids(db, ids)


def _only(typed: str, matches: Sequence[Customer]) -> Customer | None:
    """Return the only match, or None without one; `ambiguous` for several."""
    if len(matches) > 1:
        raise ambiguous(f"several customers match {escape(typed)}", list(map(_title, matches)))
    return matches[0] if matches else None


def _title(customer: Customer) -> str:
    archived = "" if customer.archived_at is None else ", archived"
    return f"{customer.slug} ({customer.name}{archived})"


def _not_found(db: Reading, typed: str) -> NotFound:
    """Return the error for an unknown name, with those that begin like it, or the nearest one."""
    message, every = f"unknown customer {escape(typed)}", run("customer", "list")
    if not typed.strip():
        return not_found("the customer name is empty", None, every)
    beginning = _beginning_with(db, typed)
    if len(beginning) > 1:
        return NotFound(message, hint=give_one_of(list(map(_title, beginning))))
    nearest_slug = beginning[0].slug if beginning else _nearest_slug(db, typed)
    return not_found(message, nearest_slug, every)


def _nearest_slug(db: Reading, typed: str) -> str | None:
    """Return the slug of the customer most similar to a mistyped name or slug."""
    alike = similar(db, typed)
    if alike:
        return alike[0].slug
    slugs: dict[str, str] = {}
    for key in name_keys(typed):
        # Only some customers with the same beginning are compared, which is enough for a hint.
        first = text_range(key.words[:1])
        where = """WHERE id IN (
            SELECT customer_id FROM customer_names WHERE words >= ? AND words < ?
            UNION SELECT id FROM customers WHERE slug >= ? AND slug < ?) ORDER BY slug LIMIT ?"""
        for customer in select(db, where, (*first, *first, _NEAR)):
            slugs[normalize_for_comparison(customer.name)] = customer.slug
            slugs[customer.slug] = customer.slug
    word = nearest(normalize_for_comparison(typed), slugs)
    return None if word is None else slugs[word]
