"""`sign`: a customer's first license."""

from dataclasses import dataclass, replace
from datetime import datetime

from polygent_issuer.errors import InvalidTerms, MissingInput
from polygent_issuer.hints import Hint, option, run
from polygent_issuer.home.settings import Settings
from polygent_issuer.issuing import customer_resolution, expiry, machines, renewal
from polygent_issuer.issuing.proposal import (
    Action,
    MachineChoice,
    NewCustomer,
    Proposal,
    ReceivedDocument,
    build_license,
    load_license,
)
from polygent_issuer.issuing.signing import choose_key
from polygent_issuer.registry import Customer, LicenseRecord, Reading, licenses
from polygent_issuer.terms import dates, decision
from polygent_issuer.terms.parsing import Changes, Plan, Terms
from polygent_issuer.text import escape
from polygent_issuer.verifier import Tier


@dataclass(frozen=True, kw_only=True, slots=True)
class FirstLicenseRequest:
    """What `sign` was asked for.

    Attributes:
        customer: a slug or name; a new name makes a customer.
        claimed: nobody but the document's sender named the customer.
        slug: of a new customer; made from the name when not given.
        label: the machine's label; its hostname when not given.
        key: a label or kid; the active key when not given.
    """

    customer: str | None
    claimed: bool = False
    slug: str | None = None
    document: ReceivedDocument | None = None
    label: str | None = None
    plan: Plan
    changes: Changes
    key: str | None = None


def propose_first(
    db: Reading, request: FirstLicenseRequest, *, settings: Settings, now: datetime, license_id: str
) -> Proposal:
    """Decide a first license; nothing is written and no key is needed.

    A known machine whose license still runs is refused towards `renew` and `reissue`; one whose
    license has lapsed is continued.

    Raises:
        MissingInput: (`missing_input`) no customer, or no document for a standard license.
        InvalidTerms: (`invalid_terms`) terms that no license may have, or a license that runs.
        InputRefused, Taken: a slug for a customer who exists, or one that is not free.
        NotFound, Ambiguous: the customer or the key.
    """
    customer = customer_resolution.resolve_customer(
        db, request.customer, request.document, claimed=request.claimed, slug=request.slug
    )
    new_terms = decision.first_terms(request.plan, request.changes, settings.catalogue)
    choice = _machine(db, request, customer, new_terms)
    if isinstance(customer, Customer):
        lapsed = _lapsed(db, customer, choice, new_terms, now)
        if lapsed is not None:
            return _renew_lapsed(
                db, request, customer, lapsed, settings=settings, now=now, license_id=license_id
            )
    expires_at = expiry.first_expiry(request.changes, request.plan, now)
    proposal = Proposal(
        action=Action.SIGN,
        license=build_license(
            license_id=license_id,
            issuer=settings.issuer,
            customer=customer,
            terms=new_terms,
            fingerprint=choice.fingerprint if choice else None,
            issued_at=now,
            expires_at=expires_at,
        ),
        customer=customer,
        machine=choice,
        key=choose_key(db, request.key),
        term=str(request.changes.term or request.plan.term),
        plan=request.plan.name,
        document=request.document,
        differences=decision.differences((), new_terms),
        notes=(
            *machines.document_notes(db, request.document, choice, now),
            *_existing_machine_note(db, request, customer, new_terms, now),
        ),
    )
    return proposal.with_findings(
        *machines.document_findings(db, customer, request.document, settings, now),
        machines.additional_machine_finding(db, customer, choice),
        customer_resolution.customer_finding(db, customer, choice, claimed=request.claimed),
        expiry.long_term(now, expires_at, settings),
    )


def _machine(
    db: Reading, request: FirstLicenseRequest, customer: Customer | NewCustomer, new_terms: Terms
) -> MachineChoice | None:
    if new_terms.tier is Tier.ENTERPRISE:
        machines.refuse_document(request.document)
        return None
    if request.document is None:
        raise MissingInput(
            "a standard license is bound to a machine, and no document was given",
            hint=Hint(
                "add ",
                option("--machine-info", "FILE"),
                ", or ",
                option("--plan", "enterprise-annual"),
            ),
        )
    return machines.first_machine(db, customer, request.document, request.label)


def _lapsed(
    db: Reading,
    customer: Customer,
    choice: MachineChoice | None,
    new_terms: Terms,
    now: datetime,
) -> LicenseRecord | None:
    """The current license of the same scope, which must have lapsed.

    Mostly it is one; a merger of customers may leave several, and the last to end counts.
    """
    current = licenses.current(db, customer)
    same = [record for record in current if _same_scope(db, record, choice, new_terms)]
    if not same:
        return None
    last = expiry.last_to_end(same)
    if last.expires_at > now:
        what = f"the machine {escape(choice.label)}" if choice else "this domain"
        this_one = (customer.slug, "--license", last.id[:8])
        raise InvalidTerms(
            f"{customer.name} has a license for {what} that runs until "
            f"{dates.describe_expiry(last.expires_at)}",
            hint=Hint(
                "for the next term: ",
                run("renew", *this_one),
                "; for a new file of this one: ",
                run("reissue", *this_one),
            ),
        )
    return last


def _same_scope(
    db: Reading, record: LicenseRecord, choice: MachineChoice | None, new_terms: Terms
) -> bool:
    if choice is not None:
        return choice.known is not None and record.machine_id == choice.known.id
    if record.machine_id is not None:
        return False
    old = load_license(db, record)
    return old.allowed_domain == new_terms.allowed_domain


def _existing_machine_note(
    db: Reading,
    request: FirstLicenseRequest,
    customer: Customer | NewCustomer,
    new_terms: Terms,
    now: datetime,
) -> tuple[str, ...]:
    """Who buys enterprise mostly means it instead of the machines, not beside them."""
    if new_terms.tier is Tier.STANDARD or isinstance(customer, NewCustomer):
        return ()
    labels = [
        record.machine_label
        for record in licenses.current(db, customer)
        if record.machine_label is not None and record.expires_at > now
    ]
    if not labels:
        return ()
    plan = request.plan
    typed = ("--plan", plan.name) if plan.tier is Tier.ENTERPRISE else ("--tier", "enterprise")
    instead = run("reissue", customer.slug, "--all-machines", *typed)
    beside = f"it stands beside the licenses for {', '.join(labels)}"
    return (f"{beside}; to take their place instead: {instead}",)


def _renew_lapsed(
    db: Reading,
    request: FirstLicenseRequest,
    customer: Customer,
    lapsed: LicenseRecord,
    *,
    settings: Settings,
    now: datetime,
    license_id: str,
) -> Proposal:
    proposal = renewal.propose_renewal(
        db,
        renewal.RenewalRequest(
            action=Action.RENEW,
            customer=customer.slug,
            document=request.document,
            changes=request.changes,
            key=request.key,
        ),
        (lapsed,),
        settings=settings,
        now=now,
        license_id=license_id,
    )
    note = f"license {lapsed.id[:8]} has lapsed; the new one continues it"
    return replace(proposal, action=Action.SIGN, notes=(*proposal.notes, note))
