"""Decide a customer's first license (`sign`). Nothing is written and no key is needed."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING

from polygent_issuer.errors import InputRefused, InvalidTerms, MissingInput
from polygent_issuer.findings import Finding, FindingCode
from polygent_issuer.home.settings import Settings
from polygent_issuer.issuing import expiry
from polygent_issuer.issuing.machines import first_machine, refuse_document
from polygent_issuer.issuing.next_license import (
    LicenseRequest,
    RenewalRequest,
    check_not_archived,
    long_term,
    propose,
    propose_renewal,
)
from polygent_issuer.issuing.proposal import (
    Action,
    MachineChoice,
    NewCustomer,
    Proposal,
    load_license,
    similar_customer,
)
from polygent_issuer.registry import Customer, LicenseRecord, Reading, customers, licenses, machines
from polygent_issuer.terms import dates, decision
from polygent_issuer.terms.dates import term_end
from polygent_issuer.terms.parsing import Changes, Plan, Terms, parse_name
from polygent_issuer.text import Hint, escape, option, run
from polygent_issuer.verifier import Tier

if TYPE_CHECKING:
    from polygent_issuer.machine_info.document import ReceivedDocument


@dataclass(frozen=True, kw_only=True, slots=True)
class FirstLicenseRequest(LicenseRequest):
    """Options of `sign`.

    Attributes:
        customer: a slug or name; a new name adds a customer.
        claimed: the customer's name comes only from the document.
        slug, label: for a new customer, and for the machine; by default made from their names.
    """

    customer: str | None
    claimed: bool = False
    slug: str | None = None
    label: str | None = None
    plan: Plan


def propose_first(
    db: Reading, request: FirstLicenseRequest, *, settings: Settings, now: datetime, license_id: str
) -> Proposal:
    """Decide a first license.

    If the machine's license has expired, the new one renews it. If it still runs, the error names
    `renew` and `reissue`.

    Raises:
        MissingInput: (`missing_input`) no customer, or no document for a standard license.
        InvalidTerms: (`invalid_terms`) impossible terms, or the machine has a running license.
        InputRefused, Taken: the slug of an existing customer, or a slug that is not free.
        NotFound, Ambiguous: the customer or the key.
    """
    customer = resolve_customer(
        db, request.customer, request.document, claimed=request.claimed, slug=request.slug
    )
    terms = decision.first_terms(request.plan, request.changes, settings.catalogue)
    choice = None
    if terms.tier is Tier.ENTERPRISE:
        refuse_document(request.document)
    else:
        choice = first_machine(db, customer, request.document, request.label)
    current = licenses.current(db, customer) if isinstance(customer, Customer) else ()
    expired = _expired_license(db, customer, current, choice, terms=terms, now=now)
    if expired is not None:
        renewal = RenewalRequest(
            action=Action.RENEW,
            customer=customer.slug,
            document=request.document,
            changes=request.changes,
            key=request.key,
        )
        proposal = propose_renewal(
            db, renewal, (expired,), settings=settings, now=now, license_id=license_id
        )
        note = f"license {expired.id[:8]} has expired; the new license replaces it"
        return replace(proposal, action=Action.SIGN, notes=(*proposal.notes, note))
    proposal = propose(
        db,
        request,
        action=Action.SIGN,
        customer=customer,
        terms=terms,
        choice=choice,
        expires_at=first_expiry(request.changes, request.plan, now),
        term=str(request.changes.term or request.plan.term),
        plan=request.plan.name,
        settings=settings,
        now=now,
        license_id=license_id,
    )
    notes = _kept_machines_note(request.plan, customer, current, terms, now)
    proposal = replace(proposal, notes=(*proposal.notes, *notes))
    return proposal.with_findings(
        customer_finding(db, customer, choice, claimed=request.claimed),
        long_term(now, proposal.license.expires_at, settings),
    )


def first_expiry(changes: Changes, plan: Plan, now: datetime) -> datetime:
    """Return the expiry of a first license.

    Raises:
        InvalidTerms: (`invalid_terms`) `--from expiry` was given.
    """
    if changes.expires is not None:
        return changes.expires
    if changes.basis == "expiry":
        raise InvalidTerms(
            "--from expiry needs an existing license, but this is a first license",
            hint=Hint("use ", option("--from", "now"), " or ", option("--from", "DATE")),
        )
    base = changes.basis if isinstance(changes.basis, datetime) else now
    return term_end(base, changes.term or plan.term)


def resolve_customer(
    db: Reading,
    named: str | None,
    document: "ReceivedDocument | None",
    *,
    claimed: bool,
    slug: str | None,
) -> Customer | NewCustomer:
    """Return the customer: by name, else by the machine, else a new one.

    Args:
        claimed: the name comes only from the document; the owner of the machine takes precedence.
        slug: for a new customer, instead of one made from the name.

    Raises:
        MissingInput: (`missing_input`) the name is missing.
        Ambiguous: (`ambiguous`) several customers match.
        InputRefused: (`customer_archived`) the customer is archived; (`input_refused`) it has
            another slug.
        InvalidTerms, InputRefused, Taken: as `new_customer`.
    """
    customer = owner_of_machine(db, document) if claimed or named is None else None
    if customer is None:
        if named is None:
            raise MissingInput(
                "no customer given, and no document names one",
                hint=Hint("add ", option("--customer", "NAME")),
            )
        customer = customers.find_known(db, _name(named))
        if customer is None:
            return new_customer(db, named, slug)
    check_not_archived(customer)
    if slug not in (None, customer.slug):
        raise InputRefused(
            f"{customer.name} already has the slug {customer.slug}, and slugs cannot be changed",
            hint="leave out --slug",
        )
    return customer


def owner_of_machine(db: Reading, document: "ReceivedDocument | None") -> Customer | None:
    """Return the customer that has the document's machine at present, if exactly one has."""
    if document is None:
        return None
    known = machines.with_fingerprint(db, document.info.fingerprint)
    owners = {each.customer.slug: each.customer for each in known if each.until is None}
    return next(iter(owners.values())) if len(owners) == 1 else None


