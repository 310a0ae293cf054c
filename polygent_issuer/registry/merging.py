"""Merge two customers: one gets everything of the other, whose slug becomes an alias."""

from dataclasses import dataclass
from datetime import datetime

from polygent_issuer.registry import customer_names
from polygent_issuer.registry.customers import by_id
from polygent_issuer.registry.holds import Hold, columns_of, merged_hold
from polygent_issuer.registry.machines import numbered_label, of, remember
from polygent_issuer.registry.reading import Reading
from polygent_issuer.registry.records import Customer, Machine, Value, as_int, canonical, text
from polygent_issuer.registry.schema import JOURNALED
from polygent_issuer.registry.writing import Writing


@dataclass(frozen=True, kw_only=True, slots=True)
class Merger:
    """The plan of a merger: `gone` becomes an alias of `kept`.

    Attributes:
        moved: machines that move to `kept`, each with an unused label.
        same: machines that both customers have: the first of each pair is merged into the second.
        contacts, time_zone, crm, notes: those of `kept`, then those of `gone`.
        hold: a hold of either stays (`merged_hold`).
    """

    gone: Customer
    kept: Customer
    moved: tuple[tuple[Machine, str], ...]
    same: tuple[tuple[Machine, Machine], ...]
    contacts: tuple[str, ...]
    time_zone: str | None
    crm: str | None
    notes: str | None
    hold: Hold | None


def decide(db: Reading, gone: Customer, kept: Customer, *, now: datetime) -> Merger:
    """Plan a merger; nothing is written. A hold counts only if it has not ended at `now`."""
    theirs, ours = of(db, gone), of(db, kept)
    present = {machine.fingerprint: machine for machine in ours}
    moving = [machine for machine in theirs if machine.fingerprint not in present]
    labels = {machine.label for machine in ours}
    taken = labels | {machine.label for machine in moving}
    moved = []
    for machine in moving:  # a machine keeps its label if that is unused
        label = numbered_label(machine.label, taken) if machine.label in labels else machine.label
        taken.add(label)
        moved.append((machine, label))
    return Merger(
        gone=gone,
        kept=kept,
        moved=tuple(moved),
        same=tuple(
            (machine, present[machine.fingerprint])
            for machine in theirs
            if machine.fingerprint in present
        ),
        contacts=tuple(dict.fromkeys((*kept.contacts, *gone.contacts))),
        time_zone=kept.time_zone or gone.time_zone,
        crm=kept.crm or gone.crm,
        notes=kept.notes or gone.notes,
        hold=merged_hold((kept, gone), now),
    )


def merge(db: Writing, merger: Merger) -> Customer:
    """Carry out a merger, except for the journal row; return the remaining customer.

    The identity of a machine that both customers had is added to the machine's history.
    """
    gone, kept = merger.gone, merger.kept
    for machine, label in merger.moved:
        db.update("machines", machine.id, customer_id=kept.id, label=label)
    for old, same in merger.same:
        for table in ("licenses", "machine_identities"):
            _repoint(db, table, "machine_id", old.id, same.id)
        remember(db, old, machine_id=same.id)
        db.delete("machines", old.id)
    for table in ("licenses", "aliases"):
        _repoint(db, table, "customer_id", gone.id, kept.id)
    customer_names.delete(db, gone.id)
    db.delete("customers", gone.id)
    db.insert("aliases", slug=gone.slug, customer_id=kept.id, created_at=db.at)
    db.update(
        "customers",
        kept.id,
        contacts=canonical(merger.contacts),
        time_zone=merger.time_zone,
        crm=merger.crm,
        notes=merger.notes,
        **columns_of(merger.hold),
    )
    return by_id(db, kept.id)


def _repoint(db: Writing, table: str, column: str, old: int, new: int) -> None:
    sql = f"SELECT {JOURNALED[table]} FROM {table} WHERE {column} = ?"  # noqa: S608  # names of our own
    for key in tuple(db.values(_key, sql, (old,))):
        db.update(table, key, **{column: new})


def _key(value: Value) -> str | int:
    return as_int(value) if isinstance(value, int) else text(value)
