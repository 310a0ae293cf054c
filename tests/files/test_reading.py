"""Bounded reads of files, pipes and stdin."""

import codecs
import io
import os
import shlex
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from support.cli import streams

from polygent_issuer.errors import UnreadableInput
from polygent_issuer.files.reading import (
    NotUtf8,
    decode,
    read_bounded,
    secret_warning,
    without_mark,
)

READ = """
import sys
from polygent_issuer.errors import UnreadableInput
from polygent_issuer.files.reading import read_bounded
try:
    sys.stdout.buffer.write(read_bounded(sys.argv[1], limit=10_000, what="x"))
except UnreadableInput as error:
    sys.exit(error.message)
"""
DEVICE = "it is a device, not a regular file"
PIPE = "it is a pipe, not a regular file"
SOCKET = "it is a socket, not a regular file"


def python(code: str, *argv: str, stdin: bytes = b"") -> "subprocess.CompletedProcess[bytes]":
    """Run code in its own process, at most 60 seconds."""
    command = [sys.executable, "-c", code, *argv]
    return subprocess.run(command, input=stdin, capture_output=True, check=False, timeout=60)


def refused(source: str, *, limit: int = 10) -> UnreadableInput:
    """Read an unreadable file; return the error."""
    with pytest.raises(UnreadableInput) as caught:
        read_bounded(source, limit=limit, what="license file")
    assert caught.value.hint
    assert caught.value.message.isprintable()
    return caught.value


def test_file_is_read_completely_up_to_the_limit(tmp_path: Path) -> None:
    """A file may have as many bytes as the limit, but not one more."""
    path = tmp_path / "x.lic"
    path.write_bytes(b"0123456789")
    assert read_bounded(str(path), limit=10, what="license file") == b"0123456789"
    assert "larger than 9 bytes" in refused(str(path), limit=9).message
    path.write_bytes(b"")
    assert read_bounded(str(path), limit=10, what="license file") == b""


@pytest.mark.parametrize("device", ["/dev/zero", "/dev/null", "/dev/tty"])
def test_a_device_is_refused(device: str) -> None:
    """A device is refused, endless or not."""
    error = refused(device)
    assert error.message == f"cannot read the license file {device}: {DEVICE}"
    assert error.hint == "give a regular file; - reads stdin"


def test_a_socket_is_refused(tmp_path: Path) -> None:
    """A socket is named as such; the system's reason would be a missing device."""
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "socket"))
        assert refused(f"{tmp_path}/socket").message.endswith(SOCKET)


def test_a_named_pipe_is_refused(tmp_path: Path) -> None:
    """A named pipe is refused without waiting for a writer."""
    path = tmp_path / "pipe"
    os.mkfifo(path)
    done = python(READ, str(path))
    assert done.returncode == 1
    assert done.stderr.endswith(PIPE.encode() + b"\n")


