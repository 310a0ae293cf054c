"""The expiries of the coming months as a chart for a terminal."""

import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Self

from polygent_issuer.cli.output.blocks import CUT, Block, Line, cells, cut
from polygent_issuer.registry import Reading, summaries
from polygent_issuer.text import escape

MONTHS = 12
_MOST_NAMES = 16
"""No line has room for more."""
_LONGEST_BAR = 24


@dataclass(frozen=True, kw_only=True, slots=True)
class ExpiryChart:
    """The expiries of each month, the width of the terminal and a character for the bars."""

    months: Mapping[str, Sequence[summaries.Expiry]]
    width: int
    bar: str

    @classmethod
    def on_stdout(cls, db: Reading, now: datetime) -> Self | None:
        """Return the chart of the expiries from `now` on, or None if stdout is not a terminal."""
        if sys.stdout is None or not sys.stdout.isatty():
            return None
        bar = "█" if "utf" in (sys.stdout.encoding or "").lower() else "#"
        # Some terminals wrap a line that fills the last column.
        width = shutil.get_terminal_size().columns - 1
        return cls(months=months(db, now), width=width, bar=bar)

    def blocks(self) -> Iterator[Block]:
        """Yield a line for each month, or nothing if no license expires in any of them."""
        most = max(map(len, self.months.values()))
        if not most:
            return
        yield Line("the coming twelve months", "title")
        digits = len(str(most))
        room = self.width - len("2027-11") - digits - 6
        longest = max(1, min(_LONGEST_BAR, room // 4))
        for label, ends in self.months.items():
            bar = self.bar * -(-len(ends) * longest // most)
            customers = {each.customer_id: escape(each.customer) for each in ends}
            names = _fitting(list(customers.values()), room - longest)
            line = f"{label}  {len(ends):>{digits}}  {bar:<{longest}}  {names}"
            yield Line(line.rstrip(), "plain" if ends else "dim")
        yield Line()


def months(db: Reading, now: datetime) -> dict[str, list[summaries.Expiry]]:
    """Return the expiries of this month and the eleven after it (UTC), in their order.

    A license belongs to the month of the last second that it covers.
    """
    begins = [_first_of(now, number) for number in range(MONTHS + 1)]
    ends: dict[str, list[summaries.Expiry]] = {f"{each:%Y-%m}": [] for each in begins[:-1]}
    for each in summaries.expiries(db, now, begins[-1]):
        ends[f"{each.expires_at - timedelta(seconds=1):%Y-%m}"].append(each)
    return ends


def _first_of(moment: datetime, later: int) -> datetime:
    years, month = divmod(moment.month - 1 + later, 12)
    return datetime(moment.year + years, month + 1, 1, tzinfo=UTC)


def _fitting(names: list[str], room: int) -> str:
    """Return as many names as there is room for, and the number of the others."""
    for number in range(min(len(names), _MOST_NAMES), 0, -1):
        line = ", ".join(names[:number]) + _rest(len(names) - number)
        if cells(line) <= room:
            return line
    first, rest = "".join(names[:1]), _rest(len(names) - 1)
    if names and room - len(rest) >= 2 * len(CUT):
        return cut(first, room - len(rest)) + rest
    return cut(first, room)


def _rest(more: int) -> str:
    return f" and {more} more" if more > 0 else ""
