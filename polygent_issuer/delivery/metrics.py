"""Gauges in the text format of Prometheus, which node_exporter's textfile collector reads.

https://prometheus.io/docs/instrumenting/exposition_formats/
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from polygent_issuer.text import escape

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
