"""Files beside another: nothing outside of the folder is ever read, whatever a row names."""

import os
import socket
from pathlib import Path

import pytest

from polygent_issuer.errors import UnreadableInput
from polygent_issuer.files import inner_parts, read_within


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a file and a file within a folder; a secret lies beside it."""
    made = tmp_path / "plan"
    (made / "deep" / "er").mkdir(parents=True)
    (made / "m.json").write_bytes(b"0123456789")
    (made / "deep" / "er" / "m.json").write_bytes(b"deep")
    (tmp_path / "secret").write_bytes(b"secret")
    return made


def refused(folder: Path, relative: str, *, limit: int = 10) -> UnreadableInput:
    """Read what cannot be read; returns the error."""
    with pytest.raises(UnreadableInput) as caught:
        read_within(folder, relative, limit=limit, what="machine info")
    assert caught.value.hint is not None
    assert "machine_info" in caught.value.hint
    assert caught.value.message.isprintable()
    assert len(caught.value.message) < 300
    return caught.value


@pytest.mark.parametrize("relative", ["m.json", "./m.json", "deep/er/m.json", "deep//er/./m.json"])
def test_a_file_below_the_folder_is_read(folder: Path, relative: str) -> None:
    """In it, or in a folder there."""
    assert read_within(folder, relative, limit=10, what="x") in (b"0123456789", b"deep")


def test_the_limit_is_exact(folder: Path) -> None:
    """Exactly the limit is allowed, one byte more is not."""
    assert len(read_within(folder, "m.json", limit=10, what="x")) == 10
    assert "larger than 9 bytes" in refused(folder, "m.json", limit=9).message


def test_the_folder_itself_may_be_a_link(folder: Path, tmp_path: Path) -> None:
    """The operator named it."""
    (tmp_path / "link").symlink_to(folder)
    assert read_within(tmp_path / "link", "deep/er/m.json", limit=10, what="x") == b"deep"


@pytest.mark.parametrize(
    "relative",
    [
        *("", ".", "..", "../secret", "deep/../../secret", "deep/..", "/etc/passwd", "//x/y"),
        *("..\\secret", "deep\\m.json", "C:secret", "C:/secret", "\\\\host\\share\\x"),
        *("m.json\0", "\x1b[31m", "m\u202e.json", "\udcff", "x" * 1001),
    ],
)
def test_a_name_that_could_lead_elsewhere_is_refused(folder: Path, relative: str) -> None:
    """On this platform or another; the row is judged by the same rule before a file is opened."""
    refused(folder, relative)
    with pytest.raises(UnreadableInput):
        inner_parts(relative)


@pytest.mark.parametrize("dir_fd", [True, False])
@pytest.mark.parametrize(
    ("link", "target", "relative"),
    [
        ("link.json", "../secret", "link.json"),
        ("link.json", "m.json", "link.json"),
        ("link", "..", "link/secret"),
        ("link", "deep", "link/er/m.json"),
        ("deep/link", "/", "deep/link/etc/passwd"),
        ("loop", "loop", "loop"),
        ("nowhere", "missing", "nowhere"),
    ],
)
def test_no_link_is_followed(
    folder: Path,
    *,
    dir_fd: bool,
    link: str,
    target: str,
    relative: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Neither as the file nor on the way to it, on platforms with and without `dir_fd`."""
    (folder / link).symlink_to(target)
    if not dir_fd:
        monkeypatch.setattr(os, "supports_dir_fd", set())
    assert "leads over a link" in refused(folder, relative).message


def test_without_dir_fd_a_file_is_read_too(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same file."""
    monkeypatch.setattr(os, "supports_dir_fd", set())
    assert read_within(folder, "deep/er/m.json", limit=10, what="x") == b"deep"
    assert "no such file" in refused(folder, "no.json").message


def test_what_is_no_plain_file_is_refused(folder: Path) -> None:
    """A folder, a pipe that nobody writes to, a file in the place of a folder."""
    os.mkfifo(folder / "pipe")
    assert "not a regular file" in refused(folder, "pipe").message
    assert "not a regular file" in refused(folder, "deep").message
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(folder / "socket"))
    assert "not a regular file" in refused(folder, "socket").message
    assert "no folder" in refused(folder, "m.json/x").message


def test_the_systems_reason_is_told(folder: Path) -> None:
    """A missing file, a name that is too long for the disk."""
    error = refused(folder, "no.json")
    assert error.message == "cannot read the machine info no.json: no such file or directory"
    assert "too long" in refused(folder, "x" * 300).message
    assert "no such file" in refused(folder / "gone", "m.json").message


def lowest_free() -> int:
    """The next file descriptor that the system would give."""
    descriptor = os.dup(0)
    os.close(descriptor)
    return descriptor


def test_nothing_stays_open(folder: Path) -> None:
    """Of all that is opened on the way, also when it is refused."""
    before = lowest_free()
    for relative in ("deep/er/m.json", "deep/er/no.json", "deep/no/m.json", "deep", "m.json/x"):
        try:
            read_within(folder, relative, limit=10, what="x")
        except UnreadableInput:
            continue
    assert lowest_free() == before
