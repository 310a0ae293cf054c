"""`polygent-issue expiring`: who is due, as a list, for a spreadsheet, or for a calendar."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated

import typer

from polygent_issuer import dates
from polygent_issuer.cli.context import Invocation
from polygent_issuer.cli.expiring_view import COLUMNS, MILESTONES, Expiring
from polygent_issuer.cli.outlook import Outlook
from polygent_issuer.cli.spreadsheet import CsvOptions, CsvTable
from polygent_issuer.cli.written import STDOUT, write
from polygent_issuer.errors import UsageProblem
from polygent_issuer.issuing.expiry import renews_together
from polygent_issuer.registry import Customer, LicenseStatus, customers, licenses

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
) -> Expiring | CsvTable:
    """List the licenses that are due, and those that have expired and were not renewed.

    The column alert is the product's last milestone that has passed: 30, 14, 7 or 1 days.
    Customers who were archived are left out. On a terminal the coming twelve months are drawn
    above the list.
    """
    as_csv = form.asked(invocation)
    if ics == STDOUT and as_csv:
        raise UsageProblem("--csv and --ics - both want stdout", hint="--ics FILE")
    settings, now = invocation.settings, invocation.now
    until = dates.term_end(now, dates.Term.parse(within))
    with invocation.registry.reading() as db:
        due = tuple(licenses.select(db, status=LicenseStatus.CURRENT, expires_before=until))
        owners = [customers.by_id(db, each) for each in {record.customer_id for record in due}]
        active = {owner.id: owner for owner in owners if owner.archived_at is None}
        apart = frozenset(
            owner.slug
            for owner in active.values()
            if not renews_together(licenses.current(db, owner), settings, now, until=until)
        )
        outlook = None if as_csv or invocation.as_json else Outlook.on_stdout(db, now)
    found = (record for record in due if record.customer_id in active)
    records = sorted(found, key=lambda record: (record.expires_at, record.customer_slug))
    listed = Expiring(
        records=tuple(records),
        apart=apart,
        settings=settings,
        now=now,
        until=until,
        outlook=outlook,
    )
    if ics is not None:
        path = write(invocation, _calendar(listed, active), ics, name=_CALENDAR, option="--ics")
        listed = replace(listed, calendar=path or STDOUT)
    return CsvTable(columns=COLUMNS, items=listed.items()) if as_csv else listed


def _calendar(listed: Expiring, owners: Mapping[int, Customer]) -> bytes:
    from polygent_issuer.delivery.calendar import Ending, calendar

    endings = (
        Ending(
            license_id=record.id,
            whose=f"{owners[record.customer_id].name} ({record.machine_label or 'any machine'})",
            expires_at=record.expires_at,
            command=listed.renewal(record),
        )
        for record in listed.records
    )
    return b"".join(calendar(endings, alarms=MILESTONES, now=listed.now))
