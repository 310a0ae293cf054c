"""How wide a text is on a terminal, and cutting it to a width."""

import unicodedata
from typing import Final

CUT: Final = "..."
_EMOJI: Final = "\ufe0f"
"""Makes an emoji, which is wide, of what stands before it."""


def cells(text: str) -> int:
    """How many columns a terminal needs for a text, at most."""
    return len(text) if text.isascii() else sum(map(_width, text))


def cut(text: str, room: int) -> str:
    """A text in no more than so many columns, with dots where something is missing."""
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
