"""Decide a license: a customer's first one (`sign`), or the next one (`renew`, `reissue`).

Terms, dates and machine of the next license come from the stored `.lic`, verified again with its
pinned key, never from rows that can be edited. Nothing is written and no key is needed.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING

from polygent_issuer.errors import InvalidTerms
from polygent_issuer.home.settings import Settings
from polygent_issuer.issuing import expiry, machines
from polygent_issuer.issuing.proposal import (
    Action,
    MachineChoice,
    NewCustomer,
    Proposal,
    build_license,
    hold_finding,
    license_differences,
    load_license,
    loss_finding,
    next_order,
    replaced_note,
)
from polygent_issuer.issuing.selection import (
    RenewalRequest,
    customer_finding,
    resolve_customer,
    select_licenses,
)
from polygent_issuer.issuing.signing import choose_key
from polygent_issuer.registry import Customer, LicenseRecord, Reading, customers, licenses
from polygent_issuer.terms import dates, decision
from polygent_issuer.terms.parsing import Changes, Plan, Terms
from polygent_issuer.text import Hint, escape, run
from polygent_issuer.verifier import AllowedDomain, License, Tier
from polygent_issuer.verifier.license import MAX_REPLACES

if TYPE_CHECKING:
    from polygent_issuer.machine_info.document import ReceivedDocument


@dataclass(frozen=True, kw_only=True, slots=True)
class FirstLicenseRequest:
    """Options of `sign`.

    Attributes:
        customer: a slug or name; a new name adds a customer.
        claimed: the customer's name comes only from the document.
        slug, label: for a new customer, and for the machine; by default made from their names.
        key: a label or kid; by default the active key.
    """

    customer: str | None
    claimed: bool = False
    slug: str | None = None
    document: "ReceivedDocument | None" = None
    label: str | None = None
    plan: Plan
    changes: Changes
    key: str | None = None


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
        machines.refuse_document(request.document)
    else:
        choice = machines.first_machine(db, customer, request.document, request.label)
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
    proposal = _propose(
        db,
        request,
        action=Action.SIGN,
        customer=customer,
        terms=terms,
        choice=choice,
        expires_at=expiry.first_expiry(request.changes, request.plan, now),
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
        expiry.long_term(now, proposal.license.expires_at, settings),
    )


def _propose(
    db: Reading,
    request: FirstLicenseRequest | RenewalRequest,
    *,
    action: Action,
    customer: Customer | NewCustomer,
    terms: Terms,
    choice: MachineChoice | None,
    expires_at: datetime,
    term: str | None,
    plan: str | None,
    settings: Settings,
    now: datetime,
    license_id: str,
    records: tuple[LicenseRecord, ...] = (),
    old: Sequence[License] = (),
) -> Proposal:
    """Build a proposal with the findings and notes on its document and machine."""
    new = build_license(
        license_id=license_id,
        issuer=settings.issuer,
        customer=customer,
        terms=terms,
        fingerprint=choice.fingerprint if choice else None,
        issued_at=now,
        expires_at=expires_at,
        replaces=tuple(record.id for record in records),
    )
    order_id, note = next_order(action, request.changes, records, settings)
    return Proposal(
        action=action,
        license=new,
        customer=customer,
        machine=choice,
        key=choose_key(db, request.key),
        term=term,
        plan=plan,
        order_id=order_id,
        note=note,
        replaced=records,
        document=request.document,
        differences=license_differences(old, new) if old else decision.differences((), terms),
        notes=(
            *machines.document_notes(db, request.document, choice, now),
            *(replaced_note(db, record, now) for record in records),
        ),
    ).with_findings(
        *machines.document_findings(db, customer, request.document, settings, now),
        machines.additional_machine_finding(db, customer, choice),
        hold_finding(customer, now),
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


def propose_renewals(
    db: Reading,
    request: RenewalRequest,
    *,
    settings: Settings,
    now: datetime,
    id_after: Callable[[str], str],
) -> tuple[Proposal, ...]:
    """Decide the next licenses of a request: one for each license, or one for several.

    `id_after` returns the ID of the license that replaces an ID, the same at each call.

    Raises:
        IssuerError: each code of `select_licenses`, `grouped` and `propose_renewal`.
    """
    db.read_customer(request.customer)
    records = select_licenses(db, request, settings=settings, now=now)
    first, *others = (
        propose_renewal(
            db, request, group, settings=settings, now=now, license_id=id_after(group[0].id)
        )
        for group in grouped(db, request.changes, records)
    )
    taken = {record.id for record in records}
    of_all = request.all_machines
    current = licenses.current(db, customers.find(db, request.customer)) if of_all else ()
    left_out = (
        f"license {record.id[:8]} ({record.machine_label or record.tier}) expired long ago, at "
        f"{dates.instant(record.expires_at)}, and is left out; to include it, select each license "
        "with --license"
        for record in current
        if record.id not in taken
    )
    return (replace(first, notes=(*first.notes, *left_out)), *others)


def propose_renewal(
    db: Reading,
    request: RenewalRequest,
    records: Sequence[LicenseRecord],
    *,
    settings: Settings,
    now: datetime,
    license_id: str,
) -> Proposal:
    """Decide the license that replaces one, or several if it is an enterprise one (`grouped`).

    Raises:
        InvalidTerms: (`invalid_terms`) impossible terms, or the machine's identity has changed.
        MissingInput: (`missing_input`) no term is known, or limits or a document are needed.
        HomeProblem: (`registry_damaged`) the stored file is not what was issued.
        NotFound, Ambiguous: the customer or the key.
    """
    old = tuple(load_license(db, record) for record in records)
    records = tuple(
        record
        if record.expires_at == license_.expires_at
        else replace(record, expires_at=license_.expires_at)
        for record, license_ in zip(records, old, strict=True)
    )
    action, changes = request.action, request.changes
    customer = customers.by_id(db, records[0].customer_id)
    present = decision.merged_terms([Terms.of(license_) for license_ in old], changes)
    terms = decision.next_terms(present, changes, settings.catalogue)
    choice = None
    if terms.tier is Tier.ENTERPRISE:
        machines.refuse_document(request.document)
    else:
        choice = machines.next_machine(db, customer, records[0], old[0], request.document)
    expires_at = expiry.next_expiry(action, changes, records, settings, now)
    term = expiry.next_term(changes, records, settings)
    same_plan = records[0].plan if len(records) == 1 else None
    proposal = _propose(
        db,
        request,
        action=action,
        customer=customer,
        terms=terms,
        choice=choice,
        expires_at=expires_at,
        term=str(term) if term else None,
        plan=changes.plan.name if changes.plan else same_plan,
        settings=settings,
        now=now,
        license_id=license_id,
        records=records,
        old=old,
    )
    longer = expires_at > max(license_.expires_at for license_ in old)
    return proposal.with_findings(
        loss_finding(old, proposal.license, changes if request.typed else None),
        expiry.not_due(records, settings, now) if action is Action.RENEW else None,
        expiry.long_term(now, expires_at, settings) if longer else None,
    )


def grouped(
    db: Reading, changes: Changes, records: Sequence[LicenseRecord]
) -> tuple[tuple[LicenseRecord, ...], ...]:
    """Group the licenses that one license will replace: enterprise licenses by domain.

    Enterprise licenses for different domains are not merged, unless the changes name one domain.
    More than `MAX_REPLACES` in a group are `invalid_terms`.
    """
    alone = tuple((record,) for record in records)
    if len(records) == 1 or not (changes.makes_enterprise or changes.names_domain):
        return alone
    licenses_ = [load_license(db, record) for record in records]
    bound = any(license_.tier is Tier.STANDARD for license_ in licenses_)
    if bound and not changes.makes_enterprise:
        return alone
    one_for_all = bound or changes.names_domain
    groups: dict[AllowedDomain | None, list[LicenseRecord]] = {}
    for record, license_ in zip(records, licenses_, strict=True):
        groups.setdefault(None if one_for_all else license_.allowed_domain, []).append(record)
    most = max(map(len, groups.values()))
    if most > MAX_REPLACES:
        raise InvalidTerms(
            f"a license can replace at most {MAX_REPLACES} others, not {most}",
            hint=f"first select up to {MAX_REPLACES} of them with --license ID, then run the "
            "command again with --all-machines",
        )
    return tuple(map(tuple, groups.values()))
