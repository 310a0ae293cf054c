"""How the licenses that are due look, by the product's own milestones."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from polygent_issuer import dates
from polygent_issuer.cli.blocks import Block, Line, Style, Table
from polygent_issuer.cli.outlook import Outlook
from polygent_issuer.cli.output import Result
from polygent_issuer.cli.written import STDOUT
from polygent_issuer.registry import LicenseRecord
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
        outlook: the coming months, for a terminal.
        calendar: the file of the calendar; `-` is stdout.
    """

    records: tuple[LicenseRecord, ...]
    apart: frozenset[str]
    settings: Settings
    now: datetime
    until: datetime
    outlook: Outlook | None = None
    calendar: Path | str | None = None

    @property
    def text_to_stderr(self) -> bool:
        """Whether stdout carries the calendar."""
        return self.calendar == STDOUT

    def to_json(self) -> Mapping[str, Any]:
        """`licenses`, the first to end first, and the file of the calendar if one was written."""
        return {
            "until": dates.instant(self.until),
            "calendar": None if self.calendar is None else str(self.calendar),
            "licenses": list(self.items()),
        }

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
        """The coming months on a terminal; a table, and the command that renews."""
        if self.outlook is not None:
            yield from self.outlook.blocks()
        if isinstance(self.calendar, Path):
            yield Line(f"calendar: {self.calendar}", "good")
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
                yield Line(f"only when it is named: {self.renewal(record)}", "dim")

    def renewal(self, record: LicenseRecord) -> str:
        """The command that renews just this one."""
        plan = " --plan PLAN" if self._is_trial(record) else ""
        return f"polygent-issue renew {record.customer_slug} --license {record.id[:8]}{plan}"

    def _is_trial(self, record: LicenseRecord) -> bool:
        plan = self.settings.plans.get(record.plan or "")
        return plan is not None and not plan.renewable

    def _renews(self, record: LicenseRecord) -> bool:
        long_lapsed = self.now - record.expires_at > self.settings.lapsed
        apart = record.customer_slug in self.apart
        return not (self._is_trial(record) or long_lapsed or apart)

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


def milestone(record: LicenseRecord, now: datetime) -> int | None:
    """The last milestone that has passed, in days before the expiry; `None` before the first."""
    left = (record.expires_at - now).total_seconds()
    return next((days for days in MILESTONES if left <= days * _DAY), None)
