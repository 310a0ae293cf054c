"""The customer of a first license: named, known by the machine, or new."""

from polygent_issuer.errors import (
    Ambiguous,
    InputRefused,
    InvalidTerms,
    MissingInput,
    NotFound,
)
from polygent_issuer.findings import Finding, FindingCode
from polygent_issuer.hints import Hint, option, run
from polygent_issuer.issuing.proposal import MachineChoice, NewCustomer, ReceivedDocument
from polygent_issuer.registry import Customer, Reading, customers, machines
from polygent_issuer.terms import dates
from polygent_issuer.terms.parsing import parse_name
from polygent_issuer.text import list_first


def resolve_customer(
    db: Reading,
    named: str | None,
    document: ReceivedDocument | None,
    *,
    claimed: bool,
    slug: str | None = None,
) -> Customer | NewCustomer:
    """The customer: named, or known by the machine, or else new.

    Args:
        claimed: only the document's sender gave the name; who has the machine counts more.
        slug: of a new customer, instead of one made from the name.

    Raises:
        MissingInput: (`missing_input`) when nothing names one.
        Ambiguous: (`ambiguous`) when several customers match.
        InvalidTerms: (`invalid_terms`) when a new name is no display name.
        InputRefused: (`customer_archived`) when it is one who was archived.
        InputRefused: (`input_refused`) when the customer exists and has another slug, or FORMAT
            §1 (`sub`) forbids it.
        Taken: (`taken`) when the slug is another's.
    """
    known = owner_of_machine(db, document)
    if known is not None and (claimed or named is None):
        return _with_no_other_slug(check_not_archived(known), slug)
    if named is None:
        raise MissingInput(
            "the customer is not given, and no document names one",
            hint=Hint("add ", option("--customer", "NAME")),
        )
    try:
        customer = customers.find(db, _name(named))
    except NotFound:
        return new_customer(db, named, slug)
    return _with_no_other_slug(check_not_archived(customer), slug)


def check_not_archived(customer: Customer) -> Customer:
    """The customer, who may be issued licenses: one who was archived may not.

    Raises:
        InputRefused: (`customer_archived`) when it is one; the hint takes that back.
    """
    if customer.archived_at is None:
        return customer
    raise InputRefused(
        f"{customer.name} was archived at {dates.instant(customer.archived_at)}, "
        "and nothing is issued to who is archived",
        hint=run("customer", "archive", customer.slug, "--undo"),
        code="customer_archived",
    )


def owner_of_machine(db: Reading, document: ReceivedDocument | None) -> Customer | None:
    """The one customer who has the document's machine today, if it is one."""
    if document is None:
        return None
    known = machines.with_fingerprint(db, document.info.fingerprint)
    owners = {each.customer.slug: each.customer for each in known if each.until is None}
    return next(iter(owners.values())) if len(owners) == 1 else None


def new_customer(db: Reading, name: str, slug: str | None = None) -> NewCustomer:
    """Make a customer of this name, not yet in the registry; NFC, with a free slug.

    Args:
        slug: instead of one made from the name.

    Raises:
        InvalidTerms: (`invalid_terms`) when it is no display name (FORMAT §1).
        InputRefused: (`input_refused`) when FORMAT §1 (`sub`) forbids the slug.
        Taken: (`taken`) when the slug is another's.
    """
    name = _name(name)
    if slug is not None:
        customers.require_free_slug(db, slug)
    return NewCustomer(slug=slug or customers.free_slug(db, name), name=name)


def customer_finding(
    db: Reading,
    customer: Customer | NewCustomer,
    choice: MachineChoice | None,
    *,
    claimed: bool,
) -> Finding | None:
    """`similar-customer` for a new one; `claimed-customer` if only a document's sender names it.

    Args:
        choice: the machine that the license is for, if for any.
        claimed: nobody but the document's sender named the customer.
    """
    if isinstance(customer, NewCustomer):
        return _similar(db, customer)
    if not claimed or choice is None or choice.known is not None:
        return None
    return Finding(
        code=FindingCode.CLAIMED_CUSTOMER,
        message=f"only the document says that it is of {customer.name}, "
        "who is known without this machine; its sender wrote that",
        hint=Hint(option("--customer", customer.slug), " if you know it"),
    )


def _similar(db: Reading, customer: NewCustomer) -> Finding | None:
    """`similar-customer`: a slip of the pen would make a second customer."""
    alike = customers.similar(db, customer.name)
    if not alike:
        return None
    names = list_first([f"{other.name} ({other.slug})" for other in alike])
    return Finding(
        code=FindingCode.SIMILAR_CUSTOMER,
        message=f"{customer.name} would be a new customer, but is very like {names}",
        hint=Hint("if it is the same: ", option("--customer", alike[0].slug)),
    )


def name_conflict_finding(
    db: Reading, customer: Customer | NewCustomer, document: ReceivedDocument | None
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


def _with_no_other_slug(customer: Customer, slug: str | None) -> Customer:
    if slug in (None, customer.slug):
        return customer
    raise InputRefused(
        f"{customer.name} is a customer already and has the slug {customer.slug}, "
        "which never changes",
        hint="leave out --slug",
    )


def _name(text: str) -> str:
    try:
        return parse_name(text)
    except InvalidTerms as refused:
        raise InvalidTerms(
            f"this cannot be a customer's name: {refused.message}",
            hint=Hint("name another with ", option("--customer", "NAME")),
        ) from None
