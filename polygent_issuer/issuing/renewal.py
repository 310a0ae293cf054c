"""`renew` and `reissue`: the license that follows a current one, or several.

Terms, dates and machine come from the stored `.lic`, verified again with its pinned key, never
from rows that can be edited.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from polygent_issuer.errors import Ambiguous, InvalidTerms, MissingInput, NotFound
from polygent_issuer.findings import Finding
from polygent_issuer.hints import Hint, option, run
from polygent_issuer.home.settings import Settings
from polygent_issuer.issuing import customer_resolution, expiry, machines
from polygent_issuer.issuing.proposal import (
    Action,
    MachineChoice,
    Proposal,
    ReceivedDocument,
    build_license,
    license_differences,
    load_license,
    loss_finding,
    replaced_notes,
)
from polygent_issuer.issuing.signing import choose_key
from polygent_issuer.registry import Customer, LicenseRecord, Reading, customers, licenses
from polygent_issuer.registry import machines as known_machines
from polygent_issuer.terms import dates, decision
from polygent_issuer.terms.parsing import Changes, Terms
from polygent_issuer.text import for_shell
from polygent_issuer.verifier import AllowedDomain, License, Tier
from polygent_issuer.verifier.license import MAX_REPLACES


@dataclass(frozen=True, kw_only=True, slots=True)
class RenewalRequest:
    """What `renew` or `reissue` was asked for.

    Attributes:
        customer: a slug or name.
        license_ids: name some of several current licenses, by the beginnings of their IDs.
        machine: names the one of this machine.
        all_machines: each of them, though terms are given.
        document: replaces the machine's identity.
        key: a label or kid; the active key when not given.
        typed: the operator typed the changes. What stands in a file is no decision of hers, so
            that whatever it takes away is a finding.
    """

    action: Action
    customer: str
    license_ids: tuple[str, ...] = ()
    machine: str | None = None
    all_machines: bool = False
    document: ReceivedDocument | None = None
    changes: Changes
    key: str | None = None
    typed: bool = True


def propose_renewals(
    db: Reading,
    request: RenewalRequest,
    *,
    settings: Settings,
    now: datetime,
    new_id: Callable[[str], str],
) -> tuple[Proposal, ...]:
    """Decide what follows the licenses that a request means: one for each, or one for several.

    Args:
        new_id: the ID of the license that follows the one of this ID; always the same.

    Raises:
        IssuerError: each code of `select_licenses` and `propose_renewal`.
        InvalidTerms: (`invalid_terms`) too many licenses for one.
    """
    records = select_licenses(db, request, settings=settings, now=now)
    first, *others = (
        propose_renewal(
            db, request, group, settings=settings, now=now, license_id=new_id(group[0].id)
        )
        for group in grouped(db, request.changes, records)
    )
    left_out = _left_out(db, request, records)
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
    """Decide the license that follows `records`; nothing is written and no key is needed.

    Args:
        records: mostly one; several only where the terms say enterprise (`grouped`).

    Raises:
        InvalidTerms: (`invalid_terms`) terms that no license may have, or a machine that is
            another one since.
        MissingInput: (`missing_input`) no term is known, or limits or a document are needed.
        HomeProblem: (`registry_damaged`) the stored file is not what was issued.
        NotFound, Ambiguous: the customer or the key.
    """
    old = tuple(load_license(db, record) for record in records)
    records = tuple(
        replace(record, expires_at=license_.expires_at)
        for record, license_ in zip(records, old, strict=True)
    )
    action, changes = request.action, request.changes
    customer = customers.by_id(db, records[0].customer_id)
    present = decision.merged_terms([Terms.of(license_) for license_ in old], changes)
    terms = decision.next_terms(present, changes, settings.catalogue)
    choice = _machine(db, request, records[0], old[0], customer=customer, tier=terms.tier)
    new = build_license(
        license_id=license_id,
        issuer=settings.issuer,
        customer=customer,
        terms=terms,
        fingerprint=choice.fingerprint if choice else None,
        issued_at=now,
        expires_at=expiry.next_expiry(action, changes, records, settings, now),
        replaces=tuple(record.id for record in records),
    )
    term = expiry.next_term(changes, records, settings)
    same_plan = records[0].plan if len(records) == 1 else None
    proposal = Proposal(
        action=action,
        license=new,
        customer=customer,
        machine=choice,
        key=choose_key(db, request.key),
        term=str(term) if term else None,
        plan=changes.plan.name if changes.plan else same_plan,
        replaced=records,
        document=request.document,
        differences=license_differences(old, new),
        notes=(
            *machines.document_notes(db, request.document, choice, now),
            *replaced_notes(db, records, now),
        ),
    )
    return _with_findings(db, request, proposal, old, settings=settings, now=now)


def _with_findings(
    db: Reading,
    request: RenewalRequest,
    proposal: Proposal,
    old: Sequence[License],
    *,
    settings: Settings,
    now: datetime,
) -> Proposal:
    customer, new = proposal.customer, proposal.license
    longer = new.expires_at > max(license_.expires_at for license_ in old)
    is_renewal = request.action is Action.RENEW
    return proposal.with_findings(
        *machines.document_findings(db, customer, request.document, settings, now),
        machines.additional_machine_finding(db, customer, proposal.machine),
        _loss(request, old, new),
        expiry.not_due(proposal.replaced, settings, now) if is_renewal else None,
        expiry.long_term(now, new.expires_at, settings) if longer else None,
    )


def _machine(
    db: Reading,
    request: RenewalRequest,
    record: LicenseRecord,
    old: License,
    *,
    customer: Customer,
    tier: Tier,
) -> MachineChoice | None:
    if tier is Tier.ENTERPRISE:
        machines.refuse_document(request.document)
        return None
    row = None if record.machine_id is None else known_machines.by_id(db, record.machine_id)
    if request.document is None:
        machines.refuse_replaced(db, record, row, old.machine_fingerprint)
    choice = machines.next_machine(db, customer, row, old.machine_fingerprint, request.document)
    if choice is None:
        raise MissingInput(
            "a standard license is bound to a machine, and no document was given",
            hint=Hint("add ", option("--machine-info", "FILE")),
        )
    return choice


def _loss(request: RenewalRequest, old: Sequence[License], new: License) -> Finding | None:
    if request.typed:
        return loss_finding(old, new, request.changes)
    finding = loss_finding(old, new, Changes())
    return None if finding is None else replace(finding, hint=None)


def grouped(
    db: Reading, changes: Changes, records: Sequence[LicenseRecord]
) -> tuple[tuple[LicenseRecord, ...], ...]:
    """The licenses, those together that one shall follow: one for each domain, when enterprise.

    Several enterprise licenses are for several domains and stay so, unless one was named for all.

    Raises:
        InvalidTerms: (`invalid_terms`) too many licenses for one.
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
    for group in groups.values():
        _require_few(group)
    return tuple(tuple(group) for group in groups.values())


