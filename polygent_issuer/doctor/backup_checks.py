"""What is kept elsewhere: the journal's head, against which a cut shows, and the backups."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from polygent_issuer.doctor.verdict import Verdict, ok, warn
from polygent_issuer.hints import run
from polygent_issuer.registry import Registry, journal
from polygent_issuer.terms import dates
from polygent_issuer.text import escape


@dataclass(frozen=True, kw_only=True, slots=True)
class Copy:
    """Something that is to be kept on another disk, and is out of date after a while.

    Attributes:
        event: the journal's word for its making.
        made: how it is said.
        lack: what is missing without one.
        lasts: how long it will do while rows are written.
        mend: the command that makes one.
    """

    event: str
    made: str
    lack: str
    lasts: timedelta
    mend: str


HEAD: Final = Copy(
    event=journal.HEAD_NOTED,
    made="noted",
    lack="the journal's head was never noted elsewhere: rows that are cut off would not be missed",
    lasts=timedelta(days=30),
    mend=run("journal", "verify", "--note", "FILE"),
)
BACKUP: Final = Copy(
    event=journal.BACKED_UP,
    made="backed up",
    lack="the registry was never backed up",
    lasts=timedelta(days=7),
    mend=run("registry", "backup", "FILE"),
)


def age(registry: Registry, copy: Copy, now: datetime) -> Verdict:
    """Whether there is a copy, and whether what was written since would be missed.

    A copy lasts for ever while nothing but copies is made.
    """
    with registry.reading(checked=False) as db:
        made = journal.newest_copy(db, copy.event)
        since = 0 if made is None else journal.acts_since(db, made.seq)
    if made is None:
        return warn(f"{copy.lack}; keep it on another disk", copy.mend)
    where = made.details.get("file")
    place = f" in {escape(where)}" if isinstance(where, str) else ""
    told = f"{copy.made} on {dates.instant(made.at)}{place}; rows written since: {since}"
    if since and now - made.at > copy.lasts:
        return warn(f"last {told}; keep it on another disk", copy.mend)
    return ok(told)
