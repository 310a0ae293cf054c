"""The width of a text on a terminal, compared with the one that rich measures."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from polygent_issuer.cli.output.layout import cells, cut


@pytest.mark.parametrize(
    ("text", "width"),
    [("", 0), ("Acme", 4), ("Zoë", 3), ("e\u0301", 1), ("東京", 4), ("🚀", 2), ("a\ufe0f", 2)],
)
def test_widths(text: str, width: int) -> None:
    """Marks take no column, ideographs and emoji two."""
    assert cells(text) == width


@pytest.mark.parametrize(
    ("text", "room", "shown"),
    [
        ("Acme GmbH", 9, "Acme GmbH"),
        ("Acme GmbH", 8, "Acme ..."),
        ("東京株式", 7, "東京..."),
        ("東京株式", 6, "東..."),
        ("Acme", 3, ""),
        ("Acme", 0, ""),
        ("", 0, ""),
    ],
)
def test_cutting(text: str, room: int, shown: str) -> None:
    """To whole characters, with dots; nothing where not even one fits."""
    assert cut(text, room) == shown


@given(st.text(alphabet="aé漢字ｱ\u0301🚀ﬀＡ", max_size=40), st.integers(0, 60))
def test_what_is_cut_fits(text: str, room: int) -> None:
    """By our measure, and by the one of the library that draws the rest."""
    shown = cut(text, room)
    assert cells(shown) <= room
    assert cell_len(shown) <= room
