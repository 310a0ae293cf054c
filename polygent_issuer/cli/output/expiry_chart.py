"""The coming twelve months as bars with names, so that one sees the bulges; for a terminal."""

import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Self

from polygent_issuer.cli.output.model import CUT, Block, Line, cells, cut
from polygent_issuer.registry import Reading, summaries
from polygent_issuer.text import escape

MONTHS = 12
_KEPT = 16
"""Names of a month that are kept; more fit into no line."""
_LONGEST_BAR = 24


@dataclass(kw_only=True, slots=True)
class Month:
    """What ends in one month: how many licenses, and the customers, the first to end first."""

    label: str
    count: int = 0
    names: list[str] = field(default_factory=list)
    customers: set[int] = field(default_factory=set)

    def add(self, each: summaries.Expiry) -> None:
        """Count one license."""
        self.count += 1
        if each.customer_id not in self.customers and len(self.names) < _KEPT:
            self.names.append(escape(each.customer))
        self.customers.add(each.customer_id)


@dataclass(frozen=True, kw_only=True, slots=True)
class ExpiryChart:
    """The months, and the terminal for which they are drawn; `bar` is a character it has."""

    months: tuple[Month, ...]
    width: int
    bar: str

    @classmethod
    def on_stdout(cls, db: Reading, now: datetime) -> Self | None:
        """Return what ends from `now` on; None where stdout is no terminal."""
        if sys.stdout is None or not sys.stdout.isatty():
            return None
        bar = "█" if "utf" in (sys.stdout.encoding or "").lower() else "#"
        # Some terminals wrap a line that fills the last column.
        width = shutil.get_terminal_size().columns - 1
        return cls(months=months(db, now), width=width, bar=bar)

    def blocks(self) -> Iterator[Block]:
        """A line for each month; none when nothing ends in any of them."""
        most = max(month.count for month in self.months)
        if not most:
            return
        yield Line("the coming twelve months", "title")
        digits = len(str(most))
        room = self.width - len("2027-11") - digits - 6
        longest = max(1, min(_LONGEST_BAR, room // 4))
        for month in self.months:
            bar = self.bar * -(-month.count * longest // most)
            names = _fitting(month, room - longest)
            line = f"{month.label}  {month.count:>{digits}}  {bar:<{longest}}  {names}"
            yield Line(line.rstrip(), "plain" if month.count else "dim")
        yield Line()


def months(db: Reading, now: datetime) -> tuple[Month, ...]:
    """Return this month and the eleven after it (UTC), with the licenses that end from `now` on.

    A license counts for the month of the last second that it covers.
    """
    begins = [_first_of(now, number) for number in range(MONTHS + 1)]
    counted = {each: Month(label=f"{each:%Y-%m}") for each in begins[:-1]}
    for each in summaries.expiries(db, now, begins[-1]):
        last = each.expires_at - timedelta(seconds=1)
        counted[_first_of(last, 0)].add(each)
    return tuple(counted.values())


def _first_of(moment: datetime, later: int) -> datetime:
    years, month = divmod(moment.month - 1 + later, 12)
    return datetime(moment.year + years, month + 1, 1, tzinfo=UTC)


def _fitting(month: Month, room: int) -> str:
    """Return as many names as there is room for, and how many customers more."""
    for number in range(len(month.names), 0, -1):
        names = ", ".join(month.names[:number]) + _rest(month, number)
        if cells(names) <= room:
            return names
    rest = _rest(month, 1)
    if month.names and room - len(rest) >= 2 * len(CUT):
        return cut(month.names[0], room - len(rest)) + rest
    return cut("".join(month.names[:1]), room)


def _rest(month: Month, number: int) -> str:
    more = len(month.customers) - number
    return f" and {more} more" if more else ""
