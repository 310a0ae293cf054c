"""Text without colour and boxes: for pipes, files and plain terminals; no rich is imported."""

import os
from collections.abc import Iterable
from itertools import chain
from typing import TYPE_CHECKING, TextIO

from polygent_issuer.text import escape

if TYPE_CHECKING:
    from polygent_issuer.cli.output.model import Block, Table


def is_plain(stream: TextIO) -> bool:
    """Whether neither colour nor boxes belong on this stream."""
    return (
        not stream.isatty() or bool(os.environ.get("NO_COLOR")) or os.environ.get("TERM") == "dumb"
    )


def plain_lines(blocks: "Iterable[Block]") -> Iterable[str]:
    """The blocks as lines of text without colour, foreign characters escaped."""
    from polygent_issuer.cli.output.model import Fields, Line

    for block in blocks:
        if isinstance(block, Line):
            yield ("  " * block.indent + escape(block.text)).rstrip()
        elif isinstance(block, Fields):
            rows = [(name, value) for name, value in block.rows if value is not None]
            width = max((len(name) for name, _ in rows), default=0)
            for name, value in rows:
                yield f"{'  ' * block.indent}{name:<{width}}  {escape(value)}".rstrip()
        else:
            yield from _plain_table(block)


def _plain_table(table: "Table") -> Iterable[str]:
    rows = [tuple(map(escape, row)) for row in table.rows]
    widths = [len(header) for header in table.headers]
    for row in rows:
        widths = [max(width, len(cell)) for width, cell in zip(widths, row, strict=True)]
    for row in chain((table.headers,), rows):
        yield "  ".join(
            f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)
        ).rstrip()
