"""Choose a license's machine, and compare a machine-info document with the registry.

A machine's history makes notes, not findings: servers are replaced and rebuilt too often for a
question each time. An operator who reads of a third change in a year, or of one fingerprint under
two host names, can ask the customer.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING, Final

from polygent_issuer.errors import InvalidTerms, MissingInput
from polygent_issuer.findings import Finding, FindingCode
from polygent_issuer.home.settings import Settings
from polygent_issuer.issuing.proposal import MachineChoice, NewCustomer
from polygent_issuer.machine_info.plausibility import (
    ComponentChange,
    changed_components,
    freshness_finding,
    implausible_fingerprint,
)
from polygent_issuer.registry import (
    Customer,
    Identity,
    LicenseRecord,
    Machine,
    Reading,
    customers,
    machines,
)
from polygent_issuer.terms import dates
from polygent_issuer.text import Hint, escape, list_first, option, run
from polygent_issuer.verifier import License

if TYPE_CHECKING:
    from polygent_issuer.machine_info.document import MachineInfo, ReceivedDocument

_HOUR: Final = timedelta(hours=1)
_YEAR: Final = timedelta(days=365)


def own_machine(db: Reading, customer: Customer | NewCustomer, fingerprint: str) -> Machine | None:
    """Return the customer's machine that has this fingerprint at present."""
    if isinstance(customer, NewCustomer):
        return None
    own = (machine for machine in machines.of(db, customer) if machine.fingerprint == fingerprint)
    return next(own, None)


def first_machine(
    db: Reading,
    customer: Customer | NewCustomer,
    document: "ReceivedDocument | None",
    label: str | None,
) -> MachineChoice:
    """Return the machine of a first license: known or new.

    Raises:
        MissingInput: (`missing_input`) the document is missing.
        InvalidTerms: (`invalid_terms`) the machine has another label, or another machine has it.
    """
    if document is None:
        raise _unbound(", or ", option("--plan", "enterprise-annual"))
    fingerprint = document.info.fingerprint
    known = own_machine(db, customer, fingerprint)
    if known is not None:
        if label not in (None, known.label):
            raise InvalidTerms(
                f"this machine is already registered with the label {escape(known.label)}",
                hint=Hint("leave out ", option("--label")),
            )
        return MachineChoice(label=known.label, fingerprint=fingerprint, known=known)
    existing = None if isinstance(customer, NewCustomer) else customer
    if label is None:
        label = machines.free_label(db, existing, document.info.hostname)
    elif existing is not None and label in {each.label for each in machines.of(db, existing)}:
        raise InvalidTerms(
            f"{existing.name} already has another machine with the label {escape(label)}",
            hint=Hint(
                "choose another ",
                option("--label"),
                "; if this machine replaces it: ",
                run("reissue", existing.slug, "--machine", label, "--machine-info", "FILE"),
            ),
        )
    return MachineChoice(label=label, fingerprint=fingerprint)


def next_machine(
    db: Reading,
    customer: Customer,
    record: LicenseRecord,
    old: License,
    document: "ReceivedDocument | None",
) -> MachineChoice:
    """Return the machine of the next license: the present one, or the one of a new document.

    The row of the machine gives the label. Without a document, the fingerprint comes from the
    signed license.

    Raises:
        MissingInput: (`missing_input`) no document, and the license is not bound to a machine.
        InvalidTerms: (`invalid_terms`) the document belongs to another machine of this customer,
            or is missing and the machine's identity has changed.
    """
    machine = None if record.machine_id is None else machines.by_id(db, record.machine_id)
    if document is None:
        fingerprint = old.machine_fingerprint
        if machine is None or fingerprint is None:
            raise _unbound()
        _refuse_replaced(db, record, machine, fingerprint)
        return MachineChoice(label=machine.label, fingerprint=fingerprint, known=machine)
    new = document.info.fingerprint
    if machine is None:
        return first_machine(db, customer, document, None)
    same = own_machine(db, customer, new)
    if same is not None and same.id != machine.id:
        raise InvalidTerms(
            f"this document belongs to the machine {escape(same.label)}, "
            f"not to {escape(machine.label)}",
            hint=run("renew", customer.slug, "--machine", same.label),
        )
    changed = new != machine.fingerprint
    return MachineChoice(label=machine.label, fingerprint=new, known=machine, changed=changed)


def refuse_document(document: "ReceivedDocument | None") -> None:
    """Refuse a document for an enterprise license (`invalid_terms`)."""
    if document is not None:
        raise InvalidTerms(
            "enterprise licenses are not bound to a machine, but a machine-info document was given",
            hint=Hint(
                "leave out ", option("--machine-info"), ", or add ", option("--tier", "standard")
            ),
        )


