"""Customers: find them by id, slug, alias, name or similar name; add and change them.

Names are similar if they differ only in case, form or spacing, or in one letter. A difference in a
digit never counts: Store 001 and Store 002 are two customers.
"""

import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Any, Final

from polygent_issuer.errors import Ambiguous, InputRefused, NotFound
from polygent_issuer.hints import Hint, run
from polygent_issuer.registry.connection import Params
from polygent_issuer.registry.errors import Taken
from polygent_issuer.registry.name_keys import name_keys
from polygent_issuer.registry.records import (
    Customer,
    Value,
    as_int,
    canonical,
    maybe_text,
    reader,
    text,
)
from polygent_issuer.registry.transactions import Reading, Writing
from polygent_issuer.text import (
    SLUG_LENGTH,
    escape,
    nearest,
    nfc,
    normalize_for_comparison,
    slugify,
    without_accents,
)

_ALIASES: Final = "group_concat(slug, ' ') FROM aliases WHERE customer_id = "
COLUMNS: Final = f"""id, slug, name, created_at, archived_at, held_at, held_until,
    held_reason, time_zone, crm, notes, contacts,
    (SELECT {_ALIASES} customers.id) AS aliases"""
SELECT: Final = f"SELECT {COLUMNS} FROM customers"  # noqa: S608  # columns of our own
"""The SQL for `of_row`."""
of_row: Final = reader(
    Customer, aliases=lambda value: tuple(sorted((maybe_text(value) or "").split()))
)
_NOT_ASCII: Final = re.compile(r"[^\x00-\x7f]")
_NEAR: Final = 500
NAMED: Final = 5
"""The number of matches that a hint names."""


def select(db: Reading, rest: str, params: Params = ()) -> Iterator[Customer]:
    """Stream customers; `rest` is trusted SQL after `FROM customers`."""
    return db.each(of_row, f"{SELECT} {rest}", params)


def checked(db: Reading, customer: Customer) -> Customer:
    """Return the customer after a check that the row is as the journal last recorded it."""
    db.require_recorded("customers", customer.id)
    return customer


def by_id(db: Reading, customer_id: int) -> Customer:
    """Return the customer of a row id of another row, checked against the journal."""
    row = db.require_present(db.recorded("customers", customer_id), f"customer {customer_id}")
    aliases = db.value(maybe_text, f"SELECT {_ALIASES} ?", (customer_id,))
    return db.build(of_row, "customers", {**row, "aliases": aliases})


def by_slug(db: Reading, slug: str) -> Customer | None:
    """Return the customer with exactly this slug or alias, checked against the journal."""
    where = "WHERE slug = ? OR id = (SELECT customer_id FROM aliases WHERE slug = ?)"
    customer = db.one(of_row, f"{SELECT} {where}", (slug, slug))
    if customer is None or customer.slug != slug:
        db.require_recorded("aliases", slug)
    return None if customer is None else checked(db, customer)


def get(db: Reading, slug: str) -> Customer:
    """Return the customer with exactly this slug or alias; `not_found` suggests a similar one."""
    customer = by_slug(db, slug)
    if customer is None:
        raise _not_found(db, slug)
    return customer


def find(db: Reading, typed: str) -> Customer:
    """Return the customer with a slug, an alias, or a name (without regard to case and spacing).

    Raises:
        NotFound: (`not_found`) without a match; the hint names the most similar one.
        Ambiguous: (`ambiguous`) when several have that name.
    """
    customer = by_slug(db, typed)
    if customer is not None:
        return customer
    return _only(db, typed, "WHERE folded = ? ORDER BY slug", (normalize_for_comparison(typed),))


def find_by_beginning(db: Reading, typed: str) -> Customer:
    """Return the customer as `find`, or the only one whose slug, alias or name begins like this."""
    try:
        return find(db, typed)
    except NotFound:
        if not typed.strip():
            raise
    ranges = (*beginning(typed), *beginning(typed), *beginning(normalize_for_comparison(typed)))
    where = """WHERE id IN (SELECT id FROM customers WHERE slug >= ? AND slug < ?
        UNION SELECT customer_id FROM aliases WHERE slug >= ? AND slug < ?
        UNION SELECT id FROM customers WHERE folded >= ? AND folded < ?)
        ORDER BY slug LIMIT ?"""
    return _only(db, typed, where, (*ranges, NAMED + 1))


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
    sql = "SELECT count(*) FROM customers WHERE archived_at IS NOT NULL"
    return db.value(as_int, sql) or 0


def beginning(prefix: str) -> tuple[str, str]:
    """Return the range of the texts that begin with `prefix`: the first, and the end."""
    return prefix, prefix + "\U0010ffff"


