"""License files as they are named: each one by itself, and none holds up another."""

import io
import os
import sys
from pathlib import Path

import pytest

from polygent_issuer.batch.sources import Source, gather


def names(*named: str | Path) -> list[str]:
    """What the sources are called."""
    return [source.name for source in gather(map(str, named))]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two license files, one that is none, and a folder in it."""
    for name in ("b.lic", "A.LIC", "notes.txt"):
        (tmp_path / name).write_text(name)
    (tmp_path / "deeper").mkdir()
    (tmp_path / "deeper" / "c.lic").write_text("c")
    return tmp_path


@pytest.fixture
def stdin(monkeypatch: pytest.MonkeyPatch) -> io.BytesIO:
    """What `-` reads."""
    data = io.BytesIO()
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(data))
    return data


def test_a_folder_gives_its_license_files(folder: Path) -> None:
    """By name, whatever the case of the ending; not those of a folder within."""
    assert names(folder, folder / "notes.txt") == [
        str(folder / name) for name in ("A.LIC", "b.lic", "notes.txt")
    ]
    assert [source.data for source in gather([str(folder)])] == [b"A.LIC", b"b.lic"]


def test_what_cannot_be_read_is_a_source_with_its_problem(folder: Path) -> None:
    """A missing file, a folder without any: the next one is still read."""
    (folder / "empty").mkdir()
    missing, empty, there = gather(
        [str(folder / "no.lic"), str(folder / "empty"), str(folder / "b.lic")]
    )
    assert missing.problem is not None
    assert empty.problem is not None
    assert "holds no .lic file" in empty.problem.message
    assert there == Source(name=str(folder / "b.lic"), data=b"b.lic")


def test_a_folder_that_cannot_be_read(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The system's reason is told."""

    def refuse(_: str) -> list[str]:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "listdir", refuse)
    (source,) = gather([str(folder)])
    assert source.problem is not None
    assert "permission denied" in source.problem.message


def test_a_name_that_cannot_be_looked_at(tmp_path: Path) -> None:
    """One that is too long for the system is a source with its problem."""
    (source,) = gather([str(tmp_path / ("x" * 5_000))])
    assert source.problem is not None
    assert "file name too long" in source.problem.message


def test_a_file_is_no_license_by_its_ending_alone(tmp_path: Path) -> None:
    """A hidden file named `.lic` has no ending."""
    (tmp_path / ".lic").write_bytes(b"")
    (source,) = gather([str(tmp_path)])
    assert source.problem is not None


def test_a_large_file_is_cut_where_it_is_too_large(tmp_path: Path) -> None:
    """One byte more than the format allows is enough to refuse it."""
    (tmp_path / "x.lic").write_bytes(b"a" * 100_000)
    (source,) = gather([str(tmp_path / "x.lic")])
    assert len(source.data) == 16_385


def test_stdin_has_a_license_on_each_line(stdin: io.BytesIO) -> None:
    """As `cat *.lic` gives them; blank lines are nobody's."""
    stdin.write(b"one\n\ntwo\r\n")
    stdin.seek(0)
    assert [(source.name, source.data) for source in gather(["-"])] == [
        ("-:1", b"one"),
        ("-:3", b"two"),
    ]


def test_an_empty_stdin_is_a_problem(stdin: io.BytesIO) -> None:
    """Nothing came where something was expected."""
    stdin.write(b"\n")
    stdin.seek(0)
    (source,) = gather(["-"])
    assert source.problem is not None
    assert source.problem.message == "stdin is empty"


def test_a_closed_stdin_is_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not an exception."""
    monkeypatch.setattr(sys, "stdin", None)
    (source,) = gather(["-"])
    assert source.problem is not None
