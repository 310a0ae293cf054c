"""How the licenses that are due look, by the product's own milestones."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Any

from polygent_issuer import dates
from polygent_issuer.cli.blocks import Block, Line, Style, Table
from polygent_issuer.cli.due import MILESTONES, Due, milestone
from polygent_issuer.cli.outlook import Outlook
from polygent_issuer.cli.output import Result
from polygent_issuer.cli.written import STDOUT

COLUMNS = (
    *("id", "customer", "machine", "tier", "expires_at", "last_full_day"),
    *("days_left", "expired", "alert_days"),
)
"""The members of a license that is due, as the columns of its CSV."""

_NAMED = 10
"""Customers whom one command names; of more, --due-within says who is meant."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Expiring(Result):
    """The current licenses that end within a time, and those that have ended.

    Attributes:
        within: the time, as it was typed.
        outlook: the coming months, for a terminal.
        calendar: the file of the calendar; `-` is stdout.
    """

    due: tuple[Due, ...]
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
            "licenses": self.items(),
        }

    def items(self) -> Iterable[Mapping[str, Any]]:
        """Each license for programs."""
        return (each.to_json(self.now) for each in self.due)

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
        rows, styles = tuple(map(self._row, self.due)), tuple(map(self._style, self.due))
        yield Table(headers, rows, styles, folding=("customer", "machine"))
        bare = (each.customer for each in self.due if each.bare)
        together = list(islice(_unlike(bare), _NAMED + 1))
        if together:
            whom = f"--due-within {self.within}" if len(together) > _NAMED else " ".join(together)
            yield Line(f"to renew: polygent-issue renew {whom}", "dim")
        for each in self.due:
            if not each.bare:
                yield Line(f"only when it is named: {each.renewal}", "dim")

    def _row(self, each: Due) -> tuple[str, ...]:
        left = dates.days_left(each.expires_at, self.now)
        alert = milestone(each.expires_at, self.now)
        return (
            each.customer,
            each.machine or "any",
            each.id[:8],
            dates.last_full_day(each.expires_at).isoformat(),
            dates.instant(each.expires_at),
            "expired" if each.expires_at <= self.now else f"{left}d",
            "none" if alert is None else f"{alert}d",
        )

    def _style(self, each: Due) -> Style:
        if each.expires_at <= self.now:
            return "bad"
        return "warn" if dates.days_left(each.expires_at, self.now) <= MILESTONES[1] else "plain"


def _unlike(words: Iterable[str]) -> Iterator[str]:
    seen: set[str] = set()
    for word in words:
        if word not in seen:
            seen.add(word)
            yield word