def numbered(name: str, taken: Collection[str], longest: int, *, strip: str = "") -> str:
    """Return the name, or the first one with a number that is not taken: `prod`, `prod-2`.

    With a number it is cut to `longest` characters, and loses `strip` at the cut.
    """
    number, free = 1, name
    while free in taken:
        number += 1
        ending = f"-{number}"
        free = name[: longest - len(ending)].rstrip(strip) + ending
    return free


def free_slug(db: Reading, name: str, *, besides: Iterable[str] = ()) -> str:
    """Make an unused slug from a name: `acme`, `acme-2`; `besides` count as used."""
    slug = slugify(name)
    # In a long slug the number replaces the end of the name.
    range_ = beginning(slug[: SLUG_LENGTH - 8])
    sql = """SELECT slug FROM customers WHERE slug >= ? AND slug < ?
        UNION SELECT slug FROM aliases WHERE slug >= ? AND slug < ?"""
    taken = {*db.values(text, sql, (*range_, *range_)), *besides}
    return numbered(slug, taken, SLUG_LENGTH, strip="-")


def not_found(
    message: str, suggestion: str | None, every: Hint, *, otherwise: Hint | None = None
) -> NotFound:
    """Return a `not_found` error; without a suggestion its hint is `otherwise`.

    Args:
        every: the command that lists everything.
    """
    if not suggestion:
        return NotFound(message, hint=otherwise or every)
    return NotFound(message, hint=Hint(f"did you mean `{suggestion}`? — or `", every, "`"))


def ambiguous(message: str, names: Sequence[str]) -> Ambiguous:
    """Return an `ambiguous` error; the hint names the first matches."""
    more = ", …" if len(names) > NAMED else ""
    return Ambiguous(message, hint=f"give one of {', '.join(names[:NAMED])}{more}")


def require_free_slug(db: Reading, slug: str) -> None:
    """Refuse a slug that violates FORMAT §1 (`input_refused`), or that is used (`taken`)."""
    # Imported here: the verifier loads cryptography (30 ms), which most commands do not need.
    from polygent_issuer.verifier.license import is_slug  # noqa: PLC0415

    if not is_slug(slug):
        raise InputRefused(
            f"{escape(slug)} is not a slug", hint="use lower-case letters, digits and inner hyphens"
        )
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
) -> Customer:
    """Add a customer; the name is stored in NFC. Errors as `require_free_slug`.

    Args:
        contacts: mail addresses or names of people.
        time_zone: an IANA name, checked by the caller.
        crm: the customer's reference in the operator's CRM.
    """
    require_free_slug(db, slug)
    columns = _columns(name=name, contacts=contacts, time_zone=time_zone, crm=crm)
    db.insert("customers", slug=slug, slug_reversed=slug[::-1], created_at=db.at, **columns)
    customer = get(db, slug)
    _write_name_keys(db, customer)
    return customer


def edit(db: Writing, customer: Customer, **changes: Any) -> Customer:  # noqa: ANN401  # as in `add`
    """Change the given columns, as in `add`; the slug never changes."""
    if changes:
        db.update("customers", customer.id, **_columns(**changes))
    edited = by_id(db, customer.id)
    if edited.name != customer.name:
        delete_name_keys(db, customer.id)
        _write_name_keys(db, edited)
    return edited


def archive(db: Writing, customer: Customer, *, undo: bool = False) -> Customer:
    """Archive a customer, or undo that; the licenses do not change."""
    db.update("customers", customer.id, archived_at=None if undo else db.at)
    return by_id(db, customer.id)


def delete_name_keys(db: Writing, customer_id: int) -> None:
    """Delete the keys of a customer's name, before another name or the end of its row."""
    sql = "SELECT id FROM customer_names WHERE customer_id = ?"
    db.delete("customer_names", *tuple(db.values(as_int, sql, (customer_id,))))


def _write_name_keys(db: Writing, customer: Customer) -> None:
    for key in name_keys(customer.name):
        db.insert(
            "customer_names",
            customer_id=customer.id,
            words=key.words,
            legal_form=key.legal_form,
            letters=key.letters,
            letters_reversed=key.letters[::-1],
        )


def _columns(**columns: Any) -> dict[str, Value]:  # noqa: ANN401  # as in `add`
    if "name" in columns:
        name = nfc(columns["name"])
        require_text("name", name)
        folded = normalize_for_comparison(name)
        columns.update(name=name, folded=folded, folded_reversed=folded[::-1])
    if "contacts" in columns:
        columns["contacts"] = _contacts(columns["contacts"])
    require_text("CRM reference", columns.get("crm"))
    return columns


def _contacts(contacts: Iterable[str]) -> str:
    from polygent_issuer import email_address  # noqa: PLC0415  # see above

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
    return canonical(contacts)


