"""Bounded reads of files, pipes and stdin."""

import io
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from polygent_issuer.errors import UnreadableInput
from polygent_issuer.files import read_bounded


def refused(source: str, *, limit: int = 10) -> UnreadableInput:
    """Read what cannot be read; returns the error."""
    with pytest.raises(UnreadableInput) as caught:
        read_bounded(source, limit=limit, what="license file")
    assert caught.value.hint
    assert caught.value.message.isprintable()
    return caught.value


def test_file_is_read_whole_up_to_the_limit(tmp_path: Path) -> None:
    """Exactly the limit is allowed, one byte more is not."""
    path = tmp_path / "x.lic"
    path.write_bytes(b"0123456789")
    assert read_bounded(str(path), limit=10, what="license file") == b"0123456789"
    assert "larger than 9 bytes" in refused(str(path), limit=9).message
    path.write_bytes(b"")
    assert read_bounded(str(path), limit=10, what="license file") == b""


def test_endless_file_is_not_read_to_its_end() -> None:
    """A device without end is refused like any file that is too large."""
    assert "larger than 10 bytes" in refused("/dev/zero").message


def test_dash_is_stdin() -> None:
    """`-` reads the given stream, with the same limit."""
    stream = io.BytesIO(b"0123456789")
    assert read_bounded("-", limit=10, what="license file", stdin=stream) == b"0123456789"
    with pytest.raises(UnreadableInput, match="the license file from stdin is larger"):
        read_bounded("-", limit=9, what="license file", stdin=io.BytesIO(b"0123456789"))


def test_dash_is_the_processs_stdin() -> None:
    """Without a given stream, `-` is stdin itself, byte for byte."""
    script = (
        "import sys; from polygent_issuer.files import read_bounded;"
        "sys.stdout.buffer.write(read_bounded('-', limit=99, what='x'))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], input=b"\xff\x00\r\n", capture_output=True, check=True
    )
    assert done.stdout == b"\xff\x00\r\n"


@pytest.mark.parametrize("stdin", [None, "closed"])
def test_no_stdin_is_said(stdin: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process without stdin, or with a closed one, gets our error."""
    stream = io.TextIOWrapper(io.BytesIO())
    stream.close()
    monkeypatch.setattr(sys, "stdin", stream if stdin else None)
    assert "from stdin" in refused("-").message


def test_named_pipe_is_read(tmp_path: Path) -> None:
    """A process substitution is a pipe: it comes in pieces, and whole."""
    path = tmp_path / "pipe"
    os.mkfifo(path)

    def write() -> None:
        with path.open("wb", buffering=0) as pipe:
            for _ in range(10):
                pipe.write(b"x" * 1000)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        assert read_bounded(str(path), limit=10_000, what="license file") == b"x" * 10_000
    finally:
        writer.join()


def test_missing_file(tmp_path: Path) -> None:
    """The reason is the system's, in our spelling."""
    error = refused(str(tmp_path / "no.lic"))
    assert error.message.endswith("no.lic: no such file or directory")
    assert error.code == "unreadable_input"


def test_folder_is_no_file(tmp_path: Path) -> None:
    """A folder is called one, and the hint says what to name."""
    error = refused(str(tmp_path))
    assert error.message.endswith("it is a folder")
    assert error.hint == "name a file in it"


@pytest.mark.parametrize("source", ["", "a\0b", "\udcff\x1b[31m", "x" * 5000, "x/y"])
def test_names_that_no_file_can_have(source: str) -> None:
    """Empty, with NUL, undecodable, too long: our error, escaped."""
    assert refused(source).message.startswith("cannot read the license file")


def test_loop_of_links(tmp_path: Path) -> None:
    """A link to itself is refused with the system's reason."""
    path = tmp_path / "loop"
    path.symlink_to(path)
    assert "symbolic links" in refused(str(path)).message
