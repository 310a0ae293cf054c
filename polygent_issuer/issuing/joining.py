"""One license that takes the place of several: machines that become an enterprise.

As in `following`, what the old ones say comes from their stored files, verified again.
"""

from collections.abc import Callable, Sequence
from datetime import datetime

from polygent_issuer import dates, terms
from polygent_issuer.errors import InvalidTerms
from polygent_issuer.findings import Finding, FindingCode
from polygent_issuer.issuing import expiry, following, machines
from polygent_issuer.issuing.following import NextRequest, propose_next, read_license
from polygent_issuer.issuing.proposal import Action, Proposal, build_license, clock_behind
from polygent_issuer.issuing.selection import choose
from polygent_issuer.issuing.signing_key import choose_key
from polygent_issuer.registry import LicenseRecord, Reading, customers
from polygent_issuer.settings import Settings
from polygent_issuer.terms import Terms
from polygent_issuer.verifier import License

MOST = 100
"""How many licenses one can replace (FORMAT §1)."""


def propose(
    db: Reading,
    request: NextRequest,
    *,
    settings: Settings,
    now: datetime,
    new_id: Callable[[str], str],
) -> tuple[Proposal, ...]:
    """Decide what follows the licenses that a request means: one for each, or one for all.

    Args:
        new_id: the ID of the license that follows the one of this ID; always the same.

    Raises:
        IssuerError: each code of `choose`, `propose_next` and `propose_joint`.
    """
    records = choose(db, request, settings=settings, now=now)
    had = [Terms.of(read_license(db, record)) for record in records]
    if terms.wants_one(had, request.changes):
        first = new_id(records[0].id)
        joint = propose_joint(db, request, records, settings=settings, now=now, license_id=first)
        return (joint,)
    return tuple(
        propose_next(db, request, record, settings=settings, now=now, license_id=new_id(record.id))
        for record in records
    )


def propose_joint(
    db: Reading,
    request: NextRequest,
    records: Sequence[LicenseRecord],
    *,
    settings: Settings,
    now: datetime,
    license_id: str,
) -> Proposal:
    """Decide the one license that follows several; nothing is written and no key is needed.

    Its term counts from the latest expiry among them, so that no day is lost; a reissue keeps
    that one.

    Raises:
        InvalidTerms: (`invalid_terms`) terms that no license may have, or too many licenses.
        MissingInput: (`missing_input`) limits that nobody named, or no term.
        HomeProblem: (`registry_damaged`) a stored file is not what was issued.
        NotFound, Ambiguous: the customer or the key.
    """
    machines.refuse_document(request.document)
    _require_few(records)
    changes = request.changes
    olds = [read_license(db, record) for record in records]
    had = [Terms.of(old) for old in olds]
    new_terms = terms.joined_terms(had, changes, settings.catalogue)
    last = max(records, key=lambda record: record.expires_at)
    customer = customers.find(db, last.customer_slug)
    decide = expiry.reissued_expiry if request.action is Action.REISSUE else expiry.renewed_expiry
    new = build_license(
        license_id=license_id,
        issuer=settings.issuer,
        customer=customer,
        terms=new_terms,
        fingerprint=None,
        issued_at=now,
        expires_at=decide(changes, last, settings, now),
        replaces=tuple(record.id for record in records),
    )
    term = expiry.kept_term(changes, last, settings)
    proposal = Proposal(
        action=request.action,
        license=new,
        customer=customer,
        machine=None,
        key=choose_key(db, request.key),
        term=str(term) if term else None,
        plan=changes.plan.name if changes.plan else None,
        replaced=tuple(records),
        differences=terms.differences(None, new_terms),
        notes=tuple(
            note
            for record, old in zip(records, olds, strict=True)
            for note in (_had(record, old), *following.notes(db, record, now))
        ),
    )
    return proposal.with_findings(
        _loss(had, olds, new, request),
        expiry.not_due(last, settings, now) if request.action is Action.RENEW else None,
        expiry.long_term(now, new.expires_at, settings)
        if new.expires_at > last.expires_at
        else None,
        clock_behind(db, now),
    )


def _require_few(records: Sequence[LicenseRecord]) -> None:
    if len(records) > MOST:
        raise InvalidTerms(
            f"one license replaces at most {MOST}, and these are {len(records)}",
            hint=f"name up to {MOST} with --license ID, and retire the others once the new one is "
            "installed: polygent-issue license retire ID",
        )


def _had(record: LicenseRecord, old: License) -> str:
    limits = old.limits
    return (
        f"it replaces {record.id[:8]} ({record.machine_label or old.allowed_domain or 'any'}): "
        f"{limits.users} users, {limits.session_hosts} session hosts, "
        f"{limits.deploy_hosts} deploy hosts"
    )


def _loss(
    had: Sequence[Terms], olds: Sequence[License], new: License, request: NextRequest
) -> Finding | None:
    changes = request.changes
    lost = list(terms.joint_losses(had, Terms.of(new), changes))
    last = max(old.expires_at for old in olds)
    if new.expires_at < last and not (changes.term or changes.expires or changes.basis):
        days = (last - new.expires_at).days or 1
        lost.append(f"it would end {dates.days(days)} earlier, at {dates.instant(new.expires_at)}")
    if not lost:
        return None
    return Finding(
        code=FindingCode.ENTITLEMENT_LOSS,
        message=f"{new.customer} would lose: {'; '.join(lost)}",
        hint="name what is meant with --users, --session-hosts, --deploy-hosts or --remove-feature",
    )
