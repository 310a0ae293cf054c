"""What a machine's past says where its identity matters: how often it changed, whether it is one.

These are notes, not findings: servers are replaced and rebuilt, and nobody is to be asked each
time. Who sees the third change in a year, or one fingerprint under two names, asks the customer.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING, Final

from polygent_issuer.errors import Ambiguous, NotFound
from polygent_issuer.hints import run
from polygent_issuer.machine_info.plausibility import ComponentChange, changed_components
from polygent_issuer.registry import (
    Customer,
    Identity,
    KnownFingerprint,
    Machine,
    Reading,
    customers,
    machines,
)
from polygent_issuer.terms import dates
from polygent_issuer.text import escape

if TYPE_CHECKING:
    from polygent_issuer.issuing.proposal import MachineChoice, ReceivedDocument
    from polygent_issuer.machine_info.document import MachineInfo

_HOUR: Final = timedelta(hours=1)
_YEAR: Final = timedelta(days=365)


@dataclass(frozen=True, kw_only=True, slots=True)
class IdentityChange:
    """A machine took another fingerprint at an instant."""

    at: datetime
    components: tuple[ComponentChange, ...]


def changes(identities: Sequence[Identity]) -> tuple[IdentityChange, ...]:
    """When a machine changed, the latest first.

    Args:
        identities: what it is and was, the latest first; the same fingerprint twice in a row is
            no change.
    """
    return tuple(
        IdentityChange(
            at=old.until or new.since,
            components=changed_components(old.components, new.components),
        )
        for new, old in pairwise(identities)
        if new.fingerprint != old.fingerprint
    )


def often(identities: Sequence[Identity], now: datetime, *, more: int = 0) -> str | None:
    """`3rd machine change in 12 months`; None before the second.

    Args:
        more: changes that are about to be made.
    """
    recent = sum(change.at > now - _YEAR for change in changes(identities)) + more
    return None if recent < 2 else f"{_ordinal(recent)} machine change in 12 months"  # noqa: PLR2004  # the second


def clones(db: Reading, fingerprint: str, hostname: str | None) -> tuple[str, ...]:
    """Where this fingerprint is or was known under another hostname, of any customer.

    Args:
        hostname: as the document or the record says; None compares with nothing.
    """
    if hostname is None:
        return ()
    others = (
        known
        for known in machines.with_fingerprint(db, fingerprint)
        if _differs(known.hostname, hostname)
    )
    return tuple(dict.fromkeys(_clone(known, hostname) for known in others))


def told(
    db: Reading, document: "ReceivedDocument | None", choice: "MachineChoice | None", now: datetime
) -> tuple[str, ...]:
    """What a document says, so that a wrong attachment is seen before it is signed.

    Args:
        choice: the machine it is for; what that was before is compared, part by part.
    """
    if document is None:
        return ()
    info = document.info
    customer, host = escape(info.customer or "unnamed"), escape(info.hostname or "unnamed")
    made = _made(now - info.generated_at)
    says = f"the document says: customer {customer}, host {host}, made {made}"
    machine = None if choice is None else choice.known
    return (
        says,
        *(() if machine is None else beside(db, machine, info, now)),
        *clones(db, info.fingerprint, info.hostname),
    )


def beside(db: Reading, machine: Machine, info: "MachineInfo", now: datetime) -> Iterable[str]:
    """What a document says beside a machine: which parts differ, how often it has changed."""
    compared = parts(machine.components, info.components)
    if compared is not None:
        yield f"its parts beside those of {escape(machine.label)}: {compared}"
    if machine.fingerprint != info.fingerprint:
        count = often(machines.history(db, machine), now, more=1)
        if count is not None:
            yield f"{count}: {escape(machine.label)}"


def parts(old: Mapping[str, str], new: Mapping[str, str]) -> str | None:
    """`board changed, disk same`; None where neither side names any part."""
    return listed(changed_components(old, new))


def listed(components: Iterable[ComponentChange]) -> str | None:
    """Compared parts in words; None for none."""
    return ", ".join(f"{escape(part.name)} {part.state}" for part in components) or None


def likely(db: Reading, info: "MachineInfo") -> tuple[Customer, Machine] | None:
    """The machine that a document is probably of, by no proof: a person judges.

    Whoever has or had the fingerprint; else of the customer whom the document names the machine of
    this hostname, or the only one.
    """
    for known in machines.with_fingerprint(db, info.fingerprint):
        return known.customer, known.machine
    try:
        customer = customers.find(db, info.customer or "")
    except (NotFound, Ambiguous):
        return None
    own = machines.of(db, customer)
    named = [each for each in own if info.hostname and each.hostname == info.hostname]
    found = named or own
    return (customer, found[0]) if len(found) == 1 else None


def of_document(db: Reading, info: "MachineInfo", now: datetime) -> tuple[str, ...]:
    """What the registry's past says of a document that nobody signs for yet."""
    notes: list[str] = []
    found = likely(db, info)
    if found is not None:
        customer, machine = found
        if machine.fingerprint != info.fingerprint:
            notes.append(_may_be(customer, machine))
        notes.extend(beside(db, machine, info, now))
    return (*notes, *clones(db, info.fingerprint, info.hostname))


def of_machine(db: Reading, machine: Machine, now: datetime) -> tuple[str, ...]:
    """What is to be known of a machine that a customer has."""
    identities = machines.history(db, machine)
    count = often(identities, now)
    found = clones(db, machine.fingerprint, machine.hostname)
    return found if count is None else (count, *found)


def _made(age: timedelta) -> str:
    """How old a document is; a clock that runs ahead made it in our future."""
    span = abs(age)
    hours = span // _HOUR
    told = f"{hours} hour{'' if hours == 1 else 's'}" if hours else "less than an hour"
    if span.days:
        told = dates.days(span.days)
    return f"{told} {'ago' if age >= timedelta() else 'ahead of this clock'}"


def _may_be(customer: Customer, machine: Machine) -> str:
    told = f"it may be {customer.slug}'s machine {escape(machine.label)}, changed"
    if customer.archived_at is not None:
        undo = run("customer", "archive", customer.slug, "--undo")
        return f"{told}; {customer.slug} was archived: {undo}"
    mend = run("reissue", customer.slug, "--machine", machine.label, "--machine-info", "FILE")
    return f"{told}: {mend}"


def _clone(known: KnownFingerprint, hostname: str) -> str:
    owner = f"{known.customer.name} ({known.customer.slug}), machine {known.machine.label}"
    until = "" if known.until is None else f" until {dates.instant(known.until)}"
    return (
        f"same fingerprint, other hostname: a clone? {escape(hostname)} here, "
        f"{escape(known.hostname or '')} as {owner}, since {dates.instant(known.since)}{until}"
    )


def _differs(one: str | None, other: str) -> bool:
    """Host names are compared without regard to case (RFC 4343)."""
    return one is not None and one.casefold() != other.casefold()


def _ordinal(number: int) -> str:
    teens = 10 < number % 100 < 14  # noqa: PLR2004  # 11th to 13th
    return f"{number}{'th' if teens else {1: 'st', 2: 'nd', 3: 'rd'}.get(number % 10, 'th')}"
