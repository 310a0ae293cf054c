"""Files that another file names are read only within its folder, and without links."""

import os
import socket
from pathlib import Path

import pytest

from polygent_issuer.errors import UnreadableInput
from polygent_issuer.files.within import inner_parts, read_within


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a file, and a file in a folder; a secret is in the parent folder."""
    made = tmp_path / "plan"
    (made / "deep" / "er").mkdir(parents=True)
    (made / "m.json").write_bytes(b"0123456789")
    (made / "deep" / "er" / "m.json").write_bytes(b"deep")
    (tmp_path / "secret").write_bytes(b"secret")
    return made


def refused(folder: Path, relative: str, *, limit: int = 10) -> UnreadableInput:
    """Read an unreadable file within a folder; return the error."""
    with pytest.raises(UnreadableInput) as caught:
        read_within(folder, relative, limit=limit, what="machine-info document")
    assert caught.value.hint is not None
    assert "machine_info" in caught.value.hint
    assert caught.value.message.isprintable()
    assert len(caught.value.message) < 300
    return caught.value


@pytest.mark.parametrize("relative", ["m.json", "./m.json", "deep/er/m.json", "deep//er/./m.json"])
def test_a_file_below_the_folder_is_read(folder: Path, relative: str) -> None:
    """A file in the folder, or in a folder there, is read."""
    assert read_within(folder, relative, limit=10, what="x") in (b"0123456789", b"deep")


def test_the_limit_of_a_file_within_a_folder(folder: Path) -> None:
    """A file may have as many bytes as the limit, but not one more."""
    assert len(read_within(folder, "m.json", limit=10, what="x")) == 10
    assert "larger than 9 bytes" in refused(folder, "m.json", limit=9).message


def test_the_folder_itself_may_be_a_link(folder: Path, tmp_path: Path) -> None:
    """Links on the way to the folder are followed, because the operator gave its path."""
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
def test_a_path_that_could_leave_the_folder_is_refused(folder: Path, relative: str) -> None:
    """A path that could leave the folder on any platform is refused before a file is opened."""
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
    """A link as the file, or on the way to it, is refused, with and without `dir_fd`."""
    (folder / link).symlink_to(target)
    if not dir_fd:
        monkeypatch.setattr(os, "supports_dir_fd", set())
    assert "the path contains a symbolic link" in refused(folder, relative).message


def test_without_dir_fd_a_file_is_read_too(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without `dir_fd` the same files are read and refused."""
    monkeypatch.setattr(os, "supports_dir_fd", set())
    assert read_within(folder, "deep/er/m.json", limit=10, what="x") == b"deep"
    assert "no such file" in refused(folder, "no.json").message


def test_a_special_file_within_a_folder_is_refused(folder: Path) -> None:
    """A folder, a pipe without a writer, a socket and a file in place of a folder are refused."""
    os.mkfifo(folder / "pipe")
    assert "not a regular file" in refused(folder, "pipe").message
    assert "not a regular file" in refused(folder, "deep").message
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(folder / "socket"))
    assert "not a regular file" in refused(folder, "socket").message
    assert "a file in place of a folder" in refused(folder, "m.json/x").message


def test_the_error_has_the_reason_of_the_system(folder: Path) -> None:
    """The error of a missing file, or of a name that is too long, has the system's reason."""
    error = refused(folder, "no.json")
    assert (
        error.message == "cannot read the machine-info document no.json: no such file or directory"
    )
    assert "too long" in refused(folder, "x" * 300).message
    assert "no such file" in refused(folder / "gone", "m.json").message


def lowest_free() -> int:
    """Return the number of the next file descriptor."""
    descriptor = os.dup(0)
    os.close(descriptor)
    return descriptor


def test_nothing_stays_open(folder: Path) -> None:
    """Every descriptor is closed, also after an error."""
    before = lowest_free()
    for relative in ("deep/er/m.json", "deep/er/no.json", "deep/no/m.json", "deep", "m.json/x"):
        try:
            read_within(folder, relative, limit=10, what="x")
        except UnreadableInput:
            continue
    assert lowest_free() == before