def _require_few(group: Sequence[LicenseRecord]) -> None:
    if len(group) > MAX_REPLACES:
        raise InvalidTerms(
            f"one license replaces at most {MAX_REPLACES}, and these are {len(group)}",
            hint=f"go in steps: up to {MAX_REPLACES} of them, each named with --license ID; then "
            "the one that came of it and the rest, with --all-machines",
        )


def _left_out(
    db: Reading, request: RenewalRequest, records: Sequence[LicenseRecord]
) -> tuple[str, ...]:
    """What *all* leaves out, since it lapsed too long ago."""
    if not request.all_machines:
        return ()
    taken = {record.id for record in records}
    return tuple(
        f"license {record.id[:8]} ({record.machine_label or record.tier}) lapsed long ago, at "
        f"{dates.instant(record.expires_at)}, and is left out; to mean it, too, name each "
        "with --license"
        for record in licenses.current(db, customers.find(db, request.customer))
        if record.id not in taken
    )


def select_licenses(
    db: Reading, request: RenewalRequest, *, settings: Settings, now: datetime
) -> tuple[LicenseRecord, ...]:
    """The licenses that a request means, by machine label.

    `renew` without terms means every current license; terms, and `reissue`, mean one, unless
    `all_machines` says otherwise. What lapsed long ago counts only when named.

    Raises:
        NotFound: (`not_found`) nothing current matches.
        Ambiguous: (`ambiguous`) several match where one is needed; the hint names them.
        InvalidTerms: (`invalid_terms`) the named license is not current.
        InputRefused: (`customer_archived`) the customer is none any more.
    """
    customer = customer_resolution.check_not_archived(customers.find(db, request.customer))
    if request.license_ids:
        named = (_by_id(db, customer, typed) for typed in request.license_ids)
        return tuple({record.id: record for record in named}.values())
    current = tuple(sorted(licenses.current(db, customer), key=lambda r: r.machine_label or ""))
    if request.machine is not None:
        machine = known_machines.by_label(db, customer, request.machine)
        of_machine = tuple(record for record in current if record.machine_id == machine.id)
        return _one_of(customer, of_machine, request, f"for machine {machine.label!a}")
    current = _not_long_lapsed(customer, current, settings, now)
    every = request.all_machines or (
        request.action is Action.RENEW and not request.changes.named and request.document is None
    )
    if every and current:
        return current
    return _one_of(customer, current, request, "")


