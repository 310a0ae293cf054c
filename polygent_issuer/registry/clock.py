"""This machine's clock against the journal, which knows what has happened already."""

from datetime import datetime, timedelta

from polygent_issuer import dates
from polygent_issuer.findings import Finding, FindingCode
from polygent_issuer.registry import journal
from polygent_issuer.registry.transactions import Reading

_TOLERANCE = timedelta(minutes=5)


def clock_behind(db: Reading, now: datetime) -> tuple[Finding, ...]:
    """`clock-behind`, if the clock is over 5 minutes before the journal's newest row.

    Args:
        now: UTC, as this machine has it.
    """
    newest = journal.newest_at(db)
    if newest is None or now >= newest - _TOLERANCE:
        return ()
    return (
        Finding(
            code=FindingCode.CLOCK_BEHIND,
            message=f"this machine's clock says {dates.instant(now)}, "
            f"but the journal's newest row is of {dates.instant(newest)}",
            hint="set the clock right",
        ),
    )
