"""Blocks of text: lines, named values, tables; and how wide a text is on a terminal."""

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

CUT: Final = "..."
_EMOJI: Final = "\ufe0f"
"""Makes an emoji, which is wide, of what stands before it."""


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
