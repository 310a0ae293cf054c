"""Rows in colour."""

import io

from polygent_issuer.cli.output.layout import rows
from polygent_issuer.cli.output.model import Block, Fields, Line, Table
from polygent_issuer.cli.output.rich_text import draw


def test_rich_neither_wraps_nor_reads_markup() -> None:
    """Each row is one line as it is, however long; brackets and emoji names are text."""
    text = "[red]:bell: " + "x" * 300
    blocks: list[Block] = [Line(text), Fields((("name", text),)), Table(("header",), ((text,),))]
    stream = io.StringIO()
    draw(rows(blocks, 80, boxes=True), stream)
    assert stream.getvalue().count("[red]:bell:") == 3
    assert [line.strip() for line in stream.getvalue().splitlines()].count("x" * 300) == 3
