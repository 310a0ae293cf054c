"""`polygent-issue expiring`: who is due, by the product's own milestones."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any

import typer

from polygent_issuer import dates
from polygent_issuer.cli.blocks import Block, Line, Style, Table
from polygent_issuer.cli.context import Invocation
from polygent_issuer.cli.output import Result
from polygent_issuer.cli.spreadsheet import CsvOptions, CsvTable
from polygent_issuer.issuing.expiry import long_lapsed, renewable, renews_together
from polygent_issuer.registry import LicenseRecord, LicenseStatus, customers, licenses
from polygent_issuer.settings import Settings

MILESTONES = (1, 7, 14, 30)
"""Days before the expiry at which the product warns its admins."""

COLUMNS = (
    *("id", "customer", "machine", "tier", "expires_at", "last_full_day"),
    *("days_left", "expired", "alert_days"),
)
"""The members of a license that is due, as the columns of its CSV."""

_DAY = 86_400


@dataclass(frozen=True, kw_only=True, slots=True)
class Expiring(Result):
    """The current licenses that end within a time, and those that have ended.

    Attributes:
        apart: the customers who have others beside, which are not to be renewed now.
    """

    records: tuple[LicenseRecord, ...]
    apart: frozenset[str]
    settings: Settings
    now: datetime
    until: datetime

    def to_json(self) -> Mapping[str, Any]:
        """`licenses`, the first to end first."""
        return {"until": dates.instant(self.until), "licenses": list(self.items())}

    def items(self) -> Iterable[Mapping[str, Any]]:
        """Each license for programs."""
        for record in self.records:
            yield {
                "id": record.id,
                "customer": record.customer_slug,
                "machine": record.machine_label,
                "tier": record.tier,
                "expires_at": dates.instant(record.expires_at),
                "last_full_day": dates.last_full_day(record.expires_at).isoformat(),
                "days_left": (record.expires_at - self.now).days,
                "expired": record.expires_at <= self.now,
                "alert_days": milestone(record, self.now),
            }

    def blocks(self) -> Iterable[Block]:
        """A table, and the command that renews."""
        if not self.records:
            yield Line(f"nothing expires until {dates.instant(self.until)}", "good")
            return
        headers = ("customer", "machine", "license", "last full day", "expires", "left", "alert")
        rows = tuple(self._row(record) for record in self.records)
        yield Table(headers, rows, tuple(self._style(record) for record in self.records))
        together = dict.fromkeys(r.customer_slug for r in self.records if self._renews(r))
        if together:
            yield Line(f"to renew: polygent-issue renew {' '.join(together)}", "dim")
        for record in self.records:
            if not self._renews(record):
                plan = "" if renewable(record, self.settings) else " --plan PLAN"
                which = f"{record.customer_slug} --license {record.id[:8]}{plan}"
                yield Line(f"only when it is named: polygent-issue renew {which}", "dim")

    def _renews(self, record: LicenseRecord) -> bool:
        lapsed = long_lapsed(record, self.settings, self.now)
        apart = record.customer_slug in self.apart
        return renewable(record, self.settings) and not (lapsed or apart)

    def _row(self, record: LicenseRecord) -> tuple[str, ...]:
        left = (record.expires_at - self.now).days
        alert = milestone(record, self.now)
        return (
            record.customer_slug,
            record.machine_label or "any",
            record.id[:8],
            dates.last_full_day(record.expires_at).isoformat(),
            dates.instant(record.expires_at),
            "expired" if record.expires_at <= self.now else dates.days(left),
            "none yet" if alert is None else dates.days(alert),
        )

    def _style(self, record: LicenseRecord) -> Style:
        if record.expires_at <= self.now:
            return "bad"
        return "warn" if (record.expires_at - self.now).days < MILESTONES[1] else "plain"


def expiring(
    invocation: Invocation,
    within: Annotated[
        str, typer.Option("--within", metavar="TERM", help="How far ahead: 30d, 6mo, 1y.")
    ] = "30d",
    *,
    form: CsvOptions,
) -> Expiring | CsvTable:
    """List the licenses that are due, and those that have expired and were not renewed.

    The column alert is the product's last milestone that has passed: 30, 14, 7 or 1 days.
    Customers who were archived are left out.
    """
    as_csv = form.asked(invocation)
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
    found = (record for record in due if record.customer_id in active)
    records = sorted(found, key=lambda record: (record.expires_at, record.customer_slug))
    listed = Expiring(records=tuple(records), apart=apart, settings=settings, now=now, until=until)
    return CsvTable(columns=COLUMNS, items=listed.items()) if as_csv else listed


def milestone(record: LicenseRecord, now: datetime) -> int | None:
    """The last milestone that has passed, in days before the expiry; `None` before the first."""
    left = (record.expires_at - now).total_seconds()
    return next((days for days in MILESTONES if left <= days * _DAY), None)
