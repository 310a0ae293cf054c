"""Finding a customer by what an operator types."""

from typing import Final

from polygent_issuer.errors import Ambiguous, NotFound
from polygent_issuer.hints import Hint, run
from polygent_issuer.registry.customer_rows import beginning, by_slug, checked, select
from polygent_issuer.registry.name_similarity import nearest_slug
from polygent_issuer.registry.records import Customer
from polygent_issuer.registry.transactions import Reading
from polygent_issuer.text import escape, normalize_for_comparison

_NAMED: Final = 5


def get(db: Reading, slug: str) -> Customer:
    """The customer of exactly this slug, or whose alias it is.

    Raises:
        NotFound: (`not_found`) when there is none; the hint names the nearest.
    """
    found = by_slug(db, slug)
    if found is None:
        raise _not_found(db, slug)
    return found


def find(db: Reading, typed: str) -> Customer:
    """The customer of a slug, an alias, or a name (case and spacing do not matter).

    Raises:
        NotFound: (`not_found`) when there is none; the hint names the nearest.
        Ambiguous: (`ambiguous`) when several have that name; the hint names them.
    """
    found = by_slug(db, typed)
    if found is not None:
        return found
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


def _only(db: Reading, typed: str, found: tuple[Customer, ...]) -> Customer:
    if not found:
        raise _not_found(db, typed)
    if len(found) > 1:
        names = ", ".join(f"{customer.slug} ({customer.name})" for customer in found[:_NAMED])
        more = ", …" if len(found) > _NAMED else ""
        raise Ambiguous(f"several customers match {escape(typed)}", hint=f"name one: {names}{more}")
    return checked(db, found[0])


def _not_found(db: Reading, typed: str) -> NotFound:
    near = nearest_slug(db, typed)
    every = run("customer", "list")
    return NotFound(
        f"there is no customer {escape(typed)}",
        hint=Hint(f"did you mean `{near}`? — or `", every, "`") if near else every,
    )
