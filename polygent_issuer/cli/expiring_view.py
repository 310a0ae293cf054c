"""How the licenses that are due look, by the product's own milestones."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Any

from polygent_issuer import dates
from polygent_issuer.cli.blocks import Block, Line, Style, Table
from polygent_issuer.cli.kept import Each, Kept
from polygent_issuer.cli.outlook import Outlook
from polygent_issuer.cli.output import Result
from polygent_issuer.cli.written import STDOUT

MILESTONES = (1, 7, 14, 30)
"""Days before the expiry at which the product warns its admins."""

COLUMNS = (
    *("id", "customer", "machine", "tier", "expires_at", "last_full_day"),
    *("days_left", "expired", "alert_days"),
)
"""The members of a license that is due, as the columns of its CSV."""

_DAY = 86_400
_NAMED = 10
"""Customers whom one command names; of more, --due-within says who is meant."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Due:
    """One license of the list.

    Attributes:
        owner: the customer's name.
        bare: whether `renew` of the customer, with nothing else said, renews it.
        trial: whether it is renewed only for a plan that is named.
    """

    id: str
    customer: str
    owner: str
    machine: str | None
    tier: str
    expires_at: datetime
    bare: bool
    trial: bool

    def to_json(self, now: datetime) -> dict[str, Any]:
        """The license for programs."""
        return {
            "id": self.id,
            "customer": self.customer,
            "machine": self.machine,
            "tier": self.tier,
            "expires_at": dates.instant(self.expires_at),
            "last_full_day": dates.last_full_day(self.expires_at).isoformat(),
            "days_left": (self.expires_at - now).days,
            "expired": self.expires_at <= now,
            "alert_days": milestone(self.expires_at, now),
        }

    @property
    def renewal(self) -> str:
        """The command that renews just this one."""
        plan = " --plan PLAN" if self.trial else ""
        return f"polygent-issue renew {self.customer} --license {self.id[:8]}{plan}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Expiring(Result):
    """The current licenses that end within a time, and those that have ended.

    Attributes:
        within: the time, as it was typed.
        outlook: the coming months, for a terminal.
        calendar: the file of the calendar; `-` is stdout.
    """

    due: Kept[Due]
    now: datetime
    until: datetime
    within: str
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
            "licenses": iter(self.items()),
        }

    def items(self) -> Iterable[Mapping[str, Any]]:
        """Each license for programs."""
        return Each(self.due, lambda each: each.to_json(self.now))

    def blocks(self) -> Iterable[Block]:
        """The coming months on a terminal; a table, and the command that renews."""
        if self.outlook is not None:
            yield from self.outlook.blocks()
        if isinstance(self.calendar, Path):
            yield Line(f"calendar: {self.calendar}", "good")
        if not self.due:
            yield Line(f"nothing expires until {dates.instant(self.until)}", "good")
            return
        headers = ("customer", "machine", "license", "last full day", "expires", "left", "alert")
        yield Table(headers, Each(self.due, self._row), Each(self.due, self._style))
        bare = (each.customer for each in self.due if each.bare)
        together = list(islice(_unlike(bare), _NAMED + 1))
        if together:
            whom = f"--due-within {self.within}" if len(together) > _NAMED else " ".join(together)
            yield Line(f"to renew: polygent-issue renew {whom}", "dim")
        for each in self.due:
            if not each.bare:
                yield Line(f"only when it is named: {each.renewal}", "dim")

    def _row(self, each: Due) -> tuple[str, ...]:
        left = (each.expires_at - self.now).days
        alert = milestone(each.expires_at, self.now)
        return (
            each.customer,
            each.machine or "any",
            each.id[:8],
            dates.last_full_day(each.expires_at).isoformat(),
            dates.instant(each.expires_at),
            "expired" if each.expires_at <= self.now else dates.days(left),
            "none yet" if alert is None else dates.days(alert),
        )

    def _style(self, each: Due) -> Style:
        if each.expires_at <= self.now:
            return "bad"
        return "warn" if (each.expires_at - self.now).days < MILESTONES[1] else "plain"


def milestone(expires_at: datetime, now: datetime) -> int | None:
    """The last milestone that has passed, in days before the expiry; `None` before the first."""
    left = (expires_at - now).total_seconds()
    return next((days for days in MILESTONES if left <= days * _DAY), None)


def _unlike(words: Iterable[str]) -> Iterator[str]:
    seen: set[str] = set()
    for word in words:
        if word not in seen:
            seen.add(word)
            yield word
