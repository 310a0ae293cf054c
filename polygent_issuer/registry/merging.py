"""Two customers who are one: what the one has becomes the other's, and its slug an alias."""

from dataclasses import dataclass

from polygent_issuer.registry.customers import by_id
from polygent_issuer.registry.machines import numbered, of, remember
from polygent_issuer.registry.records import Customer, Machine, Value, as_int, canonical, text
from polygent_issuer.registry.schema import JOURNALED
from polygent_issuer.registry.transactions import Reading, Writing

# What is pointed at the other row, with the column that points.
_OF_A_MACHINE = (("licenses", "machine_id"), ("machine_identities", "machine_id"))
_OF_A_CUSTOMER = (("licenses", "customer_id"), ("aliases", "customer_id"))


@dataclass(frozen=True, kw_only=True, slots=True)
class MovedMachine:
    """A machine that changes hands; `label` is free among those of its new owner."""

    machine: Machine
    label: str


@dataclass(frozen=True, kw_only=True, slots=True)
class SameMachine:
    """One machine that both customers have: `gone` is taken into `kept`."""

    gone: Machine
    kept: Machine


@dataclass(frozen=True, kw_only=True, slots=True)
class Merger:
    """What becomes of two customers; two are equal when they rest on the same facts.

    Attributes:
        gone: whose row goes; the slug becomes an alias.
        kept: who remains, as recorded before.
        contacts: of both, those of `kept` first.
        time_zone, crm: of `kept`, else of `gone`.
    """

    gone: Customer
    kept: Customer
    moved: tuple[MovedMachine, ...]
    same: tuple[SameMachine, ...]
    contacts: tuple[str, ...]
    time_zone: str | None
    crm: str | None


def decide(db: Reading, gone: Customer, kept: Customer) -> Merger:
    """What a merger would do; nothing is written."""
    theirs, ours = of(db, gone), of(db, kept)
    present = {machine.fingerprint: machine for machine in ours}
    same = tuple(
        SameMachine(gone=machine, kept=present[machine.fingerprint])
        for machine in theirs
        if machine.fingerprint in present
    )
    moving = tuple(machine for machine in theirs if machine.fingerprint not in present)
    return Merger(
        gone=gone,
        kept=kept,
        moved=_labelled(moving, {machine.label for machine in ours}),
        same=same,
        contacts=tuple(dict.fromkeys((*kept.contacts, *gone.contacts))),
        time_zone=kept.time_zone or gone.time_zone,
        crm=kept.crm or gone.crm,
    )


def merge(db: Writing, merger: Merger) -> Customer:
    """Carry out what was decided, but for the journal row; who remains, as recorded then.

    What the same machine was called at `gone` goes into its history.
    """
    gone, kept = merger.gone, merger.kept
    for each in merger.moved:
        db.update("machines", each.machine.id, customer_id=kept.id, label=each.label)
    for same in merger.same:
        _unite(db, same)
    for table, column in _OF_A_CUSTOMER:
        _repoint(db, table, column, gone.id, kept.id)
    db.delete("customers", gone.id)
    db.insert("aliases", slug=gone.slug, customer_id=kept.id, created_at=db.at)
    db.update(
        "customers",
        kept.id,
        contacts=canonical(merger.contacts),
        time_zone=merger.time_zone,
        crm=merger.crm,
    )
    return by_id(db, kept.id)


def _labelled(moving: tuple[Machine, ...], ours: set[str]) -> tuple[MovedMachine, ...]:
    """A free label for each; whoever can keep the own one does."""
    taken = ours | {machine.label for machine in moving}
    moved: list[MovedMachine] = []
    for machine in moving:
        label = numbered(machine.label, taken) if machine.label in ours else machine.label
        taken.add(label)
        moved.append(MovedMachine(machine=machine, label=label))
    return tuple(moved)


def _unite(db: Writing, same: SameMachine) -> None:
    gone, kept = same.gone, same.kept
    for table, column in _OF_A_MACHINE:
        _repoint(db, table, column, gone.id, kept.id)
    remember(db, gone, machine_id=kept.id)
    db.delete("machines", gone.id)


def _repoint(db: Writing, table: str, column: str, old: int, new: int) -> None:
    sql = f"SELECT {JOURNALED[table]} FROM {table} WHERE {column} = ?"  # noqa: S608  # names of our own
    for found in tuple(db.values(_key, sql, (old,))):
        db.update(table, found, **{column: new})


def _key(value: Value) -> str | int:
    return as_int(value) if isinstance(value, int) else text(value)
