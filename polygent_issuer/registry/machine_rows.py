"""Machines as they are stored: one way to select them."""

from collections.abc import Iterator
from typing import Final

from polygent_issuer.registry.columns import (
    Fields,
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
    """Stream machines as the journal recorded them.

    Args:
        rest: what follows `FROM machines`, SQL of our own.

    Raises:
        RegistryDamaged: (`registry_damaged`) for one that is not.
    """
    for machine in db.each(_machine, f"{_SELECT} {rest}", params):
        db.require_recorded("machines", machine.id)
        yield machine


def by_id(db: Reading, machine_id: int) -> Machine:
    """The machine of a row id.

    Raises:
        RegistryDamaged: (`registry_damaged`) when there is none: only another row names it.
    """
    found = next(select(db, "WHERE id = ?", (machine_id,)), None)
    if found is None:
        raise db.damaged(f"lacks the machine {machine_id}, which another row names")
    return found


def _machine(row: Fields) -> Machine:
    return Machine(
        id=whole(row["id"]),
        customer_id=whole(row["customer_id"]),
        label=text(row["label"]),
        fingerprint=text(row["fingerprint"]),
        hostname=maybe_text(row["hostname"]),
        components=mapping(row["components"]),
        since=moment(row["since"]),
        document_id=maybe_whole(row["document_id"]),
    )
