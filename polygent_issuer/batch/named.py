"""The customers whom a file does not name: told of, never touched."""

from collections.abc import Iterable

from polygent_issuer.batch.numbers import Numbers
from polygent_issuer.batch.rows import RefusedRow, Row
from polygent_issuer.errors import Ambiguous, NotFound
from polygent_issuer.registry import Customer, Reading, Registry, customers, licenses


def unnamed(registry: Registry, rows: Iterable[Row | RefusedRow]) -> tuple[str, ...]:
    """The slugs of customers with a current license of whom no row tells, in order."""
    named = Numbers()
    with registry.reading() as db:
        for row in rows:
            found = None if row.customer is None else _find(db, row.customer)
            if found is not None:
                named.add(found.id)
        return tuple(
            customer.slug
            for customer in customers.every(db)
            if customer.id not in named and licenses.current(db, customer)
        )


def _find(db: Reading, name: str) -> Customer | None:
    try:
        return customers.find(db, name)
    except (NotFound, Ambiguous):
        return None
