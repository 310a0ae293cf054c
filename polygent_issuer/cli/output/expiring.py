"""Expiring licenses as a chart of months, and as metrics for node_exporter."""

import os
import shutil
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple, Self

from polygent_issuer.cli.output.blocks import CUT, Block, Line, cells, cut
from polygent_issuer.cli.output.files import STDOUT
from polygent_issuer.cli.output.result import write_bytes
from polygent_issuer.errors import OutputExists, UsageProblem
from polygent_issuer.files import disk, publication
from polygent_issuer.registry import Reading, licenses, summaries
from polygent_issuer.terms import dates
from polygent_issuer.text import escape

if TYPE_CHECKING:
    from polygent_issuer.issuing.expiry import UnsentLicense
    from polygent_issuer.registry import LicenseRecord

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


FIRST_LINE: Final = "# Written by polygent-issue, which replaces this file.\n"
"""The first line of each file, by which this tool recognises its own."""

_ESCAPES: Final = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n"})


class Gauge(NamedTuple):
    """A gauge: its name, a sentence about it, and its values, each with its labels."""

    name: str
    help: str
    samples: Sequence[tuple[Mapping[str, str], int]]


def exposition(gauges: Iterable[Gauge]) -> str:
    """Return the file with these gauges; one without a value is described all the same."""
    return FIRST_LINE + "".join(line for gauge in gauges for line in _lines(gauge))


def _lines(gauge: Gauge) -> Iterator[str]:
    yield f"# HELP {gauge.name} {gauge.help}\n"
    yield f"# TYPE {gauge.name} gauge\n"
    for labels, value in gauge.samples:
        texts = (f'{name}="{escape(text).translate(_ESCAPES)}"' for name, text in labels.items())
        yield (
            f"{gauge.name}{{{','.join(texts)}}} {value}\n" if labels else f"{gauge.name} {value}\n"
        )


_SECOND: Final = timedelta(seconds=1)
_READABLE: Final = 0o644
"""The mode of the file, which node_exporter reads as another user."""


def expiring_metrics(
    db: "Reading",
    due: "Sequence[LicenseRecord]",
    unsent: "Sequence[UnsentLicense]",
    now: "datetime",
) -> bytes:
    """Return the metrics of due and unsent licenses, and the counts of the whole registry."""
    current = licenses.count_current(db)
    expired = licenses.count_current(db, expires_before=now + _SECOND)
    expiries = [(_labels(each), dates.to_seconds(each.expires_at)) for each in due]
    deadlines = [(_labels(each.record), dates.to_seconds(each.upload_before)) for each in unsent]
    gauges = (
        Gauge(
            "polygent_licenses_current", "Current licenses, expired ones included.", [({}, current)]
        ),
        Gauge("polygent_licenses_expired", "Current licenses that have expired.", [({}, expired)]),
        Gauge(
            "polygent_licenses_due", "Current licenses that expire soon or have.", [({}, len(due))]
        ),
        Gauge(
            "polygent_licenses_unsent", "Licenses that have to be sent now.", [({}, len(unsent))]
        ),
        Gauge(
            "polygent_license_expiry_timestamp_seconds",
            "When a license that is due expires.",
            expiries,
        ),
        Gauge(
            "polygent_license_upload_deadline_timestamp_seconds",
            "Until when a server accepts the file of a license that has to be sent.",
            deadlines,
        ),
    )
    return exposition(gauges).encode()


def write_metrics(data: bytes, target: str) -> Path | str:
    """Write to stdout (`-`), or a file as a whole, which replaces an earlier one of this tool.

    Raises:
        UsageProblem: (`usage`) the name does not end in `.prom`.
        OutputExists: (`output_exists`) the file has another content.
        OutputProblem: (`output_failed`) it cannot be written.
    """
    if target == STDOUT:
        write_bytes(data)
        return STDOUT
    path = Path(target).absolute()
    if path.suffix != ".prom":
        raise UsageProblem(
            f"node_exporter reads only files that end in .prom, not {escape(path.name)}",
            hint="--prometheus FILE.prom",
        )
    elsewhere = "choose another file with --prometheus"
    publication.require_folder(path.parent, elsewhere)
    known = FIRST_LINE.encode()
    present = disk.content(path, limit=len(known)) or b""
    if os.path.lexists(path) and not present.startswith(known):
        raise OutputExists(
            f"{escape(str(path))} already exists, and was not written by --prometheus",
            hint=elsewhere,
        )
    publication.replace(data, path, mode=_READABLE)
    return path


def _labels(record: "LicenseRecord") -> dict[str, str]:
    return {
        "license": record.id,
        "customer": record.customer_slug,
        "machine": record.machine_label or "any",
        "tier": record.tier,
    }
