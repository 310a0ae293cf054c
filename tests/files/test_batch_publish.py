"""Many files made durable together: whole or absent, never over anything, and told if not."""

import ctypes
import errno
import os
import sys
from pathlib import Path
from typing import Any

import pytest
from support.disks import mounted

from polygent_issuer.errors import OutputExists, OutputProblem
from polygent_issuer.files import Together, publication

PREFIX = ".polygent-test-"
EXT4 = 0xEF53
OVERLAYFS, FUSE, NFS = 0x794C7630, 0x65735546, 0x6969


@pytest.fixture(params=["syncfs", "fsync"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Both ways to make files durable; the second is for systems that lack the first."""
    if request.param == "fsync":
        monkeypatch.setattr(publication, "_syncfs", lambda: None)
    elif publication._syncfs() is None:
        pytest.skip("this system has no syncfs that reports errors")
    else:
        monkeypatch.setattr(publication, "_file_system", lambda _: EXT4)
    return str(request.param)


def names(folder: Path) -> list[str]:
    """List a folder, hidden files too."""
    return sorted(entry.name for entry in folder.iterdir())


def prepared(folder: Path, *wanted: str) -> Together:
    """Files that await their names."""
    staged = Together(folder, PREFIX)
    for name in wanted:
        staged.prepare(name.encode(), name)
    return staged


def calls_of(monkeypatch: pytest.MonkeyPatch, fails_at: int = 0) -> list[int]:
    """Count the calls of fsync, of which one may fail as on a disk that does."""
    genuine = os.fsync
    seen: list[int] = []

    def fsync(descriptor: int) -> None:
        seen.append(descriptor)
        if len(seen) == fails_at:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        genuine(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    return seen


@pytest.mark.usefixtures("way")
def test_each_gets_its_name(tmp_path: Path) -> None:
    """Names come last; nothing else is left, and the mode is that of a file to be mailed."""
    staged = prepared(tmp_path, "a.lic", "b.lic", "c.lic")
    assert len(names(tmp_path)) == 3
    assert all(name.startswith(PREFIX) for name in names(tmp_path))
    staged.sync()
    assert list(staged.publish()) == []
    assert names(tmp_path) == ["a.lic", "b.lic", "c.lic"]
    assert (tmp_path / "b.lic").read_bytes() == b"b.lic"
    umask = os.umask(0)
    os.umask(umask)
    assert (tmp_path / "b.lic").stat().st_mode & 0o777 == 0o666 & ~umask


def test_two_syncs_for_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str) -> None:
    """Where the system has syncfs; elsewhere one for each file and one for their folder."""
    seen = calls_of(monkeypatch)
    staged = prepared(tmp_path, "a.lic", "b.lic", "c.lic")
    assert seen == []
    staged.sync()
    assert len(seen) == (0 if way == "syncfs" else 3)
    list(staged.publish())
    assert len(seen) == (1 if way == "syncfs" else 4)


@pytest.mark.usefixtures("way")
def test_a_taken_name_leaves_the_others(tmp_path: Path) -> None:
    """Nothing is overwritten; the same bytes count as published."""
    (tmp_path / "a.lic").write_bytes(b"mine")
    (tmp_path / "b.lic").write_bytes(b"b.lic")
    staged = prepared(tmp_path, "a.lic", "b.lic", "c.lic")
    staged.sync()
    [unpublished] = staged.publish()
    assert unpublished.name == "a.lic"
    assert isinstance(unpublished.problem, OutputExists)
    assert (tmp_path / "a.lic").read_bytes() == b"mine"
    assert names(tmp_path) == ["a.lic", "b.lic", "c.lic"]


@pytest.mark.usefixtures("way")
def test_a_temporary_file_that_somebody_swept(tmp_path: Path) -> None:
    """Another command may: that file is told of, the others get their names."""
    staged = prepared(tmp_path, "a.lic", "b.lic")
    staged.sync()
    (tmp_path / names(tmp_path)[0]).unlink()
    [unpublished] = staged.publish()
    assert unpublished.name == "a.lic"
    assert names(tmp_path) == ["b.lic"]


@pytest.mark.usefixtures("way")
def test_what_is_discarded_leaves_nothing(tmp_path: Path) -> None:
    """Before or after the sync; afterwards there is nothing to be published."""
    staged = prepared(tmp_path, "a.lic", "b.lic")
    staged.sync()
    staged.discard()
    assert names(tmp_path) == []
    assert list(staged.publish()) == []


@pytest.mark.usefixtures("way")
def test_none_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No file, no sync: a group of items that are kept costs nothing."""
    seen = calls_of(monkeypatch)
    staged = Together(tmp_path, PREFIX)
    staged.sync()
    assert list(staged.publish()) == []
    assert seen == []


def test_a_disk_that_fails_by_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """At one file of several: none counts."""
    monkeypatch.setattr(publication, "_syncfs", lambda: None)
    calls_of(monkeypatch, fails_at=2)
    staged = prepared(tmp_path, "a.lic", "b.lic", "c.lic")
    with pytest.raises(OutputProblem, match="input/output error") as caught:
        staged.sync()
    assert "disk" in (caught.value.hint or "")
    staged.discard()
    assert names(tmp_path) == []


def test_a_file_system_that_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What syncfs(2) reports is ours to say."""

    def fails(_: int) -> int:
        ctypes.set_errno(errno.ENOSPC)
        return -1

    monkeypatch.setattr(publication, "_syncfs", lambda: fails)
    monkeypatch.setattr(publication, "_file_system", lambda _: EXT4)
    staged = prepared(tmp_path, "a.lic")
    with pytest.raises(OutputProblem, match="no space left"):
        staged.sync()
    staged.discard()
    assert names(tmp_path) == []


@pytest.mark.usefixtures("way")
def test_a_folder_that_cannot_be_synced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The names may not last, and so nobody is told that they do; the files are whole."""
    staged = prepared(tmp_path, "a.lic", "b.lic")
    staged.sync()
    calls_of(monkeypatch, fails_at=1)
    with pytest.raises(OutputProblem):
        list(staged.publish())
    assert names(tmp_path) == ["a.lic", "b.lic"]


@pytest.mark.parametrize("release", ["5.7.19", "4.19.0-21", "unknown"])
def test_an_old_kernel_is_not_believed(monkeypatch: pytest.MonkeyPatch, release: str) -> None:
    """Before 5.8 syncfs(2) forgot a failed write, so each file is synced by itself."""
    publication._syncfs.cache_clear()
    genuine = os.uname()

    class Old:
        """What an old system says of itself."""

    told: Any = Old()
    told.release = release
    monkeypatch.setattr(os, "uname", lambda: told)
    try:
        assert publication._syncfs() is None
    finally:
        monkeypatch.undo()
        publication._syncfs.cache_clear()
    assert os.uname() == genuine


@pytest.mark.parametrize("found", [OVERLAYFS, FUSE, NFS, None])
def test_a_file_system_that_nobody_knows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, found: int | None
) -> None:
    """Its syncfs(2) may succeed though a write failed, so each file is synced by itself."""

    def succeeds(_: int) -> int:
        return 0

    monkeypatch.setattr(publication, "_syncfs", lambda: succeeds)
    monkeypatch.setattr(publication, "_file_system", lambda _: found)
    seen = calls_of(monkeypatch)
    staged = prepared(tmp_path, "a.lic", "b.lic")
    staged.sync()
    assert len(seen) == 2
    assert list(staged.publish()) == []


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no syncfs")
def test_a_file_system_is_known_by_its_number(tmp_path: Path) -> None:
    """As statfs(2) tells it: of memory, and of processes."""
    with mounted(tmp_path / "disk", size="64k") as disk:
        for folder, number in ((disk, 0x01021994), (Path("/proc"), 0x9FA0)):
            descriptor = os.open(folder, os.O_RDONLY)
            assert publication._file_system(descriptor) == number
            os.close(descriptor)


def test_no_folder(tmp_path: Path) -> None:
    """It is named, with what makes it."""
    with pytest.raises(OutputProblem) as caught:
        prepared(tmp_path / "none", "a.lic")
    assert caught.value.hint == "make the folder first"


@pytest.mark.power
@pytest.mark.usefixtures("way")
def test_a_full_disk(tmp_path: Path) -> None:
    """Our error at the file that does not fit; all the room is given back."""
    with mounted(tmp_path / "disk", size="64k") as disk:
        staged = Together(disk, PREFIX)
        staged.prepare(b"x" * 40_000, "a.lic")
        with pytest.raises(OutputProblem, match="no space left"):
            staged.prepare(b"x" * 40_000, "b.lic")
        staged.discard()
        assert names(disk) == []
