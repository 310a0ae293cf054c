"""Whether a license that a row is about is renewed, reissued, or kept as it is."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from polygent_issuer import dates
from polygent_issuer.batch.rows import Row
from polygent_issuer.issuing import expiry
from polygent_issuer.issuing.proposal import Action
from polygent_issuer.registry import LicenseRecord
from polygent_issuer.settings import Settings
from polygent_issuer.verifier import License


@dataclass(frozen=True, kw_only=True, slots=True)
class Needed:
    """What a row needs of its license.

    Attributes:
        action: None to keep it.
        note: what should be known of that.
    """

    action: Action | None
    note: str | None = None


def needed(
    row: Row,
    record: LicenseRecord,
    old: License,
    *,
    differs: bool,
    settings: Settings,
    now: datetime,
    within: timedelta,
) -> Needed:
    """Steps 2 to 4 of `batch.changes`.

    Args:
        old: what the record's file says.
        differs: whether terms, machine or domain shall be others.
        within: what ends later is not due.
    """
    record = replace(record, expires_at=old.expires_at)
    unless_due = Needed(action=Action.REISSUE if differs else None)
    if row.expires is not None:
        if row.expires > old.expires_at:
            return Needed(action=Action.RENEW)
        return Needed(action=Action.REISSUE) if row.expires < old.expires_at else unless_due
    if not expiry.is_due(record, settings, now, within=within, term=row.term):
        return unless_due
    which = f"polygent-issue renew {record.customer_slug} --license {record.id[:8]}"
    if row.term is None and not expiry.renewable(record, settings):
        note = f"a trial is not renewed by itself; for a contract: {which} --plan PLAN"
        return replace(unless_due, note=note)
    if expiry.long_lapsed(record, settings, now):
        ended = dates.instant(record.expires_at)
        return Needed(action=None, note=f"lapsed long ago, at {ended}; to mean it: {which}")
    return Needed(action=Action.RENEW)
