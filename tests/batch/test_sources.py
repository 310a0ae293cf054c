"""License files by name: each is read on its own, and a failure does not affect the others."""

import base64
import io
import os
import socket
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import Any

import pytest

from polygent_issuer.batch.sources import gather
from polygent_issuer.issuing.verification import LicenseFile

EXAMPLE = (Path(__file__).parents[2] / "keys.example/example.lic").read_bytes()


def read(*named: str | Path, **more: Any) -> tuple[LicenseFile, ...]:
    """Return the sources alone."""
    return gather(map(str, named), **more)[0]


def names(*named: str | Path, **more: Any) -> list[str]:
    """Return the names of the sources."""
    return [source.name for source in read(*named, **more)]


def skipped(folder: Path, **more: Any) -> dict[str, tuple[str, str]]:
    """Return code and message of each skipped file by its path in the folder."""
    _, others = gather([str(folder)], **more)
    begin = len(f"{folder}/")
    return {each.name[begin:]: (str(each.reason), each.message) for each in others}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with two license files, another file, and a sub-folder."""
    for name in ("b.lic", "A.LIC", "notes.txt"):
        (tmp_path / name).write_text(name)
    (tmp_path / "deeper").mkdir()
    (tmp_path / "deeper" / "c.lic").write_text("c")
    return tmp_path


@pytest.fixture
def stdin(monkeypatch: pytest.MonkeyPatch) -> io.BytesIO:
    """Return a setter of stdin's content."""
    data = io.BytesIO()
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(data))
    return data


def test_a_folder_gives_its_license_files(folder: Path) -> None:
    """They are ordered by name, with any case of the ending, without sub-folders."""
    assert names(folder, folder / "notes.txt") == [
        str(folder / name) for name in ("A.LIC", "b.lic", "notes.txt")
    ]
    assert [source.data for source in read(folder)] == [b"A.LIC", b"b.lic"]


def test_an_unreadable_source_has_a_problem(folder: Path) -> None:
    """A file is missing, or a folder has no licenses; the next source is still read."""
    (folder / "empty").mkdir()
    missing, empty, there = read(folder / "no.lic", folder / "empty", folder / "b.lic")
    assert missing.problem is not None
    assert empty.problem is not None
    assert "contains no license file" in empty.problem.message
    assert there == LicenseFile(name=str(folder / "b.lic"), data=b"b.lic")


def test_a_folder_that_cannot_be_read(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error has the system's reason, for the folder that was named and for one in it."""
    scan = os.scandir

    def refuse(place: Any) -> Any:
        if os.fspath(place).endswith("deeper"):
            raise PermissionError(13, "Permission denied")
        return scan(place)

    monkeypatch.setattr(os, "scandir", refuse)
    (source,) = read(folder / "deeper")
    assert source.problem is not None
    assert "permission denied" in source.problem.message
    *_, last = read(folder, recursive=True)
    assert last.name == str(folder / "deeper")
    assert last.problem is not None


def test_an_invalid_name_has_a_problem(tmp_path: Path) -> None:
    """A name that is too long for the system is a source with its problem."""
    (source,) = read(tmp_path / ("x" * 5_000))
    assert source.problem is not None
    assert "file name too long" in source.problem.message


def test_a_hidden_file_named_lic_is_skipped(tmp_path: Path) -> None:
    """A hidden file named `.lic` has no ending."""
    (tmp_path / ".lic").write_bytes(b"")
    (source,) = read(tmp_path)
    assert source.problem is not None


@pytest.mark.parametrize(
    "data",
    [
        EXAMPLE,
        b"\xef\xbb\xbf" + EXAMPLE.replace(b"\n", b"\r\n"),
        EXAMPLE.decode().encode("utf-16"),
        EXAMPLE.decode().encode("utf-16-be"),
        b"".join(b"> " + EXAMPLE[at : at + 70] + b"\n" for at in range(0, len(EXAMPLE), 70)),
        base64.encodebytes(EXAMPLE),
        b"MIME-Version: 1.0\n\n" + base64.encodebytes(EXAMPLE),
        b"Here is your license:\n\n" + EXAMPLE,
        EXAMPLE[:300],
    ],
    ids=range(9),
)
def test_a_license_is_known_by_its_content(tmp_path: Path, data: bytes) -> None:
    """A file of any name with a license, damaged or not, is read and not skipped."""
    (tmp_path / "Globex.lic.txt").write_bytes(data)
    (tmp_path / "notes.txt").write_bytes(b"hello")
    assert names(tmp_path) == [str(tmp_path / "Globex.lic.txt")]
    assert list(skipped(tmp_path)) == ["notes.txt"]


def test_skipped_files_are_named(folder: Path) -> None:
    """Each skipped file has a code and a message, and only regular files are opened."""
    with zipfile.ZipFile(folder / "old.zip", "w") as archive:
        archive.writestr("acme.lic", EXAMPLE)
    (folder / ".hidden.lic").write_bytes(EXAMPLE)
    (folder / "link").symlink_to(folder / "b.lic")
    (folder / "up").symlink_to(folder)
    (folder / "itself").symlink_to(folder / "itself")
    os.mkfifo(folder / "pipe")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(folder / "socket"))
    assert skipped(folder) == {
        ".hidden.lic": ("hidden", "hidden"),
        "deeper": ("folder", "a folder; add --recursive to read it"),
        "itself": ("link", "a link"),
        "link": ("link", "a link"),
        "notes.txt": ("not_a_license", "not a license"),
        "old.zip": (
            "not_a_license",
            "this is a ZIP archive: unpack it and use the .lic file in it",
        ),
        "pipe": ("not_a_file", "not a regular file"),
        "socket": ("not_a_file", "not a regular file"),
        "up": ("link", "a link"),
    }
    assert names(folder) == [str(folder / name) for name in ("A.LIC", "b.lic")]


