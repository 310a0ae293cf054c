"""The same blocks on a terminal, drawn by rich. Text is data: markup is never parsed."""

from collections.abc import Iterable
from itertools import chain, repeat
from typing import TextIO

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text

from polygent_issuer.cli.output.model import Block, Fields, Line, Style, Table
from polygent_issuer.text import escape

_GAP = 2
"""Columns of the screen between two of a table."""
_LEAST = 6
"""The narrowest column that is still read."""
_PLAIN: Iterable[Style] = repeat("plain")
_STYLES: dict[Style, str] = {
    "plain": "",
    "title": "bold",
    "good": "green",
    "bad": "bold red",
    "warn": "yellow",
    "dim": "dim",
}


def draw(blocks: Iterable[Block], stream: TextIO) -> None:
    """Write blocks with colour; nothing is cut.

    A line is left to the terminal to wrap, so that a command in it can be copied whole; values
    beside their names wrap here.
    """
    console = _console(stream)
    for block in blocks:
        if isinstance(block, Line):
            text = Text("  " * block.indent + escape(block.text), style=_STYLES[block.style])
            console.print(text, soft_wrap=True)
        elif isinstance(block, Fields):
            console.print(_fields(block))
        else:
            console.print(_table(block, console.width))


def draw_note(label: str, message: str, style: Style, stream: TextIO) -> None:
    """Write `label: message` with the label in colour."""
    text = Text.assemble((f"{label}:", _STYLES[style]), " ", escape(message))
    _console(stream).print(text, soft_wrap=True)


def _console(stream: TextIO) -> Console:
    return Console(file=stream, markup=False, highlight=False, emoji=False)


def _fields(block: Fields) -> RichTable:
    grid = RichTable.grid(padding=(0, 2, 0, 0))
    grid.add_column(width=2 * block.indent - 2 if block.indent else 0)
    grid.add_column(style="dim", no_wrap=True)
    grid.add_column(overflow="fold")
    for name, value in block.rows:
        if value is not None:
            grid.add_row("", name, Text(escape(value)))
    return grid


def _table(table: Table, room: int) -> RichTable:
    drawn = RichTable(box=SIMPLE_HEAD, pad_edge=False, padding=(0, _GAP - 1, 0, 0))
    for header in table.headers:
        drawn.add_column(header, overflow="fold")
    widest = [0] * len(table.headers)
    for row, style in zip(table.rows, chain(table.styles, _PLAIN), strict=False):
        cells = [Text(escape(cell)) for cell in row]
        widest = [max(width, cell.cell_len) for width, cell in zip(widest, cells, strict=True)]
        drawn.add_row(*cells, style=_STYLES[style])
    if table.folding:
        _keep_whole(drawn, table, widest, room)
    return drawn


def _keep_whole(drawn: RichTable, table: Table, widest: list[int], room: int) -> None:
    """Fix the columns that shall not fold, if that leaves the others some room.

    Their headers fold between words.
    """
    room -= _GAP * len(widest)  # the edges take one each
    natural = sum(map(max, widest, map(len, table.headers)))
    fixed = {
        number: max(widest[number], *map(len, header.split()))
        for number, header in enumerate(table.headers)
        if header not in table.folding
    }
    if natural > room >= sum(fixed.values()) + _LEAST * len(table.folding):
        for number, width in fixed.items():
            drawn.columns[number].width = width
