"""What a fingerprint that arrived means for the customer it is said to be of, and its past.

What the past says are notes, not findings: servers are replaced and rebuilt, and nobody is to be
asked each time. Who sees the third change in a year, or one fingerprint under two names, asks the
customer.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING, Final

from polygent_issuer.errors import Ambiguous, InvalidTerms, MissingInput, NotFound
from polygent_issuer.findings import Finding, FindingCode
from polygent_issuer.hints import Hint, option, run
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
from polygent_issuer.text import escape
from polygent_issuer.verifier import License

if TYPE_CHECKING:
    from polygent_issuer.machine_info.document import MachineInfo, ReceivedDocument

_HOUR: Final = timedelta(hours=1)
_YEAR: Final = timedelta(days=365)


def own_machine(db: Reading, customer: Customer | NewCustomer, fingerprint: str) -> Machine | None:
    """The customer's machine that has this fingerprint today."""
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
    """The machine of a first license: known or new.

    Raises:
        MissingInput: (`missing_input`) without a document.
        InvalidTerms: (`invalid_terms`) when the label is not that of the machine, or is another's.
    """
    if document is None:
        raise _unbound(", or ", option("--plan", "enterprise-annual"))
    fingerprint = document.info.fingerprint
    known = own_machine(db, customer, fingerprint)
    if known is not None:
        if label not in (None, known.label):
            raise InvalidTerms(
                f"this machine is known already, as {escape(known.label)}",
                hint=Hint("leave out ", option("--label")),
            )
        return MachineChoice(label=known.label, fingerprint=fingerprint, known=known)
    existing = None if isinstance(customer, NewCustomer) else customer
    if label is None:
        label = machines.free_label(db, existing, document.info.hostname)
    elif existing is not None and label in {each.label for each in machines.of(db, existing)}:
        raise InvalidTerms(
            f"{existing.name} has another machine with the label {escape(label)}",
            hint=Hint(
                "choose another ",
                option("--label"),
                "; or, if this one replaces it: ",
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
    """The machine of the license that follows one: as now, or with a new document's identity.

    Of the row of the license's machine the label is used; what it is says the signed license.

    Raises:
        MissingInput: (`missing_input`) without a document, when it was for no machine.
        InvalidTerms: (`invalid_terms`) when the document is of another machine of this customer,
            or there is none and the machine took another identity since.
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
            f"this document is of the machine {escape(same.label)}, not of {escape(machine.label)}",
            hint=run("renew", customer.slug, "--machine", same.label),
        )
    changed = new != machine.fingerprint
    return MachineChoice(label=machine.label, fingerprint=new, known=machine, changed=changed)


def _unbound(*instead: str) -> MissingInput:
    return MissingInput(
        "a standard license is bound to a machine, and no document was given",
        hint=Hint("add ", option("--machine-info", "FILE"), *instead),
    )


def _refuse_replaced(
    db: Reading, record: LicenseRecord, machine: Machine, fingerprint: str
) -> None:
    """Refuse a license that goes on for what its machine was before.

    A machine has mostly one current license, and that one is replaced when the machine changes; a
    merger of customers may leave it another.
    """
    if machine.fingerprint == fingerprint:
        return
    if all(past.fingerprint != fingerprint for past in machines.history(db, machine)):
        return
    license_id = record.id[:8]
    raise InvalidTerms(
        f"license {license_id} is for what {escape(machine.label)} was before "
        f"{dates.instant(machine.since)}: the machine has another fingerprint since",
        hint=Hint(
            run("license", "retire", license_id, "--reason", "TEXT"),
            ", if the machine has another license; else ",
            run("reissue", record.customer_slug, "--license", license_id, "--machine-info", "FILE"),
        ),
    )


def refuse_document(document: "ReceivedDocument | None") -> None:
    """Check that an enterprise license is for no machine; else `invalid_terms`."""
    if document is not None:
        raise InvalidTerms(
            "an enterprise license is for no machine, yet a machine-info document was given",
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
    """Judge a document that a license of this customer is for."""
    if document is None:
        return ()
    return (
        freshness_finding(document.info, now=now, max_age=settings.machine_info_max_age),
        implausible_fingerprint(document.info),
        _of_another_customer(db, customer, document),
        _names_another_customer(db, customer, document),
    )


def _of_another_customer(
    db: Reading, customer: Customer | NewCustomer, document: "ReceivedDocument"
) -> Finding | None:
    """`machine-of-another-customer`: who has it, since when, by the same document or another."""
    for known in machines.with_fingerprint(db, document.info.fingerprint):
        if known.customer.slug == customer.slug:
            continue
        until = f" until {dates.instant(known.until)}" if known.until else ""
        same = known.document_sha256 == document.sha256
        return Finding(
            code=FindingCode.MACHINE_OF_ANOTHER_CUSTOMER,
            message=f"this fingerprint is known for {known.customer.name} "
            f"({known.customer.slug}, machine {known.machine.label}) "
            f"since {dates.instant(known.since)}{until}, "
            f"by {'the same' if same else 'another'} document",
            hint=run("customer", "show", known.customer.slug),
        )
    return None


def _names_another_customer(
    db: Reading, customer: Customer | NewCustomer, document: "ReceivedDocument | None"
) -> Finding | None:
    """`claimed-customer`: the license would be one customer's, and the document names another.

    The wrong attachment is the commonest slip; that the sender wrote the name proves nothing
    either way, so this asks and does not refuse.
    """
    said = None if document is None else document.info.customer
    if said is None:
        return None
    try:
        other = customers.find(db, said)
    except (NotFound, Ambiguous):
        return None
    if other.slug == customer.slug:
        return None
    return Finding(
        code=FindingCode.CLAIMED_CUSTOMER,
        message=f"the license would be {customer.name}'s, "
        f"but the document says that its machine is {other.name}'s",
        hint=Hint("look again which document this is: ", run("machine-info", "check", "FILE")),
    )


def additional_machine_finding(
    db: Reading, customer: Customer | NewCustomer, choice: MachineChoice | None
) -> Finding | None:
    """`additional-machine`: the customer has one already, and this is another."""
    if choice is None or choice.known is not None or isinstance(customer, NewCustomer):
        return None
    labels = [machine.label for machine in machines.of(db, customer)]
    if not labels:
        return None
    return Finding(
        code=FindingCode.ADDITIONAL_MACHINE,
        message=f"{customer.name} has a machine already ({', '.join(labels)}), and this is another",
        hint=Hint(
            "if it replaces one: ",
            run("reissue", customer.slug, "--machine", labels[0], "--machine-info", "FILE"),
        ),
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class IdentityChange:
    """A machine took another fingerprint at an instant."""

    at: datetime
    components: tuple[ComponentChange, ...]


def identity_changes(identities: Sequence[Identity]) -> tuple[IdentityChange, ...]:
    """The changes of a machine, latest first; the same fingerprint twice in a row is none."""
    return tuple(
        IdentityChange(
            at=old.until or new.since,
            components=changed_components(old.components, new.components),
        )
        for new, old in pairwise(identities)
        if new.fingerprint != old.fingerprint
    )


def change_count(identities: Sequence[Identity], now: datetime, *, more: int = 0) -> str | None:
    """`3rd machine change in 12 months`; None before the second. `more` are about to be made."""
    recent = sum(change.at > now - _YEAR for change in identity_changes(identities)) + more
    return None if recent < 2 else f"{_ordinal(recent)} machine change in 12 months"  # noqa: PLR2004  # the second


def list_components(components: Iterable[ComponentChange]) -> str | None:
    """Compared parts in words: `board changed, disk same`; None for none."""
    return ", ".join(f"{escape(part.name)} {part.state}" for part in components) or None


def document_notes(
    db: Reading, document: "ReceivedDocument | None", choice: MachineChoice | None, now: datetime
) -> tuple[str, ...]:
    """What a document says, so that a wrong attachment is seen, and how its machine changed."""
    if document is None:
        return ()
    info = document.info
    customer, host = escape(info.customer or "unnamed"), escape(info.hostname or "unnamed")
    made = _age(now - info.generated_at)
    return (
        f"the document says: customer {customer}, host {host}, made {made}",
        *(_comparison(db, choice.known, info, now) if choice and choice.known else ()),
        *_clones(db, info.fingerprint, info.hostname),
    )


def history_notes(db: Reading, info: "MachineInfo", now: datetime) -> tuple[str, ...]:
    """What the registry's past says of a document that nobody signs for yet."""
    notes: list[str] = []
    if likely := _likely_machine(db, info):
        customer, machine = likely
        if machine.fingerprint != info.fingerprint:
            notes.append(_may_be(customer, machine))
        notes.extend(_comparison(db, machine, info, now))
    return (*notes, *_clones(db, info.fingerprint, info.hostname))


def machine_notes(db: Reading, machine: Machine, now: datetime) -> tuple[str, ...]:
    """What is to be known of a machine that a customer has."""
    count = change_count(machines.history(db, machine), now)
    return (*([count] if count else []), *_clones(db, machine.fingerprint, machine.hostname))


def _comparison(db: Reading, machine: Machine, info: "MachineInfo", now: datetime) -> Iterator[str]:
    """What a document says beside a machine: which parts differ, how often it has changed."""
    compared = list_components(changed_components(machine.components, info.components))
    if compared is not None:
        yield f"its parts beside those of {escape(machine.label)}: {compared}"
    if machine.fingerprint != info.fingerprint:
        count = change_count(machines.history(db, machine), now, more=1)
        if count is not None:
            yield f"{count}: {escape(machine.label)}"


def _likely_machine(db: Reading, info: "MachineInfo") -> tuple[Customer, Machine] | None:
    """The machine that a document is probably of, by no proof: a person judges.

    Whoever has or had the fingerprint; else who has this hostname, or one machine, under this name.
    """
    for known in machines.with_fingerprint(db, info.fingerprint):
        return known.customer, known.machine
    try:
        customer = customers.find(db, info.customer or "")
    except (NotFound, Ambiguous):
        return None
    own = machines.of(db, customer)
    named = [each for each in own if info.hostname and each.hostname == info.hostname]
    candidates = named or own
    return (customer, candidates[0]) if len(candidates) == 1 else None


def _may_be(customer: Customer, machine: Machine) -> str:
    note = f"it may be {customer.slug}'s machine {escape(machine.label)}, changed"
    if customer.archived_at is not None:
        undo = run("customer", "archive", customer.slug, "--undo")
        return f"{note}; {customer.slug} was archived: {undo}"
    reissue = run("reissue", customer.slug, "--machine", machine.label, "--machine-info", "FILE")
    return f"{note}: {reissue}"


def _clones(db: Reading, fingerprint: str, hostname: str | None) -> tuple[str, ...]:
    """Where this fingerprint is or was known under another hostname (RFC 4343), of any customer."""
    if hostname is None:
        return ()
    notes = []
    for known in machines.with_fingerprint(db, fingerprint):
        if known.hostname is None or known.hostname.casefold() == hostname.casefold():
            continue
        owner = f"{known.customer.name} ({known.customer.slug}), machine {known.machine.label}"
        until = "" if known.until is None else f" until {dates.instant(known.until)}"
        notes.append(
            f"same fingerprint, other hostname: a clone? {escape(hostname)} here, "
            f"{escape(known.hostname)} as {owner}, since {dates.instant(known.since)}{until}"
        )
    return tuple(dict.fromkeys(notes))


def _age(age: timedelta) -> str:
    """How old a document is; a clock that runs ahead made it in our future."""
    span = abs(age)
    hours = span // _HOUR
    length = f"{hours} hour{'' if hours == 1 else 's'}" if hours else "less than an hour"
    if span.days:
        length = dates.days(span.days)
    return f"{length} {'ago' if age >= timedelta() else 'ahead of this clock'}"


def _ordinal(number: int) -> str:
    teens = 10 < number % 100 < 14  # noqa: PLR2004  # 11th to 13th
    return f"{number}{'th' if teens else {1: 'st', 2: 'nd', 3: 'rd'}.get(number % 10, 'th')}"
