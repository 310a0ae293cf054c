"""Appending a line to a file: durable, never a part of a line, earlier lines unchanged."""

import os
import stat
from pathlib import Path

import pytest

from polygent_issuer import files
from polygent_issuer.errors import OutputProblem


def test_lines_are_appended(tmp_path: Path) -> None:
    """Lines are appended to a file that others can read at most."""
    path = tmp_path / "heads"
    before = os.umask(0)
    try:
        files.append_line(path, "one")
        files.append_line(path, "zwei ü")
    finally:
        os.umask(before)
    assert path.read_bytes() == "one\nzwei ü\n".encode()
    assert stat.S_IMODE(path.stat().st_mode) == 0o644


def test_an_unfinished_line_is_ended_first(tmp_path: Path) -> None:
    """A line after an incomplete one begins on a new line."""
    path = tmp_path / "heads"
    path.write_bytes(b"whole\nhal")
    files.append_line(path, "next")
    assert path.read_bytes() == b"whole\nhal\nnext\n"


def test_a_link_is_followed(tmp_path: Path) -> None:
    """If the file is a link, the line is appended to its target."""
    (tmp_path / "link").symlink_to(tmp_path / "real")
    files.append_line(tmp_path / "link", "one")
    assert (tmp_path / "real").read_bytes() == b"one\n"


def test_a_line_is_appended_to_a_regular_file_only(tmp_path: Path) -> None:
    """A pipe, a device, a folder, a missing folder and a NUL are refused with a hint."""
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    for path in (
        tmp_path / "pipe",
        Path("/dev/full"),
        Path("/dev/null"),
        tmp_path / "folder",
        tmp_path / "missing" / "heads",
        tmp_path / "a\0b",
    ):
        with pytest.raises(OutputProblem) as caught:
            files.append_line(path, "one")
        assert caught.value.hint


def test_a_part_of_a_line_is_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If the disk is full in the middle of the line, the file is not changed."""
    path = tmp_path / "heads"
    path.write_bytes(b"old\n")
    write = os.write

    def stingy(descriptor: int, data: bytes) -> int:
        if len(data) <= 3:
            raise OSError(28, "No space left on device")
        return write(descriptor, data[:-3])

    monkeypatch.setattr(os, "write", stingy)
    with pytest.raises(OutputProblem, match="no space"):
        files.append_line(path, "new line")
    assert path.read_bytes() == b"old\n"