def require_text(what: str, value: str | None, *, hint: str = "write it differently") -> None:
    """Refuse a text that is not a display name (FORMAT §1): `input_refused`."""
    from polygent_issuer.verifier.license import display_name_problem  # noqa: PLC0415  # see above

    problem = None if value is None else display_name_problem(value)
    if problem is not None:
        raise InputRefused(f"invalid {what}: {problem}", hint=hint)


def one_letter_apart(one: str, other: str) -> bool:
    """Return whether the Levenshtein distance is at most 1 and no digit (of any script) differs."""
    short, long = sorted((one, other), key=len)
    pairs = enumerate(zip(short, long, strict=False))
    at = next((place for place, (a, b) in pairs if a != b), len(short))
    after = at + 1 if len(short) == len(long) else at
    if any(character.isnumeric() for character in (*short[at:after], *long[at : at + 1])):
        return False
    return short[after:] == long[at + 1 :]


def similar(db: Reading, name: str, *, besides: Customer | None = None) -> tuple[Customer, ...]:
    """Return the customers with a similar name or slug (folded; one letter apart), by slug.

    `besides` is left out.
    """
    folded, *slugs = variants(name)
    ids = _alike(db, "folded", folded)
    for slug in slugs:
        ids |= _alike(db, "slug", slug)
        merged = by_slug(db, slug)
        ids |= {merged.id} if merged else set()
    if besides is not None:
        ids.discard(besides.id)
    customers = (by_id(db, customer_id) for customer_id in ids)
    return tuple(sorted(customers, key=lambda customer: customer.slug))


def variants(name: str) -> tuple[str, ...]:
    """Return the forms of a name for comparison: folded, and the slug if it is comparable."""
    folded, slug = normalize_for_comparison(name), slugify(name)
    return (folded, slug) if _is_comparable(slug, folded) else (folded,)


def _is_comparable(slug: str, folded: str) -> bool:
    """Return whether a slug can be compared in place of its name.

    A shortened slug may have lost digits at its end, and different names in other scripts can have
    the same transliteration.
    """
    letters = [character for character in without_accents(folded) if character.isalnum()]
    latin = bool(letters) and all(character.isascii() for character in letters)
    return latin and len(slug) < SLUG_LENGTH and 2 * len(slug) > len(folded)


def _alike(db: Reading, column: str, word: str) -> set[int]:
    """Return the row ids of customers whose column is the word, or one letter apart.

    A text one letter apart has the same first half or the same last half as the word, so two ranges
    of two indexes contain all candidates.
    """
    middle = len(word) // 2
    backwards = word[::-1]
    return {
        *_in_range(db, column, word, word[:middle]),
        *_in_range(db, f"{column}_reversed", backwards, backwards[: len(word) - middle]),
    }


def _in_range(db: Reading, column: str, word: str, prefix: str) -> set[int]:
    sql = f"SELECT id, {column} FROM customers WHERE {column} >= ? AND {column} < ?"  # noqa: S608  # columns of our own
    rows = db.each(lambda row: (as_int(row["id"]), text(row[column])), sql, beginning(prefix))
    return {row_id for row_id, other in rows if one_letter_apart(other, word)}


def _only(db: Reading, typed: str, where: str, params: Params) -> Customer:
    matches = tuple(select(db, where, params))
    if not matches:
        raise _not_found(db, typed)
    if len(matches) > 1:
        names = [f"{customer.slug} ({customer.name})" for customer in matches]
        raise ambiguous(f"several customers match {escape(typed)}", names)
    return checked(db, matches[0])


def _not_found(db: Reading, typed: str) -> NotFound:
    message = f"unknown customer {escape(typed)}"
    return not_found(message, _nearest_slug(db, typed), run("customer", "list"))


def _nearest_slug(db: Reading, typed: str) -> str | None:
    """Return the slug of the customer most similar to a mistyped name or slug."""
    alike = similar(db, typed)
    if alike:
        return alike[0].slug
    folded = normalize_for_comparison(typed)
    # Only some customers with the same beginning are compared, which is enough for a hint.
    first = beginning(folded[:1])
    where = """WHERE id IN (SELECT id FROM customers WHERE folded >= ? AND folded < ?
        UNION SELECT id FROM customers WHERE slug >= ? AND slug < ?) ORDER BY slug LIMIT ?"""
    slugs: dict[str, str] = {}
    for customer in select(db, where, (*first, *first, _NEAR)):
        slugs[normalize_for_comparison(customer.name)] = customer.slug
        slugs[customer.slug] = customer.slug
    word = nearest(folded, slugs)
    return None if word is None else slugs[word]
