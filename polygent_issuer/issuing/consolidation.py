"""Which licenses go into one: an enterprise license is for no machine, so one is enough."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime

from polygent_issuer.errors import InvalidTerms
from polygent_issuer.home.settings import Settings
from polygent_issuer.issuing.proposal import Proposal
from polygent_issuer.issuing.renewal import RenewalRequest, propose_renewal
from polygent_issuer.issuing.selection import choose
from polygent_issuer.issuing.stored_license import load_license
from polygent_issuer.registry import LicenseRecord, Reading, customers, licenses
from polygent_issuer.terms import dates
from polygent_issuer.terms.terms import Changes
from polygent_issuer.verifier import AllowedDomain, Tier

MOST = 100
"""How many licenses one can replace (FORMAT §1)."""


def propose(
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
        IssuerError: each code of `choose` and `propose_next`.
        InvalidTerms: (`invalid_terms`) too many licenses for one.
    """
    records = choose(db, request, settings=settings, now=now)
    first, *others = (
        propose_renewal(
            db, request, group, settings=settings, now=now, license_id=new_id(group[0].id)
        )
        for group in grouped(db, request.changes, records)
    )
    left_out = _left_out(db, request, records)
    return (replace(first, notes=(*first.notes, *left_out)), *others)


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
    olds = [load_license(db, record) for record in records]
    bound = any(old.tier is Tier.STANDARD for old in olds)
    if bound and not changes.makes_enterprise:
        return alone
    one_for_all = bound or changes.names_domain
    groups: dict[AllowedDomain | None, list[LicenseRecord]] = {}
    for record, old in zip(records, olds, strict=True):
        groups.setdefault(None if one_for_all else old.allowed_domain, []).append(record)
    for group in groups.values():
        _require_few(group)
    return tuple(tuple(group) for group in groups.values())


def _require_few(group: Sequence[LicenseRecord]) -> None:
    if len(group) > MOST:
        raise InvalidTerms(
            f"one license replaces at most {MOST}, and these are {len(group)}",
            hint=f"go in steps: up to {MOST} of them, each named with --license ID; then the one "
            "that came of it and the rest, with --all-machines",
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
