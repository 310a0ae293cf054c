"""`renew` and `reissue`: the license that follows a current one, or several.

Terms, dates and machine come from the stored `.lic`, verified again with its pinned key, never
from rows that can be edited.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from polygent_issuer.errors import MissingInput
from polygent_issuer.findings import Finding
from polygent_issuer.hints import Hint, option
from polygent_issuer.home.settings import Settings
from polygent_issuer.issuing import (
    customer_resolution,
    expiry,
    license_diff,
    machine_history,
    machines,
)
from polygent_issuer.issuing.proposal import (
    Action,
    MachineChoice,
    Proposal,
    ReceivedDocument,
    build_license,
)
from polygent_issuer.issuing.signing import choose_key
from polygent_issuer.issuing.stored_license import load_license
from polygent_issuer.machine_info.plausibility import freshness_finding, implausible_fingerprint
from polygent_issuer.registry import Customer, LicenseRecord, Reading, customers
from polygent_issuer.registry import machines as known_machines
from polygent_issuer.terms import decision
from polygent_issuer.terms.terms import Changes, Terms
from polygent_issuer.verifier import License, Tier


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
        records: mostly one; several only where the terms say enterprise (`joining.grouped`).

    Raises:
        InvalidTerms: (`invalid_terms`) terms that no license may have, or a machine that is
            another one since.
        MissingInput: (`missing_input`) no term is known, or limits or a document are needed.
        HomeProblem: (`registry_damaged`) the stored file is not what was issued.
        NotFound, Ambiguous: the customer or the key.
    """
    olds = tuple(load_license(db, record) for record in records)
    replaced = tuple(
        record
        if record.expires_at == old.expires_at
        else replace(record, expires_at=old.expires_at)
        for record, old in zip(records, olds, strict=True)
    )
    customer = customers.by_id(db, replaced[0].customer_id)
    changes = request.changes
    had = decision.merged_terms([Terms.of(old) for old in olds], changes)
    new_terms = decision.next_terms(had, changes, settings.catalogue)
    choice = _machine(db, request, replaced[0], old=olds[0], customer=customer, new_terms=new_terms)
    decide = expiry.reissued_expiry if request.action is Action.REISSUE else expiry.renewed_expiry
    new = build_license(
        license_id=license_id,
        issuer=settings.issuer,
        customer=customer,
        terms=new_terms,
        fingerprint=choice.fingerprint if choice else None,
        issued_at=now,
        expires_at=decide(changes, replaced, settings, now),
        replaces=tuple(record.id for record in replaced),
    )
    term = expiry.kept_term(changes, replaced, settings)
    kept_plan = replaced[0].plan if len(replaced) == 1 else None
    proposal = Proposal(
        action=request.action,
        license=new,
        customer=customer,
        machine=choice,
        key=choose_key(db, request.key),
        term=str(term) if term else None,
        plan=changes.plan.name if changes.plan else kept_plan,
        replaced=replaced,
        document=request.document,
        differences=license_diff.differences(olds, new),
        notes=(
            *machine_history.told(db, request.document, choice, now),
            *license_diff.notes(db, replaced, now),
        ),
    )
    longest = max(old.expires_at for old in olds)
    return proposal.with_findings(
        *_machine_findings(db, request, customer, choice, settings=settings, now=now),
        _loss(request, olds, new),
        expiry.not_due(replaced, settings, now) if request.action is Action.RENEW else None,
        expiry.long_term(now, new.expires_at, settings) if new.expires_at > longest else None,
    )


def _machine(
    db: Reading,
    request: RenewalRequest,
    record: LicenseRecord,
    *,
    old: License,
    customer: Customer,
    new_terms: Terms,
) -> MachineChoice | None:
    if new_terms.tier is Tier.ENTERPRISE:
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


def _loss(request: RenewalRequest, olds: Sequence[License], new: License) -> Finding | None:
    if request.typed:
        return license_diff.loss(olds, new, request.changes)
    found = license_diff.loss(olds, new, Changes())
    return None if found is None else replace(found, hint=None)


def _machine_findings(
    db: Reading,
    request: RenewalRequest,
    customer: Customer,
    choice: MachineChoice | None,
    *,
    settings: Settings,
    now: datetime,
) -> tuple[Finding | None, ...]:
    if request.document is None or choice is None:
        return ()
    return (
        freshness_finding(request.document.info, now=now, max_age=settings.machine_info_max_age),
        implausible_fingerprint(request.document.info),
        machines.of_another_customer(db, customer, request.document),
        customer_resolution.name_conflict_finding(db, customer, request.document),
        machines.additional(db, customer, choice),
    )
