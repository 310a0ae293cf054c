"""What text is made of: lines, named values, tables; drawn by `output` or, in colour, `colour`."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Style = Literal["plain", "title", "good", "bad", "warn", "dim"]


@dataclass(frozen=True, slots=True)
class Line:
    """One line; `indent` in steps of two spaces."""

    text: str = ""
    style: Style = "plain"
    indent: int = 0


@dataclass(frozen=True, slots=True)
class Fields:
    """Names and values, aligned; a `None` value is left out."""

    rows: tuple[tuple[str, str | None], ...]
    indent: int = 1


@dataclass(frozen=True, slots=True)
class Table:
    """Rows under headers; `styles` colours whole rows, in their order.

    Where a terminal is too narrow, the columns of `folding` give way, so that IDs and instants stay
    whole; without them all do.
    """

    headers: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]
    styles: Sequence[Style] = ()
    folding: tuple[str, ...] = ()


Block = Line | Fields | Table
