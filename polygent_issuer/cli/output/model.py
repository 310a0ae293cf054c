"""Blocks of text: lines, named values, tables; and how wide a text is on a terminal."""

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal

CUT: Final = "..."
_EMOJI: Final = "\ufe0f"
"""Makes an emoji, which is wide, of the character before it."""


def cells(text: str) -> int:
    """Return how many columns a terminal needs for a text, at most."""
    return len(text) if text.isascii() else sum(map(_width, text))


def cut(text: str, room: int) -> str:
    """Return a text in no more than so many columns, with dots where something is missing."""
    if cells(text) <= room:
        return text
    while text and cells(text) > room - len(CUT):
        text = text[:-1]
    return f"{text}{CUT}" if text else ""


def _width(character: str) -> int:
    if character == _EMOJI:
        return 1
    if unicodedata.category(character) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


Style = Literal["plain", "title", "good", "bad", "warn", "dim"]


@dataclass(frozen=True, slots=True)
class Line:
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


@dataclass(frozen=True, slots=True)
class Fields:
    """Names and values, aligned; a `None` value is left out."""

    rows: tuple[tuple[str, str | None], ...]
    indent: int = 1


@dataclass(frozen=True, slots=True)
class Table:
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
        return replace(self, headers=tuple(self.headers[number] for number in kept), rows=rows)


Block = Line | Fields | Table
