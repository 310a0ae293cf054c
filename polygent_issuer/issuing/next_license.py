"""Decide the next license of a customer (`renew`, `reissue`).

Terms, dates and machine of the next license come from the stored `.lic`, verified again with its
pinned key, never from rows that can be edited. Nothing is written and no key is needed.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING

from polygent_issuer.errors import Ambiguous, InputRefused, InvalidTerms, NotFound
from polygent_issuer.findings import Finding, FindingCode
from polygent_issuer.home.settings import Settings
from polygent_issuer.issuing import expiry
from polygent_issuer.issuing.machines import (
    additional_machine_finding,
    document_findings,
    document_notes,
    next_machine,
    refuse_document,
)
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
from polygent_issuer.issuing.signing import choose_key
from polygent_issuer.registry import Customer, LicenseRecord, Reading, customers, licenses, machines
from polygent_issuer.terms import dates, decision
from polygent_issuer.terms.dates import term_end
from polygent_issuer.terms.parsing import Changes, Terms
from polygent_issuer.text import Hint, for_shell, option, run
from polygent_issuer.verifier import AllowedDomain, License, Tier
from polygent_issuer.verifier.license import MAX_REPLACES

if TYPE_CHECKING:
    from polygent_issuer.machine_info.document import ReceivedDocument


@dataclass(frozen=True, kw_only=True, slots=True)
class LicenseRequest:
    """Options of `sign`, `renew` and `reissue`.

    Attributes:
        document: gives the machine's identity.
        key: a label or kid; by default the active key.
    """

    changes: Changes
    document: "ReceivedDocument | None" = None
    key: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class RenewalRequest(LicenseRequest):
    """Options of `renew` or `reissue`; a document replaces the machine's identity.

    Attributes:
        license_ids: select current licenses by the beginnings of their IDs.
        machine, all_machines: select the license of this machine, or all, even if terms are given.
        typed: the operator typed the changes. Changes from a file are not the operator's decision,
            so every loss in them is a finding.
    """

    action: Action
    customer: str
    license_ids: tuple[str, ...] = ()
    machine: str | None = None
    all_machines: bool = False
    typed: bool = True


def select_licenses(
    db: Reading, request: RenewalRequest, *, settings: Settings, now: datetime
) -> tuple[LicenseRecord, ...]:
    """Return the licenses that a request selects, by machine label.

    `renew` without terms selects every current license. With terms, and in `reissue`, it must be
    one, except with `all_machines`. Licenses that expired long ago must be named explicitly.

    Raises:
        NotFound, Ambiguous: (`not_found`, `ambiguous`) no current license matches, or several.
        InvalidTerms: (`invalid_terms`) the named license is not current.
        InputRefused: (`customer_archived`) the customer is archived.
    """
    customer = check_not_archived(customers.find(db, request.customer))
    if request.license_ids:
        named = (_by_id(db, customer, typed) for typed in request.license_ids)
        return tuple({record.id: record for record in named}.values())
    current = tuple(sorted(licenses.current(db, customer), key=lambda r: r.machine_label or ""))
    if request.machine is not None:
        machine = machines.by_label(db, customer, request.machine)
        of_machine = tuple(record for record in current if record.machine_id == machine.id)
        return _one_of(customer, of_machine, request, f"for machine {machine.label!a}")
    recent = tuple(each for each in current if not expiry.lapsed_beyond_limit(each, settings, now))
    if current and not recent:
        newest = expiry.last_to_end(current)
        raise NotFound(
            f"the licenses of {customer.name} expired over {settings.lapsed.days} days ago, "
            f"the last at {dates.instant(newest.expires_at)}",
            hint=Hint("to renew it: ", run("renew", customer.slug, "--license", newest.id[:8])),
        )
    every = request.all_machines or (
        request.action is Action.RENEW and not request.changes.named and request.document is None
    )
    if every and recent:
        return recent
    return _one_of(customer, recent, request, "")


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
    db.row_check.read_customer(request.customer)
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
        else record._replace(expires_at=license_.expires_at)
        for record, license_ in zip(records, old, strict=True)
    )
    action, changes = request.action, request.changes
    customer = customers.by_id(db, records[0].customer_id)
    present = decision.merged_terms([Terms.of(license_) for license_ in old], changes)
    terms = decision.next_terms(present, changes, settings.catalogue)
    choice = None
    if terms.tier is Tier.ENTERPRISE:
        refuse_document(request.document)
    else:
        choice = next_machine(db, customer, records[0], old[0], request.document)
    expires_at = expiry.next_expiry(action, changes, records, settings, now)
    term = expiry.next_term(changes, records, settings)
    same_plan = records[0].plan if len(records) == 1 else None
    proposal = propose(
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
        long_term(now, expires_at, settings) if longer else None,
    )


def check_not_archived(customer: Customer) -> Customer:
    """Return the customer; if it is archived, `customer_archived`."""
    if customer.archived_at is None:
        return customer
    raise InputRefused(
        f"{customer.name} was archived at {dates.instant(customer.archived_at)}; "
        "archived customers cannot be issued licenses",
        hint=Hint("unarchive it first: ", run("customer", "archive", customer.slug, "--undo")),
        code="customer_archived",
    )


def propose(
    db: Reading,
    request: LicenseRequest,
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
            *document_notes(db, request.document, choice, now),
            *(replaced_note(db, record, now) for record in records),
        ),
    ).with_findings(
        *document_findings(db, customer, request.document, settings, now),
        additional_machine_finding(db, customer, choice),
        hold_finding(customer, now),
    )


def long_term(now: datetime, expires_at: datetime, settings: Settings) -> Finding | None:
    """Return `long-term` for a license with a long term: licenses cannot be revoked."""
    if expires_at <= term_end(now, settings.long_term):
        return None
    return Finding(
        code=FindingCode.LONG_TERM,
        message=f"the license would expire over {settings.long_term} from now "
        f"({dates.describe_expiry(expires_at)}), and licenses cannot be revoked",
        hint=Hint("choose ", option("--term", str(settings.long_term)), " or less"),
    )


def _by_id(db: Reading, customer: Customer, beginning: str) -> LicenseRecord:
    record = licenses.find(db, beginning)
    if record.customer_id != customer.id:
        raise NotFound(
            f"license {record.id[:8]} belongs to {record.customer_slug}, not to {customer.name}",
            hint=Hint(
                f"list those of {customer.name}: ",
                run("license", "list", "--customer", customer.slug),
            ),
        )
    if not record.is_current:
        raise InvalidTerms(
            f"license {record.id[:8]} is {record.status}; "
            "only current licenses can be renewed or reissued",
            hint=Hint("list them: ", run("license", "list", "--customer", customer.slug)),
        )
    return record


def _one_of(
    customer: Customer, records: Sequence[LicenseRecord], request: RenewalRequest, scope: str
) -> tuple[LicenseRecord, ...]:
    if not records:
        raise NotFound(
            f"{customer.name} has no current license {scope}".rstrip(),
            hint=Hint("sign a first one: ", run("sign", "--customer", customer.slug)),
        )
    if len(records) > 1:
        labels = Counter(record.machine_label for record in records)
        candidates = "; ".join(
            _candidate(record, by_label=labels[record.machine_label] == 1) for record in records
        )
        raise Ambiguous(
            f"{customer.name} has {len(records)} current licenses {scope}".rstrip(),
            hint=f"select one: {candidates}{_or_all(records, request)}",
        )
    return tuple(records)


def _or_all(records: Sequence[LicenseRecord], request: RenewalRequest) -> str:
    if request.machine or request.document:
        return ""
    bound = any(record.tier == Tier.STANDARD for record in records)
    what = "one for all of them" if bound and request.changes.makes_enterprise else "each of them"
    return f"; or {what}: --all-machines"


def _candidate(record: LicenseRecord, *, by_label: bool) -> str:
    """Return the option that selects a license: by its machine, if only this one is for it."""
    day = dates.last_full_day(record.expires_at)
    label = f"machine {record.machine_label}" if record.machine_label else record.tier
    option = (
        f"--machine {for_shell(record.machine_label)}"
        if record.machine_label and by_label
        else f"--license {record.id[:8]}"
    )
    return f"{option} ({label}, until {day})"