def _by_id(db: Reading, customer: Customer, beginning: str) -> LicenseRecord:
    record = licenses.find(db, beginning)
    if record.customer_id != customer.id:
        raise NotFound(
            f"license {record.id[:8]} is not {customer.name}'s but {record.customer_slug}'s",
            hint=run("license", "list", "--customer", customer.slug),
        )
    if not record.is_current:
        raise InvalidTerms(
            f"license {record.id[:8]} is {record.status}, and only a current one has a next",
            hint=run("license", "list", "--customer", customer.slug),
        )
    return record


def _not_long_lapsed(
    customer: Customer, current: Sequence[LicenseRecord], settings: Settings, now: datetime
) -> tuple[LicenseRecord, ...]:
    recent = tuple(
        record for record in current if not expiry.lapsed_beyond_limit(record, settings, now)
    )
    if current and not recent:
        newest = expiry.last_to_end(current)
        raise NotFound(
            f"what {customer.name} had lapsed over {settings.lapsed.days} days ago, "
            f"last at {dates.instant(newest.expires_at)}",
            hint=Hint("to mean it: ", run("renew", customer.slug, "--license", newest.id[:8])),
        )
    return recent


def _one_of(
    customer: Customer, records: Sequence[LicenseRecord], request: RenewalRequest, scope: str
) -> tuple[LicenseRecord, ...]:
    if not records:
        raise NotFound(
            f"{customer.name} has no current license {scope}".rstrip(),
            hint=Hint("for a first one: ", run("sign", "--customer", customer.slug)),
        )
    if len(records) > 1:
        labels = Counter(record.machine_label for record in records)
        candidates = "; ".join(
            _candidate(record, by_label=labels[record.machine_label] == 1) for record in records
        )
        raise Ambiguous(
            f"{customer.name} has {len(records)} current licenses {scope}".rstrip(),
            hint=f"name one: {candidates}{_or_all(records, request)}",
        )
    return tuple(records)


def _or_all(records: Sequence[LicenseRecord], request: RenewalRequest) -> str:
    if request.machine or request.document:
        return ""
    bound = any(record.tier == Tier.STANDARD for record in records)
    what = "one for all of them" if bound and request.changes.makes_enterprise else "each of them"
    return f"; or {what}: --all-machines"


def _candidate(record: LicenseRecord, *, by_label: bool) -> str:
    """The option that names it: by its machine, unless another license is for that one, too."""
    day = dates.last_full_day(record.expires_at)
    label = f"machine {record.machine_label}" if record.machine_label else record.tier
    option = (
        f"--machine {for_shell(record.machine_label)}"
        if record.machine_label and by_label
        else f"--license {record.id[:8]}"
    )
    return f"{option} ({label}, until {day})"