def test_sub_folders_are_read_in_order(folder: Path) -> None:
    """They are ordered by name, each link is skipped, and any depth is read."""
    (folder / ".git").mkdir()
    (folder / ".git" / "x.lic").write_bytes(EXAMPLE)
    (folder / "deeper" / "again").symlink_to(folder)
    (folder / "deeper" / "b").mkdir()
    (folder / "deeper" / "b" / "x.txt").write_bytes(EXAMPLE)
    (folder / "deeper" / "out").symlink_to("/etc")
    (folder / "itself").symlink_to("itself")
    (folder / "itself.lic").symlink_to("itself.lic")
    assert names(folder, recursive=True) == [
        str(folder / name)
        for name in ("A.LIC", "b.lic", "deeper/b/x.txt", "deeper/c.lic", "itself.lic")
    ]
    others = skipped(folder, recursive=True)
    assert list(others) == [".git", "deeper/again", "deeper/out", "itself", "notes.txt"]


def test_a_deep_chain_of_folders_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is deeper than Python recurses; a path that is too long is a problem, not a crash."""
    monkeypatch.chdir(tmp_path)
    depth = sys.getrecursionlimit() + 1_500
    before = os.open(".", os.O_RDONLY)
    for _ in range(depth):
        Path("d").mkdir()
        os.chdir("d")
    os.fchdir(before)
    os.close(before)
    try:
        (source,) = read(".", recursive=True)
        assert source.problem is not None
        assert "file name too long" in source.problem.message
    finally:
        subprocess.run(["rm", "-rf", "d"], check=True)


def test_files_of_the_current_folder_have_plain_names(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Their names have no folder."""
    monkeypatch.chdir(folder)
    assert names(".", recursive=True) == ["A.LIC", "b.lic", "deeper/c.lic"]
    assert names("deeper//") == ["deeper/c.lic"]


def test_a_folder_of_folders(tmp_path: Path) -> None:
    """A folder with licenses only in sub-folders gives a hint to --recursive."""
    (tmp_path / "2026").mkdir()
    (tmp_path / "2026" / "a.lic").write_bytes(EXAMPLE)
    (source,) = read(tmp_path)
    assert source.problem is not None
    assert str(source.problem.hint).startswith("add --recursive")
    assert names(tmp_path, recursive=True) == [str(tmp_path / "2026" / "a.lic")]


def test_a_file_named_lic_is_never_skipped(tmp_path: Path) -> None:
    """A link to a file is read; a folder, a pipe and a link to nothing are problems."""
    (tmp_path / "target").write_bytes(EXAMPLE)
    (tmp_path / "a.lic").symlink_to(tmp_path / "target")
    (tmp_path / "b.lic").symlink_to(tmp_path / "nothing")
    (tmp_path / "c.lic").mkdir()
    os.mkfifo(tmp_path / "d.lic")
    good, *bad = (source for source in read(tmp_path) if "target" not in source.name)
    assert good == LicenseFile(name=str(tmp_path / "a.lic"), data=EXAMPLE)
    assert [str(source.problem).rpartition(": ")[2] for source in bad] == [
        *("no such file or directory", "it is a folder", "it is not a regular file")
    ]


def test_the_registry_is_not_touched(tmp_path: Path) -> None:
    """The registry is not opened, since closing it would release this process's locks on it."""
    path = tmp_path / "registry.db"
    path.write_bytes(EXAMPLE)
    os.link(path, tmp_path / "same")
    (tmp_path / "x.lic").write_bytes(EXAMPLE)
    assert names(tmp_path, registry=path) == [str(tmp_path / "x.lic")]
    registry = ("not_a_license", "the registry")
    assert skipped(tmp_path, registry=path) == {"registry.db": registry, "same": registry}
    assert len(names(tmp_path, registry=tmp_path / "none" / "registry.db")) == 3


def test_a_file_that_may_not_be_read() -> None:
    """An unreadable file is skipped and named, and a license next to it is read."""
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        folder.chmod(0o755)
        (folder / "secret.txt").write_bytes(EXAMPLE)
        (folder / "secret.txt").chmod(0)
        (folder / "x.lic").write_bytes(EXAMPLE)
        before = os.geteuid()
        if before == 0:  # root reads everything
            os.seteuid(65534)
        try:
            assert names(folder) == [str(folder / "x.lic")]
            assert skipped(folder) == {"secret.txt": ("unreadable", "cannot be read")}
        finally:
            os.seteuid(before)


def test_a_large_file_is_read_up_to_the_limit(tmp_path: Path) -> None:
    """One byte more than the format allows is enough to refuse it."""
    (tmp_path / "x.lic").write_bytes(b"a" * 100_000)
    (source,) = read(tmp_path / "x.lic")
    assert len(source.data) == 16_385


def test_stdin_has_a_license_on_each_line(stdin: io.BytesIO) -> None:
    """The output of `cat *.lic` is accepted; blank lines are ignored."""
    stdin.write(b"one\n\ntwo\r\n")
    stdin.seek(0)
    assert [(source.name, source.data) for source in read("-")] == [
        ("-:1", b"one"),
        ("-:3", b"two"),
    ]


def test_an_empty_stdin_is_a_problem(stdin: io.BytesIO) -> None:
    """An empty stdin is a source with its problem."""
    stdin.write(b"\n")
    stdin.seek(0)
    (source,) = read("-")
    assert source.problem is not None
    assert source.problem.message == "stdin is empty"


def test_a_closed_stdin_is_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    """A closed stdin is a source with its problem, not an exception."""
    monkeypatch.setattr(sys, "stdin", None)
    (source,) = read("-")
    assert source.problem is not None
