"""Names that people take for one another: equal but for case, form or spacing, or one letter.

A digit is never a slip: Store 001 and Store 002 are two customers.
"""

from typing import Final

from polygent_issuer.registry.columns import as_int, text
from polygent_issuer.registry.customer_rows import beginning, by_id, by_slug, select
from polygent_issuer.registry.records import Customer
from polygent_issuer.registry.transactions import Reading
from polygent_issuer.text import (
    SLUG_LENGTH,
    nearest,
    normalize_for_comparison,
    slugify,
    without_accents,
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
    found = (by_id(db, customer_id) for customer_id in ids)
    return tuple(sorted(found, key=lambda customer: customer.slug))


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
