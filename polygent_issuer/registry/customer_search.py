"""Finding customers: by id, slug or alias, by what an operator types, and by a similar name.

A similar name is equal but for case, form or spacing, or one letter apart. A digit is never a
slip: Store 001 and Store 002 are two customers.
"""

from collections.abc import Iterator
from typing import Final

from polygent_issuer.errors import Ambiguous, NotFound
from polygent_issuer.hints import Hint, run
from polygent_issuer.registry.connection import Params
from polygent_issuer.registry.records import (
    Customer,
    Fields,
    as_int,
    maybe_moment,
    maybe_text,
    moment,
    strings,
    text,
)
from polygent_issuer.registry.transactions import Reading
from polygent_issuer.text import (
    SLUG_LENGTH,
    escape,
    nearest,
    normalize_for_comparison,
    slugify,
    without_accents,
)

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
    customer = next(select(db, "WHERE id = ?", (customer_id,)), None)
    if customer is None:
        raise db.damaged(f"lacks the customer {customer_id}, which another row names")
    return checked(db, customer)


def by_slug(db: Reading, slug: str) -> Customer | None:
    """The customer of exactly this slug, or whose alias it is, as the journal recorded it."""
    where = "WHERE slug = ? OR id = (SELECT customer_id FROM aliases WHERE slug = ?)"
    customer = next(select(db, where, (slug, slug)), None)
    if customer is None or customer.slug != slug:
        db.require_recorded("aliases", slug)
    return None if customer is None else checked(db, customer)


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


_NAMED: Final = 5


def get(db: Reading, slug: str) -> Customer:
    """The customer of exactly this slug, or whose alias it is.

    Raises:
        NotFound: (`not_found`) when there is none; the hint names the nearest.
    """
    customer = by_slug(db, slug)
    if customer is None:
        raise _not_found(db, slug)
    return customer


def find(db: Reading, typed: str) -> Customer:
    """The customer of a slug, an alias, or a name (case and spacing do not matter).

    Raises:
        NotFound: (`not_found`) when there is none; the hint names the nearest.
        Ambiguous: (`ambiguous`) when several have that name; the hint names them.
    """
    customer = by_slug(db, typed)
    if customer is not None:
        return customer
    return _only(
        db,
        typed,
        tuple(select(db, "WHERE folded = ? ORDER BY slug", (normalize_for_comparison(typed),))),
    )


def find_by_beginning(db: Reading, typed: str) -> Customer:
    """As `find`, else the one customer whose slug, alias or name begins so.

    Raises:
        NotFound: (`not_found`) when there is none; the hint names the nearest.
        Ambiguous: (`ambiguous`) when several match; the hint names them.
    """
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
    return _only(db, typed, tuple(select(db, where, (*ranges, _NAMED + 1))))


def _only(db: Reading, typed: str, matches: tuple[Customer, ...]) -> Customer:
    if not matches:
        raise _not_found(db, typed)
    if len(matches) > 1:
        names = ", ".join(f"{customer.slug} ({customer.name})" for customer in matches[:_NAMED])
        more = ", …" if len(matches) > _NAMED else ""
        raise Ambiguous(f"several customers match {escape(typed)}", hint=f"name one: {names}{more}")
    return checked(db, matches[0])


def _not_found(db: Reading, typed: str) -> NotFound:
    suggestion = nearest_slug(db, typed)
    every = run("customer", "list")
    return NotFound(
        f"there is no customer {escape(typed)}",
        hint=Hint(f"did you mean `{suggestion}`? — or `", every, "`") if suggestion else every,
    )


_NEAR: Final = 500


def one_letter_apart(one: str, other: str) -> bool:
    """Check that at most one character, not a digit, is added, left out or changed.

    That is a Levenshtein distance of 1, or 0. Numerals of any script count as digits.
    """
    short, long = sorted((one, other), key=len)
    pairs = enumerate(zip(short, long, strict=False))
    at = next((place for place, (a, b) in pairs if a != b), len(short))
    after = at + 1 if len(short) == len(long) else at
    if any(character.isnumeric() for character in (*short[at:after], *long[at : at + 1])):
        return False
    return short[after:] == long[at + 1 :]


def similar(db: Reading, name: str, *, besides: Customer | None = None) -> tuple[Customer, ...]:
    """Customers whose name or slug is like a name: equal when folded, or one letter apart.

    Args:
        name: as an operator typed it.
        besides: this one is left out, since it is itself.
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
    """Return the forms of a name to compare: folded, and its slug if that kept all of it."""
    folded, slug = normalize_for_comparison(name), slugify(name)
    return (folded, slug) if _is_comparable(slug, folded) else (folded,)


def nearest_slug(db: Reading, typed: str) -> str | None:
    """The slug of the customer whom a mistyped name or slug may mean."""
    alike = similar(db, typed)
    if alike:
        return alike[0].slug
    folded = normalize_for_comparison(typed)
    slugs: dict[str, str] = {}
    for customer in _near(db, folded):
        slugs[normalize_for_comparison(customer.name)] = customer.slug
        slugs[customer.slug] = customer.slug
    word = nearest(folded, slugs)
    return None if word is None else slugs[word]


def _is_comparable(slug: str, folded: str) -> bool:
    """Check that a slug can be compared in place of its name.

    One that was cut may have lost the digits at its end, and different names of other scripts
    are transliterated alike.
    """
    letters = [character for character in without_accents(folded) if character.isalnum()]
    latin = bool(letters) and all(character.isascii() for character in letters)
    return latin and len(slug) < SLUG_LENGTH and 2 * len(slug) > len(folded)


def _alike(db: Reading, column: str, word: str) -> set[int]:
    """Row ids of those whose column is the word, or one letter apart from it.

    Whatever is one letter apart shares the word's first half or its last half, so two ranges of
    two indexes hold all candidates, however many customers there are.
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


def _near(db: Reading, folded: str) -> tuple[Customer, ...]:
    """Some whose slug or name begins alike; enough for a hint, whatever the number of rows."""
    first = beginning(folded[:1])
    where = (
        "WHERE id IN (SELECT id FROM customers WHERE folded >= ? AND folded < ?"
        " UNION SELECT id FROM customers WHERE slug >= ? AND slug < ?) ORDER BY slug LIMIT ?"
    )
    return tuple(select(db, where, (*first, *first, _NEAR)))
