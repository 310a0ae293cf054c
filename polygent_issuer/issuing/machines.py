"""What a fingerprint that arrived means for the customer it is said to be of."""

from polygent_issuer.errors import InvalidTerms
from polygent_issuer.findings import Finding, FindingCode
from polygent_issuer.hints import Hint, option, run
from polygent_issuer.issuing.proposal import MachineChoice, NewCustomer, ReceivedDocument
from polygent_issuer.registry import Customer, LicenseRecord, Machine, Reading, machines
from polygent_issuer.terms import dates
from polygent_issuer.text import escape


def own_machine(db: Reading, customer: Customer | NewCustomer, fingerprint: str) -> Machine | None:
    """The customer's machine that has this fingerprint today."""
    if isinstance(customer, NewCustomer):
        return None
    own = (machine for machine in machines.of(db, customer) if machine.fingerprint == fingerprint)
    return next(own, None)


def first_machine(
    db: Reading, customer: Customer | NewCustomer, document: ReceivedDocument, label: str | None
) -> MachineChoice:
    """The machine that a first license is for: known to this customer, or new.

    Raises:
        InvalidTerms: (`invalid_terms`) when the label is not that of the machine, or is another's.
    """
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
    machine: Machine | None,
    fingerprint: str | None,
    document: ReceivedDocument | None,
) -> MachineChoice | None:
    """The machine of the next license: as now, or with the identity of a new document.

    Args:
        machine: the row of the license's machine; its label is used, never its fingerprint.
        fingerprint: what the signed license says; `None` when it was enterprise.

    Raises:
        InvalidTerms: (`invalid_terms`) when the document is of another machine of this customer.
    """
    if document is None:
        if machine is None or fingerprint is None:
            return None
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


def refuse_replaced(
    db: Reading, record: LicenseRecord, machine: Machine | None, fingerprint: str | None
) -> None:
    """Hold that a license that goes on as it is, is not for what its machine was before.

    A machine has mostly one current license, and that one is replaced when the machine changes; a
    merger of customers may leave it another.

    Args:
        machine: the row of the license's machine.
        fingerprint: what the signed license says.

    Raises:
        InvalidTerms: (`invalid_terms`) when the machine took another identity since.
    """
    if machine is None or machine.fingerprint == fingerprint:
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


def refuse_document(document: ReceivedDocument | None) -> None:
    """Hold that an enterprise license is for no machine.

    Raises:
        InvalidTerms: (`invalid_terms`) when a document was given all the same.
    """
    if document is not None:
        raise InvalidTerms(
            "an enterprise license is for no machine, yet a machine-info document was given",
            hint=Hint(
                "leave out ", option("--machine-info"), ", or add ", option("--tier", "standard")
            ),
        )


def of_another_customer(
    db: Reading, customer: Customer | NewCustomer, document: ReceivedDocument
) -> Finding | None:
    """`machine-of-another-customer`: who has it, since when, by the same document or another."""
    for known in machines.with_fingerprint(db, document.info.fingerprint):
        if known.customer.slug == customer.slug:
            continue
        same = known.document_sha256 == document.sha256
        until = f" until {dates.instant(known.until)}" if known.until else ""
        which = "the same document" if same else "another document"
        return Finding(
            code=FindingCode.MACHINE_OF_ANOTHER_CUSTOMER,
            message=f"this fingerprint is known for {known.customer.name} "
            f"({known.customer.slug}, machine {known.machine.label}) "
            f"since {dates.instant(known.since)}{until}, by {which}",
            hint=run("customer", "show", known.customer.slug),
        )
    return None


def additional(db: Reading, customer: Customer, choice: MachineChoice) -> Finding | None:
    """`additional-machine`: the customer has one already, and this is another."""
    if choice.known is not None:
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