def test_a_pipe_that_replaces_a_file_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A FIFO that replaces the file between check and opening is refused as well."""
    path = tmp_path / "x"
    path.write_bytes(b"x")
    opening = os.open

    def replaced(name: str, flags: int) -> int:
        path.unlink()
        os.mkfifo(path)
        return opening(name, flags)

    monkeypatch.setattr(os, "open", replaced)
    before = os.listdir("/dev/fd")  # noqa: PTH208 - only the names
    assert refused(str(path)).message.endswith(PIPE)
    assert os.listdir("/dev/fd") == before  # noqa: PTH208 - only the names


def test_dash_is_stdin() -> None:
    """`-` reads stdin with the same limit."""
    with streams(b"0123456789"):
        assert read_bounded("-", limit=10, what="license file") == b"0123456789"
    with streams(b"0123456789"):
        assert "the license file from stdin is larger" in refused("-", limit=9).message


def test_dash_is_the_processs_stdin() -> None:
    """`-` reads the bytes of stdin, unchanged."""
    done = python(READ, "-", stdin=b"\xff\x00\r\n")
    assert done.stdout == b"\xff\x00\r\n"


@pytest.mark.parametrize("stdin", [None, "closed"])
def test_a_missing_stdin_is_an_error(stdin: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """A missing or closed stdin is `unreadable_input`."""
    stream = io.TextIOWrapper(io.BytesIO())
    stream.close()
    monkeypatch.setattr(sys, "stdin", stream if stdin else None)
    assert "from stdin" in refused("-").message


def test_a_process_substitution_is_read() -> None:
    """`<(…)` is a pipe that returns parts; `/dev/stdin` and `/dev/fd/N` are read like `-`."""
    read = shlex.join([sys.executable, "-c", READ])
    line = f"{read} <(for n in {{1..100}}; do printf %0100d 7; done)"
    done = subprocess.run(["bash", "-c", line], capture_output=True, check=True, timeout=60)
    assert done.stdout == (b"0" * 99 + b"7") * 100
    for name in ("/dev/stdin", "/dev/fd/0", "/proc/self/fd/0"):
        assert python(READ, name, stdin=b"\xff\x00\r\n").stdout == b"\xff\x00\r\n"


def test_a_pipe_of_many_parts_is_read_in_full() -> None:
    """A pipe returns at most 64 KiB at a time, so an import may have a thousand parts."""
    sent = os.urandom(1024 * 1024)
    reading, writing = os.pipe()

    def write() -> None:
        with os.fdopen(writing, "wb") as stream:
            stream.write(sent)

    writer = threading.Thread(target=write)
    writer.start()
    data = read_bounded(f"/dev/fd/{reading}", limit=len(sent), what="file of customers")
    writer.join()
    os.close(reading)
    assert data == sent


def test_a_descriptor_that_cannot_be_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """A closed descriptor, and a non-blocking one without data, are refused."""
    assert refused("/dev/fd/999999").message.endswith("bad file descriptor")
    reading, writing = os.pipe()
    os.set_blocking(reading, False)
    try:
        os.write(writing, b"x")
        message = refused(f"/dev/fd/{reading}").message
        with open(reading, encoding="ascii", closefd=False) as stream:
            monkeypatch.setattr(sys, "stdin", stream)
            assert refused("-").message.startswith("cannot read the license file from")
    finally:
        os.close(reading)
        os.close(writing)
    assert message.endswith("resource temporarily unavailable")


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o444])
def test_a_secret_that_others_can_read(tmp_path: Path, mode: int) -> None:
    """The warning contains a command that fixes the mode, quoted for the shell."""
    path = tmp_path / "my pass"
    path.write_bytes(b"x")
    path.chmod(mode)
    assert secret_warning(str(path), what="passphrase file") == (
        f"other users can read the passphrase file {path}: chmod 600 '{path}'"
    )
    path.chmod(0o600)
    assert secret_warning(str(path), what="passphrase file") is None


def test_files_without_a_secret_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stdin, a pipe, a folder and a missing file give no warning."""
    monkeypatch.chdir(tmp_path)
    Path("-").write_bytes(b"")
    Path("-").chmod(0o644)
    os.mkfifo("pipe", 0o666)
    for source in ("-", "pipe", ".", "missing", "a\0b"):
        assert secret_warning(source, what="passphrase file") is None


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"", ""),
        ("größer\r\n".encode(), "größer\r\n"),
        ("größer".encode("utf-8-sig"), "größer"),
        (codecs.BOM_UTF8, ""),
        (b"\xc3\xbf", "\u00ff"),
    ],
)
def test_utf8_with_or_without_a_mark_is_text(data: bytes, text: str) -> None:
    """The byte order mark is removed; line ends are not changed."""
    assert decode(data, "x") == text
    assert without_mark(data, "x") == text.encode()


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_other_encodings_are_named(encoding: str) -> None:
    """UTF-16 and UTF-32 are named in the error, with or without a byte order mark."""
    data = "abc".encode(encoding)
    for read in (decode, without_mark):
        with pytest.raises(NotUtf8) as caught:
            read(data, "the file x")
        assert caught.value.message == f"cannot read the file x: it is in {encoding.upper()[:6]}"
        assert caught.value.hint == "save it as UTF-8"


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"a\nb\xff", "line 2 is not UTF-8"),
        (b"a\n\nb\0", "line 3 has a NUL character"),
        ("größer".encode("latin-1"), "line 1 is not UTF-8"),
    ],
)
def test_an_invalid_line_is_named(data: bytes, problem: str) -> None:
    """Invalid UTF-8 is refused in text, but not in a key in DER."""
    with pytest.raises(NotUtf8) as caught:
        decode(data, "the file x")
    assert caught.value.message == f"cannot read the file x: {problem}"
    assert without_mark(data, "the file x") == data


def test_missing_file(tmp_path: Path) -> None:
    """The error of a missing file has the system's reason, in lower case."""
    error = refused(str(tmp_path / "no.lic"))
    assert error.message.endswith("no.lic: no such file or directory")
    assert error.code == "unreadable_input"


def test_a_folder_is_refused(tmp_path: Path) -> None:
    """A folder is named as such, and the hint asks for a file."""
    error = refused(str(tmp_path))
    assert error.message.endswith("it is a folder")
    assert error.hint == "give a file in it"


@pytest.mark.parametrize("source", ["", "a\0b", "\udcff\x1b[31m", "x" * 5000, "x/y"])
def test_an_impossible_name_is_refused(source: str) -> None:
    """A name that is empty, has a NUL, cannot be decoded or is too long is refused."""
    assert refused(source).message.startswith("cannot read the license file")


def test_loop_of_links(tmp_path: Path) -> None:
    """A link to itself is refused with the system's reason."""
    path = tmp_path / "loop"
    path.symlink_to(path)
    assert "symbolic links" in refused(str(path)).message
