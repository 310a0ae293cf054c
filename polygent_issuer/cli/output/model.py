"""Blocks of text: lines, named values, tables."""

from collections.abc import Mapping, Sequence
from contextvars import ContextVar
from typing import Any, Literal, NamedTuple

from polygent_issuer.text import Hint

GLOBAL_OPTIONS: ContextVar[Mapping[str, Any]] = ContextVar("global_options")
Style = Literal["plain", "title", "good", "bad", "warn", "dim"]


def at_home(hint: str) -> str:
    """Return a hint with `--home` in its commands if it was given; the variable is inherited."""
    home = GLOBAL_OPTIONS.get({}).get("home")
    return hint if home is None or not isinstance(hint, Hint) else hint.at_home(str(home))


class Line(NamedTuple):
    """One line of text.

    Attributes:
        indent: in steps of two spaces.
        hang: the column of the rows after the first, if the line is too long for the screen.
        verbatim: it is a line of a file, and is never wrapped.
    """

    text: str = ""
    style: Style = "plain"
    indent: int = 0
    hang: int = 0
    verbatim: bool = False


class Fields(NamedTuple):
    """Names and values, aligned; a `None` value is left out."""

    rows: tuple[tuple[str, str | None], ...]
    indent: int = 1


class Table(NamedTuple):
    """Rows under headers; `styles` colours whole rows, in their order."""

    headers: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]
    styles: Sequence[Style] = ()

    def without_repeated(self, *headers: str) -> "Table":
        """Return the table without those of these columns that have one value in all rows."""
        kept = [
            number
            for number, header in enumerate(self.headers)
            if header not in headers or len({row[number] for row in self.rows}) > 1
        ]
        rows = tuple(tuple(row[number] for number in kept) for row in self.rows)
        return self._replace(headers=tuple(self.headers[number] for number in kept), rows=rows)


Block = Line | Fields | Table