def document_findings(
    db: Reading,
    customer: Customer | NewCustomer,
    document: "ReceivedDocument | None",
    settings: Settings,
    now: datetime,
) -> tuple[Finding | None, ...]:
    """Return the findings on the document of a license for this customer."""
    if document is None:
        return ()
    return (
        freshness_finding(document.info, now=now, max_age=settings.machine_info_max_age),
        implausible_fingerprint(document.info),
        _of_another_customer(db, customer, document),
        _names_another_customer(db, customer, document),
    )


def additional_machine_finding(
    db: Reading, customer: Customer | NewCustomer, choice: MachineChoice | None
) -> Finding | None:
    """Return `additional-machine` if the customer already has another machine."""
    if choice is None or choice.known is not None or isinstance(customer, NewCustomer):
        return None
    labels = [machine.label for machine in machines.of(db, customer)]
    if not labels:
        return None
    return Finding(
        code=FindingCode.ADDITIONAL_MACHINE,
        message=f"{customer.name} already has another machine: {', '.join(labels)}",
        hint=Hint(
            "if it replaces one: ",
            run("reissue", customer.slug, "--machine", labels[0], "--machine-info", "FILE"),
        ),
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class IdentityChange:
    """A change of a machine's fingerprint, and its instant."""

    at: datetime
    components: tuple[ComponentChange, ...]


def identity_changes(identities: Sequence[Identity]) -> tuple[IdentityChange, ...]:
    """Return the changes of a machine's fingerprint, latest first."""
    return tuple(
        IdentityChange(
            at=old.until or new.since,
            components=changed_components(old.components, new.components),
        )
        for new, old in pairwise(identities)
        if new.fingerprint != old.fingerprint
    )


def change_count(identities: Sequence[Identity], now: datetime, *, more: int = 0) -> str | None:
    """Return `3rd machine change in 12 months`, from the second on; `more` are about to happen."""
    recent = sum(change.at > now - _YEAR for change in identity_changes(identities)) + more
    return None if recent < 2 else f"{_ordinal(recent)} machine change in 12 months"  # noqa: PLR2004  # the second


def list_components(components: Iterable[ComponentChange]) -> str | None:
    """Return compared components as text: `board changed, disk same`; None if empty."""
    return ", ".join(f"{escape(part.name)} {part.state}" for part in components) or None


def document_notes(
    db: Reading, document: "ReceivedDocument | None", choice: MachineChoice | None, now: datetime
) -> tuple[str, ...]:
    """Return what a document states, so that a wrong one is noticed, and its machine's changes."""
    if document is None:
        return ()
    info = document.info
    customer, host = escape(info.customer or "unnamed"), escape(info.hostname or "unnamed")
    age = _age(now - info.generated_at)
    return (
        f"document: customer {customer}, host {host}, created {age}",
        *(_comparison(db, choice.known, info, now) if choice and choice.known else ()),
        *_clones(db, info.fingerprint, info.hostname),
    )


def history_notes(db: Reading, info: "MachineInfo", now: datetime) -> tuple[str, ...]:
    """Return what the registry knows of a document before a license is signed for it."""
    notes: list[str] = []
    if likely := _likely_machine(db, info):
        customer, machine = likely
        if machine.fingerprint != info.fingerprint:
            notes.append(_may_be(customer, machine))
        notes.extend(_comparison(db, machine, info, now))
    return (*notes, *_clones(db, info.fingerprint, info.hostname))


def machine_notes(db: Reading, machine: Machine, now: datetime) -> tuple[str, ...]:
    """Return the notes on a registered machine."""
    count = change_count(machines.history(db, machine), now)
    return (*([count] if count else []), *_clones(db, machine.fingerprint, machine.hostname))


def _unbound(*instead: str) -> MissingInput:
    return MissingInput(
        "a standard license is bound to a machine, and no machine-info document was given",
        hint=Hint("add ", option("--machine-info", "FILE"), *instead),
    )


def _refuse_replaced(
    db: Reading, record: LicenseRecord, machine: Machine, fingerprint: str
) -> None:
    """Refuse to renew a license for a previous fingerprint of its machine.

    A change of a machine replaces its license. Only a merge of customers may leave a second one.
    """
    if machine.fingerprint == fingerprint:
        return
    if all(past.fingerprint != fingerprint for past in machines.history(db, machine)):
        return
    license_id = record.id[:8]
    raise InvalidTerms(
        f"license {license_id} was issued for the previous fingerprint of {escape(machine.label)}, "
        f"which changed at {dates.instant(machine.since)}",
        hint=Hint(
            "if the machine has another license: ",
            run("license", "retire", license_id, "--reason", "TEXT"),
            "; otherwise: ",
            run("reissue", record.customer_slug, "--license", license_id, "--machine-info", "FILE"),
        ),
    )


def _of_another_customer(
    db: Reading, customer: Customer | NewCustomer, document: "ReceivedDocument"
) -> Finding | None:
    """Return `machine-of-another-customer`, with the owner, the dates and the document."""
    for known in machines.with_fingerprint(db, document.info.fingerprint):
        if known.customer.slug == customer.slug:
            continue
        until = f" until {dates.instant(known.until)}" if known.until else ""
        same = known.document_sha256 == document.sha256
        return Finding(
            code=FindingCode.MACHINE_OF_ANOTHER_CUSTOMER,
            message=f"this fingerprint is registered for {known.customer.name} "
            f"({known.customer.slug}, machine {known.machine.label}) "
            f"since {dates.instant(known.since)}{until}, "
            f"with {'this' if same else 'another'} document",
            hint=Hint("show its owner: ", run("customer", "show", known.customer.slug)),
        )
    return None


def _names_another_customer(
    db: Reading, customer: Customer | NewCustomer, document: "ReceivedDocument"
) -> Finding | None:
    """Return `claimed-customer` if the document names a customer other than the license's.

    The wrong attachment is the most common mistake. The name in a document proves nothing, so the
    operator decides.
    """
    if document.info.customer is None:
        return None
    others = customers.matches(db, document.info.customer)
    if not others or customer.slug in {other.slug for other in others}:
        return None
    named = list_first([other.name for other in others])
    return Finding(
        code=FindingCode.CLAIMED_CUSTOMER,
        message=f"the document names the customer {named}, but the license is for {customer.name}",
        hint=Hint("check the document: ", run("machine-info", "check", "FILE")),
    )


def _comparison(db: Reading, machine: Machine, info: "MachineInfo", now: datetime) -> Iterator[str]:
    """Compare a document with a machine: changed components, and earlier changes in the year."""
    compared = list_components(changed_components(machine.components, info.components))
    if compared is not None:
        yield f"components compared with {escape(machine.label)}: {compared}"
    if machine.fingerprint != info.fingerprint:
        count = change_count(machines.history(db, machine), now, more=1)
        if count is not None:
            yield f"{count}: {escape(machine.label)}"


def _likely_machine(db: Reading, info: "MachineInfo") -> tuple[Customer, Machine] | None:
    """Return the machine that a document probably belongs to, for a person to judge.

    It is the machine that has or had the fingerprint; else, of the machines of the customer that
    the document names, the one with the same host name, or the only one.
    """
    for known in machines.with_fingerprint(db, info.fingerprint):
        return known.customer, known.machine
    matches = customers.matches(db, info.customer or "")
    if len(matches) != 1:
        return None
    customer = matches[0]
    own = machines.of(db, customer)
    named = [each for each in own if info.hostname and each.hostname == info.hostname]
    candidates = named or own
    return (customer, candidates[0]) if len(candidates) == 1 else None


def _may_be(customer: Customer, machine: Machine) -> str:
    note = f"this may be the machine {escape(machine.label)} of {customer.slug} after a change"
    if customer.archived_at is not None:
        undo = run("customer", "archive", customer.slug, "--undo")
        return Hint(f"{note}, but {customer.slug} is archived; to unarchive it: ", undo)
    reissue = run("reissue", customer.slug, "--machine", machine.label, "--machine-info", "FILE")
    return Hint(f"{note}; if so: ", reissue)


def _clones(db: Reading, fingerprint: str, hostname: str | None) -> tuple[str, ...]:
    """Return each machine that has or had this fingerprint and another host name (RFC 4343)."""
    if hostname is None:
        return ()
    notes = []
    for known in machines.with_fingerprint(db, fingerprint):
        if known.hostname is None or known.hostname.casefold() == hostname.casefold():
            continue
        owner = f"{known.customer.name}, {known.customer.slug}, machine {known.machine.label}"
        until = "" if known.until is None else f" until {dates.instant(known.until)}"
        notes.append(
            f"possible clone: this host is {escape(hostname)}, but its fingerprint is registered "
            f"for {escape(known.hostname)} ({owner}) since {dates.instant(known.since)}{until}"
        )
    return tuple(dict.fromkeys(notes))


def _age(age: timedelta) -> str:
    """Return the age of a document as text; a clock that runs ahead makes it negative."""
    span = abs(age)
    hours = span // _HOUR
    length = f"{hours} hour{'' if hours == 1 else 's'}" if hours else "less than an hour"
    if span.days:
        length = dates.days(span.days)
    return f"{length} {'ago' if age >= timedelta() else 'ahead of this clock'}"


def _ordinal(number: int) -> str:
    teens = 10 < number % 100 < 14  # noqa: PLR2004  # 11th to 13th
    return f"{number}{'th' if teens else {1: 'st', 2: 'nd', 3: 'rd'}.get(number % 10, 'th')}"
