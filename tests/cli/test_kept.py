"""Lists of any length: whole, in order, as often as asked, and let go of."""

import gc
import json
import tempfile
import tracemalloc
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest

from polygent_issuer.cli import output
from polygent_issuer.cli.blocks import Table
from polygent_issuer.cli.json_text import SCHEMA
from polygent_issuer.cli.kept import Each, Kept
from polygent_issuer.cli.plain_text import plain_lines
from polygent_issuer.errors import OutputProblem

MOMENT = datetime(2026, 11, 30, 9, 30, tzinfo=UTC)


@dataclass(frozen=True, kw_only=True, slots=True)
class Item:
    """As the records of the registry are."""

    number: int
    at: datetime = MOMENT


@pytest.mark.parametrize("count", [0, 1, 511, 512, 513, 1024, 5000])
def test_every_item_each_time(count: int) -> None:
    """Two passes at once, as a table's rows and styles are gone through."""
    kept = Kept(Item(number=number) for number in range(count))
    expected = [Item(number=number) for number in range(count)]
    assert bool(kept) is (count > 0)
    assert list(zip(kept, kept, strict=True)) == list(zip(expected, expected, strict=True))
    assert list(Each(kept, lambda item: item.number)) == list(range(count))


def test_memory_does_not_grow_with_the_list() -> None:
    """Of ten times as many items as many lie in the file."""

    def most(count: int) -> int:
        tracemalloc.start()
        kept = Kept(Item(number=number) for number in range(count))
        assert sum(1 for _ in kept) == count
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return peak

    most(2_000)  # what is made once, and what measures
    assert most(20_000) < 2 * most(2_000)


def test_the_file_has_no_name_and_goes_with_the_list(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is left behind, whatever becomes of the process."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    kept = Kept(range(5000))
    assert list(tmp_path.iterdir()) == []
    file = kept._file
    assert file is not None
    del kept
    gc.collect()
    assert file.closed


def test_a_full_disk_is_an_error_of_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With what to do about it."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "nowhere"))
    with pytest.raises(OutputProblem, match="a temporary file for the list cannot be written") as e:
        Kept(range(5000))
    assert "TMPDIR" in str(e.value.hint)


@pytest.mark.parametrize(
    "items", [[], [1], ["a\nb", None], [{"a": [], "b": {}}, {"ü": [{"c": [1, 2]}]}]]
)
def test_a_streamed_array_is_written_as_a_list(
    items: list[object], capsys: pytest.CaptureFixture[str]
) -> None:
    """Byte for byte, first, last or alone among the members."""
    for members in ({"x": items}, {"x": items, "y": {"z": items}}, {"y": 1, "x": items}):
        output.write_json({**members, "x": iter(items)})
        told = json.dumps({"schema": SCHEMA, **members}, indent=2) + "\n"
        assert capsys.readouterr().out == told


def test_a_table_is_as_wide_as_its_widest_cell_wherever_it_is() -> None:
    """The last row of many counts as the first does."""
    rows = Kept([("a", "b")] * 600 + [("a long one", "c")])
    lines = list(plain_lines([Table(("h", "i"), rows)]))
    assert lines[:2] == ["h           i", "a           b"]
    assert (len(lines), lines[-1]) == (602, "a long one  c")
