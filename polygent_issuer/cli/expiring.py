"""`polygent-issue expiring`: who is due, as a list, for a spreadsheet, or for a calendar."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from typing import Annotated

import typer

from polygent_issuer import dates
from polygent_issuer.cli.context import Invocation
from polygent_issuer.cli.due import MILESTONES, Due
from polygent_issuer.cli.expiring_view import COLUMNS, Expiring
from polygent_issuer.cli.kept import Kept
from polygent_issuer.cli.outlook import Outlook
from polygent_issuer.cli.output import Result
from polygent_issuer.cli.spreadsheet import CsvOptions
from polygent_issuer.cli.written import STDOUT, write
from polygent_issuer.errors import UsageProblem
from polygent_issuer.issuing.expiry import long_lapsed, renewable, renews_together
from polygent_issuer.registry import Reading, customers, licenses
from polygent_issuer.settings import Settings

_CALENDAR = "licenses.ics"


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
    above the list.
    """
    as_csv = form.asked(invocation)
    if ics == STDOUT and as_csv:
        raise UsageProblem("--csv and --ics - are mutually exclusive", hint="--ics FILE")
    settings, now = invocation.settings, invocation.now
    until = dates.term_end(now, dates.Term.parse(within))
    with invocation.registry.reading() as db:
        due = Kept(_due(db, settings, now=now, until=until))
        outlook = None if as_csv or invocation.as_json else Outlook.on_stdout(db, now)
    listed = Expiring(due=due, now=now, until=until, within=within, outlook=outlook)
    if ics is not None:
        path = write(invocation, _calendar(listed), ics, name=_CALENDAR, option="--ics")
        listed = replace(listed, calendar=path or STDOUT)
    return form.table(COLUMNS, listed.items(), name="expiring.csv") if as_csv else listed


def _due(db: Reading, settings: Settings, *, now: datetime, until: datetime) -> Iterator[Due]:
    for record in licenses.due(db, until):
        owner = customers.by_id(db, record.customer_id)
        trial = not renewable(record, settings)
        held_back = trial or long_lapsed(record, settings, now)
        yield Due(
            id=record.id,
            customer=owner.slug,
            owner=owner.name,
            machine=record.machine_label,
            tier=record.tier,
            expires_at=record.expires_at,
            bare=not held_back
            and renews_together(licenses.current(db, owner), settings, now, until=until),
            trial=trial,
        )


def _calendar(listed: Expiring) -> bytes:
    from polygent_issuer.delivery.calendar import Ending, calendar

    endings = (
        Ending(
            license_id=each.id,
            whose=f"{each.owner} ({each.machine or 'any machine'})",
            expires_at=each.expires_at,
            command=each.renewal,
        )
        for each in listed.due
    )
    return b"".join(calendar(endings, alarms=MILESTONES, now=listed.now))
