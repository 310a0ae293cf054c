"""Tables on a terminal that is too narrow for them."""

import io

import pytest

from polygent_issuer.cli.output.model import Table
from polygent_issuer.cli.output.rich_text import draw

HEADERS = ("customer", "license", "last full day", "expires")
ROW = ("globex-international-holdings", "1f3a9c2e", "2027-11-30", "2027-12-01T00:00:00Z")


def drawn(monkeypatch: pytest.MonkeyPatch, columns: int, *folding: str) -> list[str]:
    """The lines of one row on a screen of this width."""
    monkeypatch.setenv("COLUMNS", str(columns))
    stream = io.StringIO()
    draw([Table(HEADERS, (ROW,), folding=folding)], stream)
    return [line.rstrip() for line in stream.getvalue().splitlines()]


def test_a_column_that_folds_leaves_the_others_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    """The ID and both dates can be copied; the headers of their columns fold between words."""
    lines = drawn(monkeypatch, 60, "customer")
    assert max(map(len, lines)) <= 60
    [row] = [line for line in lines if "1f3a9c2e" in line]
    assert row.split()[1:] == list(ROW[1:])
    words = "".join(lines).replace(" ", "")
    assert "lastfull" in words
    assert "".join(line[:16].strip() for line in lines).endswith(ROW[0])


@pytest.mark.parametrize(("columns", "folding"), [(30, ("customer",)), (60, ())])
def test_nothing_is_cut(
    monkeypatch: pytest.MonkeyPatch, columns: int, folding: tuple[str, ...]
) -> None:
    """Where even that does not fit, or nobody says what folds, every column does."""
    lines = drawn(monkeypatch, columns, *folding)
    assert max(map(len, lines)) <= columns
    assert sum(line.count("2") for line in lines) == "".join(ROW).count("2")


def test_a_wide_screen_folds_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither cells nor headers."""
    lines = drawn(monkeypatch, 100, "customer")
    assert [line.split() for line in lines if line][-1] == list(ROW)
    assert "last full day" in "".join(lines)
