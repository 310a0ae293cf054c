"""`polygent-issue expiring`: who is due, as a list, for a spreadsheet, or for a calendar."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from polygent_issuer import dates
from polygent_issuer.cli.context import Invocation
from polygent_issuer.cli.due import MILESTONES, Due
from polygent_issuer.cli.expiring_view import COLUMNS, Expiring
from polygent_issuer.cli.outlook import Outlook
from polygent_issuer.cli.output import Result
from polygent_issuer.cli.spreadsheet import CsvOptions
from polygent_issuer.cli.written import STDOUT, write
from polygent_issuer.errors import UsageProblem
from polygent_issuer.issuing.expiry import long_lapsed, renewable, renews_together
from polygent_issuer.registry import (
    Customer,
    LicenseRecord,
    Reading,
    customers,
    expiries,
    licenses,
)
from polygent_issuer.settings import Settings
from polygent_issuer.terms.parsing import parse_term

if TYPE_CHECKING:
    from polygent_issuer.delivery.calendar import Ending

_CALENDAR = "licenses.ics"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)  # no license ended before; --within may be 5000y


def expiring(
    invocation: Invocation,
    within: Annotated[
        str, typer.Option("--within", metavar="TERM", help="How far ahead: 30d, 6mo, 1y.")
    ] = "30d",
    ics: Annotated[
        str | None,
        typer.Option("--ics", metavar="FILE", help="Write them as a calendar; - is stdout."),
    ] = None,
    *,
    form: CsvOptions,
) -> Result:
    """List the licenses that are due, and those that have expired and were not renewed.

    The column alert is the product's last milestone that has passed: 30, 14, 7 or 1 days.
    Customers who were archived are left out. On a terminal the coming twelve months are drawn
    above the list. The calendar also moves or cancels the events of an earlier one, where a license
    was replaced, retired or archived.
    """
    as_csv = form.asked(invocation)
    if ics == STDOUT and as_csv:
        raise UsageProblem("--csv and --ics - are mutually exclusive", hint="--ics FILE")
    settings, now = invocation.settings, invocation.now
    until = dates.term_end(now, parse_term(within))
    with invocation.registry.reading(checked=False) as db:
        due = tuple(_due(db, settings, now=now, until=until))
        endings = () if ics is None else tuple(_endings(db, settings, due, now=now, until=until))
        outlook = None if as_csv or invocation.as_json else Outlook.on_stdout(db, now)
    listed = Expiring(due=due, now=now, until=until, within=within, outlook=outlook)
    if ics is not None:
        path = write(invocation, _calendar(endings, now), ics, name=_CALENDAR, option="--ics")
        listed = replace(listed, calendar=path or STDOUT)
    return form.table(COLUMNS, listed.items(), name="expiring.csv") if as_csv else listed


def _due(db: Reading, settings: Settings, *, now: datetime, until: datetime) -> Iterator[Due]:
    for record in licenses.due(db, until):
        owner = customers.by_id(db, record.customer_id)
        held_back = not renewable(record, settings) or long_lapsed(record, settings, now)
        bare = not held_back and renews_together(
            licenses.current(db, owner), settings, now, until=until
        )
        yield _due_license(record, owner, settings, bare=bare)


def _due_license(
    record: LicenseRecord, owner: Customer, settings: Settings, *, bare: bool = False
) -> Due:
    return Due(
        id=record.id,
        customer=owner.slug,
        machine=record.machine_label,
        tier=record.tier,
        expires_at=record.expires_at,
        bare=bare,
        trial=not renewable(record, settings),
    )


def _endings(
    db: Reading, settings: Settings, due: Iterable[Due], *, now: datetime, until: datetime
) -> Iterator["Ending"]:
    """Yield an event for each license that is due, or that an earlier calendar may show as due.

    The latter are replaced, retired or archived, and end at most --within before or after now.
    """
    chains = expiries.Chains(db)
    seen: set[str] = set()
    for each in due:
        chain = chains.of(each.id)
        seen.add(chain.first_id)
        yield _ending(db, settings, chain, licenses.get(db, each.id))
    expires_from = now - min(until - now, now - _EPOCH)
    for record in licenses.no_longer_due(db, expires_from, until):
        chain = chains.of(record.id)
        if chain.first_id not in seen:
            seen.add(chain.first_id)
            yield _ending(db, settings, chain, licenses.get(db, chain.last_id))


def _ending(
    db: Reading, settings: Settings, chain: expiries.Chain, record: LicenseRecord
) -> "Ending":
    from polygent_issuer.delivery.calendar import Ending
    from polygent_issuer.registry import journal

    owner = customers.by_id(db, record.customer_id)
    cancelled = None if record.is_current else str(record.status)
    if record.replaced_by is not None:
        cancelled = f"joined with another license into {record.replaced_by}"
    sequence = (
        chain.replacements + (cancelled is not None) + journal.customer_status_changes(db, owner)
    )
    if cancelled is None and owner.archived_at is not None:
        cancelled = "the customer is archived"
    return Ending(
        license_id=record.id,
        first_id=chain.first_id,
        sequence=sequence,
        whose=f"{owner.name} ({record.machine_label or 'any machine'})",
        expires_at=record.expires_at,
        note=cancelled or _due_license(record, owner, settings).renewal,
        cancelled=cancelled is not None,
    )


def _calendar(endings: Iterable["Ending"], now: datetime) -> bytes:
    from polygent_issuer.delivery.calendar import calendar

    return b"".join(calendar(endings, alarms=MILESTONES, now=now))
