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
from polygent_issuer.registry import LicenseRecord, LicenseStatus, licenses

MILESTONES = (1, 7, 14, 30)
"""Days before the expiry at which the product warns its admins."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Expiring(Result):
    """The current licenses that end within a time, and those that have ended."""

    records: tuple[LicenseRecord, ...]
    now: datetime
    until: datetime

    def to_json(self) -> Mapping[str, Any]:
        """`licenses`, the first to end first."""
        return {
            "until": dates.instant(self.until),
            "licenses": [
                {
                    "id": record.id,
                    "customer": record.customer_slug,
                    "machine": record.machine_label,
                    "tier": record.tier,
                    "expires_at": dates.instant(record.expires_at),
                    "days_left": (record.expires_at - self.now).days,
                    "milestone": milestone(record, self.now),
                }
                for record in self.records
            ],
        }

    def blocks(self) -> Iterable[Block]:
        """A table, and the command that renews."""
        if not self.records:
            yield Line(f"nothing expires until {dates.instant(self.until)}", "good")
            return
        headers = ("customer", "machine", "tier", "last full day", "days left", "alert", "license")
        rows = tuple(self._row(record) for record in self.records)
        yield Table(headers, rows, tuple(self._style(record) for record in self.records))
        slugs = " ".join(dict.fromkeys(record.customer_slug for record in self.records))
        yield Line(f"to renew: polygent-issue renew {slugs}", "dim")

    def _row(self, record: LicenseRecord) -> tuple[str, ...]:
        left = (record.expires_at - self.now).days
        return (
            record.customer_slug,
            record.machine_label or "any",
            record.tier,
            dates.last_full_day(record.expires_at).isoformat(),
            "expired" if record.expires_at <= self.now else str(left),
            milestone(record, self.now),
            record.id[:8],
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
) -> Expiring:
    """List the licenses that are due, and those that have expired and were not renewed.

    The column alert is the product's last milestone that has passed: 30, 14, 7 or 1 days.
    """
    until = dates.term_end(invocation.now, dates.Term.parse(within))
    with invocation.registry.reading() as db:
        found = licenses.select(db, status=LicenseStatus.CURRENT, expires_before=until)
        records = sorted(found, key=lambda record: (record.expires_at, record.customer_slug))
    return Expiring(records=tuple(records), now=invocation.now, until=until)


def milestone(record: LicenseRecord, now: datetime) -> str:
    """The milestone that the customer's admins were told of last, such as `14 days`."""
    left = record.expires_at - now
    if left.total_seconds() <= 0:
        return "expired"
    passed = [days for days in MILESTONES if left.total_seconds() <= days * 86_400]
    return f"{passed[0]} days" if passed else "none yet"
