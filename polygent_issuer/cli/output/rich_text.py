"""Rows of text in colour on a terminal. Text is data: rich never parses it as markup."""

from collections.abc import Iterable
from typing import Final, TextIO

from rich.console import Console
from rich.text import Text

from polygent_issuer.cli.output.blocks import Row, Style

_STYLES: Final = {
    "plain": "",
    "title": "bold",
    "good": "green",
    "bad": "bold red",
    "warn": "yellow",
    "dim": "dim",
    "rule": "dim",
}


def draw(rows: Iterable[Row], stream: TextIO) -> None:
    """Write rows with colour. Rich neither wraps nor cuts them."""
    console = Console(file=stream, markup=False, highlight=False, emoji=False)
    for row in rows:
        text = Text.assemble(*((part, _STYLES[style]) for part, style in row))
        console.print(text, soft_wrap=True)


def draw_note(label: str, lines: Iterable[str], style: Style, stream: TextIO) -> None:
    """Write lines and colour the label at the beginning of the first one."""
    first, *others = lines
    begin: Row = ((label, style), (first[len(label) :], "plain"))
    draw([begin, *(((line, "plain"),) for line in others)], stream)
