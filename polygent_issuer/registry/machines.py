"""A customer's machines: a label for people, the present identity, and the past ones."""

from collections.abc import Collection, Mapping
from typing import Final

from polygent_issuer.errors import InputRefused, NotFound
from polygent_issuer.hints import Hint, option, run
from polygent_issuer.registry.columns import canonical, whole
from polygent_issuer.registry.errors import Taken
from polygent_issuer.registry.machine_history import history, remember, with_fingerprint
from polygent_issuer.registry.machine_rows import by_id, select
from polygent_issuer.registry.records import Customer, Machine
from polygent_issuer.registry.transactions import Reading, Writing
from polygent_issuer.text import nearest, nfc, shown

__all__ = [
    "add",
    "by_id",
    "by_label",
    "change_identity",
    "free_label",
    "history",
    "numbered",
    "of",
    "rename",
    "with_fingerprint",
]

_NAMELESS: Final = "machine"
_LABEL_LENGTH: Final = 200


def of(db: Reading, customer: Customer) -> tuple[Machine, ...]:
    """The customer's machines by label, as the journal recorded them."""
    db.require_every_recorded("machines", customer.id)
    return tuple(select(db, "WHERE customer_id = ? ORDER BY label", (customer.id,)))


def by_label(db: Reading, customer: Customer, label: str) -> Machine:
    """The customer's machine of this label.

    Raises:
        NotFound: (`not_found`) when there is none; the hint names the nearest.
    """
    found = next(select(db, "WHERE customer_id = ? AND label = ?", (customer.id, nfc(label))), None)
    if found is None:
        near = nearest(label, [machine.label for machine in of(db, customer)])
        every = run("customer", "show", customer.slug)
        raise NotFound(
            f"{customer.name} has no machine {shown(label)}",
            hint=Hint(f"did you mean `{near}`? — or `", every, "`") if near else every,
        )
    return found


def free_label(db: Reading, customer: Customer | None, hostname: str | None) -> str:
    """A label that none of the customer's machines has: the hostname, with a number if need be.

    Args:
        customer: None for one who is not in the registry yet.
        hostname: as the document says; one that is no display name (FORMAT §1) is not used.
    """
    from polygent_issuer.verifier.names import display_name_problem  # noqa: PLC0415  # 30 ms

    base = _NAMELESS
    if hostname is not None and display_name_problem(hostname) is None:
        base = nfc(hostname)
    taken = {machine.label for machine in of(db, customer)} if customer else set()
    return numbered(base, taken)


def numbered(label: str, taken: Collection[str]) -> str:
    """The label, or with a number at its end the first that is not taken: `prod`, `prod-2`."""
    number, free = 1, label
    while free in taken:
        number += 1
        ending = f"-{number}"
        free = label[: _LABEL_LENGTH - len(ending)] + ending
    return free


def add(
    db: Writing,
    customer: Customer,
    *,
    label: str,
    fingerprint: str,
    hostname: str | None,
    components: Mapping[str, str],
    document_id: int | None,
) -> Machine:
    """Add a machine to a customer.

    Args:
        label: a display name, unique within the customer.
        fingerprint: in canonical form (FORMAT §4), unique within the customer.
        hostname, components: as its document says.
        document_id: the document, if there was one.

    Raises:
        InputRefused: (`input_refused`) for a label that is no display name.
        Taken: (`taken`) when the customer has a machine of this label or fingerprint.
    """
    label = nfc(label)
    _require_free(db, customer.id, label=label, fingerprint=fingerprint)
    key = db.insert(
        "machines",
        customer_id=customer.id,
        label=label,
        fingerprint=fingerprint,
        hostname=hostname,
        components=canonical(components),
        since=db.at,
        document_id=document_id,
    )
    return by_id(db, whole(key))


def change_identity(
    db: Writing,
    machine: Machine,
    *,
    fingerprint: str,
    hostname: str | None,
    components: Mapping[str, str],
    document_id: int | None,
) -> Machine:
    """Give a machine a new identity, under the same label; the old one goes into its history.

    Raises:
        Taken: (`taken`) when another machine of the customer has this fingerprint.
    """
    present = by_id(db, machine.id)
    _require_free(db, machine.customer_id, fingerprint=fingerprint, besides=machine.id)
    remember(db, present, machine_id=present.id)
    db.update(
        "machines",
        machine.id,
        fingerprint=fingerprint,
        hostname=hostname,
        components=canonical(components),
        since=db.at,
        document_id=document_id,
    )
    return by_id(db, machine.id)


def rename(db: Writing, machine: Machine, label: str) -> Machine:
    """Give a machine another label.

    Raises:
        InputRefused: (`input_refused`) for a label that is no display name.
        Taken: (`taken`) when another machine of the customer has it.
    """
    label = nfc(label)
    _require_free(db, machine.customer_id, label=label, besides=machine.id)
    db.update("machines", machine.id, label=label)
    return by_id(db, machine.id)


def _require_free(
    db: Reading,
    customer_id: int,
    *,
    label: str | None = None,
    fingerprint: str | None = None,
    besides: int | None = None,
) -> None:
    from polygent_issuer.verifier.names import display_name_problem  # noqa: PLC0415  # 30 ms

    problem = None if label is None else display_name_problem(label)
    if problem is not None:
        raise InputRefused(f"the label cannot be used: {problem}", hint="choose another label")
    where = "WHERE customer_id = ? AND (label = ? OR fingerprint = ?) AND id IS NOT ?"
    other = next(select(db, where, (customer_id, label, fingerprint, besides)), None)
    if other is None:
        return
    what = "label" if other.label == label else "fingerprint"
    raise Taken(
        f"the customer's machine {other.label} has this {what} already",
        hint=Hint("name that machine: ", option("--machine", other.label)),
    )