def new_customer(db: Reading, name: str, slug: str | None = None) -> NewCustomer:
    """Return a new customer with this name in NFC, and a free slug; nothing is written.

    Raises:
        InvalidTerms: (`invalid_terms`) the name is not a display name (FORMAT §1).
        InputRefused, Taken: as `customers.require_free_slug`, for an explicit slug.
    """
    name = _name(name)
    if slug is not None:
        customers.require_free_slug(db, slug)
    return NewCustomer(slug=slug or customers.free_slug(db, name), name=name)


def customer_finding(
    db: Reading, customer: Customer | NewCustomer, choice: MachineChoice | None, *, claimed: bool
) -> Finding | None:
    """Return `similar-customer` for a new customer, or `claimed-customer` for one in a document."""
    if isinstance(customer, NewCustomer):
        alike = customers.similar(db, customer.name)
        slug = alike[0].slug if alike else ""
        return similar_customer(
            f"{customer.name} would be a new customer, but",
            alike,
            hint=Hint("if it is the same customer: ", option("--customer", slug)),
        )
    if not claimed or choice is None or choice.known is not None:
        return None
    return Finding(
        code=FindingCode.CLAIMED_CUSTOMER,
        message=f"the name {customer.name} comes only from the document, which anyone can write, "
        "and that customer has no such machine",
        hint=Hint("if you know it is theirs: ", option("--customer", customer.slug)),
    )


def _expired_license(
    db: Reading,
    customer: Customer | NewCustomer,
    current: Sequence[LicenseRecord],
    choice: MachineChoice | None,
    *,
    terms: Terms,
    now: datetime,
) -> LicenseRecord | None:
    """Return the latest current license for the same machine or domain.

    It must have expired; else `invalid_terms`.
    """
    if choice is None:
        unbound = (record for record in current if record.machine_id is None)
        domain = terms.allowed_domain
        same = [each for each in unbound if load_license(db, each).allowed_domain == domain]
    else:
        known = choice.known
        same = [each for each in current if known is not None and each.machine_id == known.id]
    if not same:
        return None
    last = expiry.last_to_end(same)
    if last.expires_at > now:
        what = f"the machine {escape(choice.label)}" if choice else "this domain"
        this_one = (customer.slug, "--license", last.id[:8])
        raise InvalidTerms(
            f"{customer.name} already has a license for {what}, which expires at "
            f"{dates.describe_expiry(last.expires_at)}",
            hint=Hint(
                "for the next term: ",
                run("renew", *this_one),
                "; for a new file with the same expiry: ",
                run("reissue", *this_one),
            ),
        )
    return last


def _kept_machines_note(
    plan: Plan,
    customer: Customer | NewCustomer,
    current: Sequence[LicenseRecord],
    terms: Terms,
    now: datetime,
) -> tuple[str, ...]:
    """Note that an enterprise license does not replace the machines' licenses, as is usual."""
    running = (record.machine_label for record in current if record.expires_at > now)
    labels = [label for label in running if label is not None]
    if terms.tier is Tier.STANDARD or not labels:
        return ()
    typed = ("--plan", plan.name) if plan.tier is Tier.ENTERPRISE else ("--tier", "enterprise")
    instead = run("reissue", customer.slug, "--all-machines", *typed)
    kept = f"the licenses for {', '.join(labels)} stay current"
    return (Hint(f"{kept}; to replace them instead: ", instead),)


def _name(text: str) -> str:
    try:
        return parse_name(text)
    except InvalidTerms as refused:
        raise InvalidTerms(
            f"invalid customer name: {refused.message}",
            hint=Hint("give another name with ", option("--customer", "NAME")),
        ) from None
