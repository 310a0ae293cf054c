"""Machines as they are stored: one way to select them."""

from collections.abc import Iterator
from typing import Final

from polygent_issuer.registry.columns import (
    Row,
    mapping,
    maybe_text,
    maybe_whole,
    moment,
    text,
    whole,
)
from polygent_issuer.registry.connection import Params
from polygent_issuer.registry.records import Machine
from polygent_issuer.registry.transactions import Reading

_SELECT: Final = """SELECT id, customer_id, label, fingerprint, hostname, components, since,
    document_id FROM machines"""


def select(db: Reading, rest: str, params: Params) -> Iterator[Machine]:
    """Stream machines; `rest` is what follows `FROM machines`, SQL of our own."""
    return db.each(_machine, f"{_SELECT} {rest}", params)


def by_id(db: Reading, machine_id: int) -> Machine:
    """The machine of a row id.

    Raises:
        RegistryDamaged: (`registry_damaged`) when there is none: only another row names it.
    """
    found = db.one(_machine, f"{_SELECT} WHERE id = ?", (machine_id,))
    if found is None:
        raise db.damaged(f"lacks the machine {machine_id}, which another row names")
    return found


def _machine(row: Row) -> Machine:
    return Machine(
        id=whole(row[0]),
        customer_id=whole(row[1]),
        label=text(row[2]),
        fingerprint=text(row[3]),
        hostname=maybe_text(row[4]),
        components=mapping(row[5]),
        since=moment(row[6]),
        document_id=maybe_whole(row[7]),
    )
