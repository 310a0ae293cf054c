"""Results on stdout: arrays that are written item by item, and tables."""

import io
import json

import pytest

from polygent_issuer.cli.output import result
from polygent_issuer.cli.output.blocks import Block, Fields, Line, Table, rows
from polygent_issuer.cli.output.result import SCHEMA, draw, plain_lines


@pytest.mark.parametrize(
    "items", [[], [1], ["a\nb", None], [{"a": [], "b": {}}, {"ü": [{"c": [1, 2]}]}]]
)
def test_an_iterator_is_written_as_a_list(
    items: list[object], capsys: pytest.CaptureFixture[str]
) -> None:
    """The bytes are those of a list, wherever the array is among the members."""
    for members in ({"x": items}, {"x": items, "y": {"z": items}}, {"y": 1, "x": items}):
        result.write_json({**members, "x": iter(items)})
        expected = json.dumps({"schema": SCHEMA, **members}, indent=2) + "\n"
        assert capsys.readouterr().out == expected


def test_a_column_is_as_wide_as_its_widest_cell() -> None:
    """The last row counts as the first does."""
    rows = [("a", "b")] * 600 + [("a long one", "c")]
    lines = list(plain_lines([Table(("h", "i"), rows)]))
    assert lines[:2] == ["h           i", "a           b"]
    assert (len(lines), lines[-1]) == (602, "a long one  c")


def test_rich_neither_wraps_nor_reads_markup() -> None:
    """Each row is one line as it is, however long; brackets and emoji names are text."""
    text = "[red]:bell: " + "x" * 300
    blocks: list[Block] = [Line(text), Fields((("name", text),)), Table(("header",), ((text,),))]
    stream = io.StringIO()
    draw(rows(blocks, 80, boxes=True), stream)
    assert stream.getvalue().count("[red]:bell:") == 3
    assert [line.strip() for line in stream.getvalue().splitlines()].count("x" * 300) == 3
