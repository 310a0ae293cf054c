"""The metrics of `expiring`, and the file for node_exporter, which alone is replaced."""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final

from polygent_issuer import files
from polygent_issuer.cli.output.files import STDOUT
from polygent_issuer.cli.output.result import write_bytes
from polygent_issuer.errors import OutputExists, UsageProblem
from polygent_issuer.files import disk
from polygent_issuer.registry import licenses
from polygent_issuer.terms import dates
from polygent_issuer.text import escape

if TYPE_CHECKING:
    from datetime import datetime

    from polygent_issuer.issuing.unsent import UnsentLicense
    from polygent_issuer.registry import LicenseRecord, Reading

FIRST_LINE: Final = "# Written by polygent-issue, which replaces this file.\n"
"""The first line of each file, by which this tool recognises its own."""

_ESCAPES: Final = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n"})


@dataclass(frozen=True, kw_only=True, slots=True)
class Gauge:
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
        _count("polygent_licenses_current", "Current licenses, expired ones included.", current),
        _count("polygent_licenses_expired", "Current licenses that have expired.", expired),
        _count("polygent_licenses_due", "Current licenses that expire soon or have.", len(due)),
        _count("polygent_licenses_unsent", "Licenses that have to be sent now.", len(unsent)),
        Gauge(
            name="polygent_license_expiry_timestamp_seconds",
            help="When a license that is due expires.",
            samples=expiries,
        ),
        Gauge(
            name="polygent_license_upload_deadline_timestamp_seconds",
            help="Until when a server accepts the file of a license that has to be sent.",
            samples=deadlines,
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
    files.require_folder(path.parent, elsewhere)
    known = FIRST_LINE.encode()
    present = disk.content(path, limit=len(known)) or b""
    if os.path.lexists(path) and not present.startswith(known):
        raise OutputExists(
            f"{escape(str(path))} already exists, and was not written by --prometheus",
            hint=elsewhere,
        )
    files.replace(data, path, mode=_READABLE)
    return path


def _count(name: str, about: str, count: int) -> Gauge:
    return Gauge(name=name, help=about, samples=(({}, count),))


def _labels(record: "LicenseRecord") -> dict[str, str]:
    return {
        "license": record.id,
        "customer": record.customer_slug,
        "machine": record.machine_label or "any",
        "tier": record.tier,
    }
