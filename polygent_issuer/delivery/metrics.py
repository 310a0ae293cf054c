"""Metrics of expiring licenses, in the text format of Prometheus for node_exporter."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final, NamedTuple

from polygent_issuer.issuing.expiry import UnsentLicense
from polygent_issuer.registry import LicenseRecord, Reading, licenses
from polygent_issuer.terms import dates
from polygent_issuer.text import escape

FIRST_LINE: Final = "# Written by polygent-issue, which replaces this file.\n"
"""The first line of each file, by which this tool recognises its own."""

_ESCAPES: Final = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n"})
_SECOND: Final = timedelta(seconds=1)


class Gauge(NamedTuple):
    """A gauge: its name, a sentence about it, and its values, each with its labels."""

    name: str
    help: str
    samples: Sequence[tuple[Mapping[str, str], int]]


def expiring_metrics(
    db: Reading,
    due: Sequence[LicenseRecord],
    unsent: Sequence[UnsentLicense],
    now: datetime,
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


def _labels(record: LicenseRecord) -> dict[str, str]:
    return {
        "license": record.id,
        "customer": record.customer_slug,
        "machine": record.machine_label or "any",
        "tier": record.tier,
    }
