"""Publication: atomic, durable, without overwriting anything."""

import ctypes
import errno
import hashlib
import os
import socket
import stat
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.disks import mounted

from polygent_issuer.errors import OutputExists, OutputProblem
from polygent_issuer.files import publication
from polygent_issuer.files.disk import sweep, sync_folder
from polygent_issuer.files.publication import (
    BatchPublication,
    Prepared,
    prepare,
    publish,
    replace,
    write_private,
)


@pytest.fixture(autouse=True)
def _umask() -> Iterator[None]:
    old = os.umask(0o027)
    yield
    os.umask(old)


def mode(path: Path) -> int:
    """Return the permission bits of a file."""
    return stat.S_IMODE(path.lstat().st_mode)


def names(folder: Path) -> list[str]:
    """List a folder, hidden files too."""
    return sorted(entry.name for entry in folder.iterdir())


def prepared(folder: Path, data: bytes = b"license\n") -> Prepared:
    """Write a temporary file into the folder."""
    return prepare(data, folder, temp_name=".polygent-1.tmp")


def test_prepare_writes_a_private_temporary_file(tmp_path: Path) -> None:
    """`prepare` writes the complete file with mode 0600 under its temporary name."""
    made = prepared(tmp_path)
    assert names(tmp_path) == [".polygent-1.tmp"]
    assert made.temp.read_bytes() == b"license\n"
    assert mode(made.temp) == 0o600


def test_publish_gives_the_name(tmp_path: Path) -> None:
    """`publish` replaces the temporary name, and sets the mode that the umask allows."""
    path = prepared(tmp_path).publish("x.lic")
    assert path == tmp_path / "x.lic"
    assert path.read_bytes() == b"license\n"
    assert names(tmp_path) == ["x.lic"]
    assert mode(path) == 0o640
    assert os.umask(0o027) == 0o027


def test_discard_leaves_nothing(tmp_path: Path) -> None:
    """`discard` removes the temporary file; a second call does nothing."""
    made = prepared(tmp_path)
    made.discard()
    made.discard()
    assert names(tmp_path) == []


def test_data_is_not_shown() -> None:
    """The repr does not contain the bytes, which may be a key."""
    made = Prepared(temp=Path("t"), data=b"SECRET")
    assert "SECRET" not in repr(made)


def test_same_bytes_count_as_published(tmp_path: Path) -> None:
    """A file with the same bytes counts as published, as after a crash before the outbox clears."""
    target = tmp_path / "x.lic"
    target.write_bytes(b"license\n")
    assert prepared(tmp_path).publish("x.lic") == target
    assert names(tmp_path) == ["x.lic"]


@pytest.mark.parametrize("there", [b"", b"licens\n", b"license\r", b"license\n\n", b"license"])
def test_other_bytes_are_never_overwritten(tmp_path: Path, there: bytes) -> None:
    """An existing file with other bytes is refused and not changed."""
    target = tmp_path / "x.lic"
    target.write_bytes(there)
    with pytest.raises(OutputExists, match="already exists") as caught:
        prepared(tmp_path).publish("x.lic")
    assert caught.value.code == "output_exists"
    assert ("empty" in str(caught.value.hint)) == (there == b"")
    assert str(caught.value.hint).endswith("remove it or choose another path")
    assert target.read_bytes() == there
    assert names(tmp_path) == ["x.lic"]


@pytest.mark.parametrize("what", ["folder", "link", "dangling", "fifo", "socket"])
def test_a_special_file_is_never_replaced(tmp_path: Path, what: str) -> None:
    """A folder, a link (also to the same bytes), a pipe and a socket are refused."""
    target = tmp_path / "x.lic"
    elsewhere = tmp_path / "elsewhere"
    if what == "folder":
        target.mkdir()
    elif what == "fifo":
        os.mkfifo(target)
    elif what == "socket":
        with socket.socket(socket.AF_UNIX) as bound:
            bound.bind(str(target))
    else:
        target.symlink_to(elsewhere)
        if what == "link":
            elsewhere.write_bytes(b"license\n")
    before = target.lstat()
    with pytest.raises(OutputExists):
        prepared(tmp_path).publish("x.lic")
    assert target.lstat().st_ino == before.st_ino
    assert elsewhere.exists() == (what == "link")
    assert not (tmp_path / ".polygent-1.tmp").exists()


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "../x", "/x", "a\0b"])
def test_a_name_must_be_a_file_name(tmp_path: Path, name: str) -> None:
    """A path, an empty name and a NUL are refused; nothing is left."""
    folder = tmp_path / "out"
    folder.mkdir()
    with pytest.raises(OutputProblem):
        prepared(folder).publish(name)
    assert names(folder) == []
    assert names(tmp_path) == ["out"]


def test_name_of_the_greatest_length(tmp_path: Path) -> None:
    """A name of 255 bytes is accepted, one of 256 bytes refused with a hint."""
    assert publish(b"x", tmp_path / ("n" * 255)).exists()
    with pytest.raises(OutputProblem, match="too long") as caught:
        publish(b"x", tmp_path / ("m" * 256))
    assert caught.value.hint == "choose a shorter file name"
    assert names(tmp_path) == ["n" * 255]


def test_missing_folder(tmp_path: Path) -> None:
    """A missing folder is an error with a hint."""
    with pytest.raises(OutputProblem) as caught:
        publish(b"x", tmp_path / "no" / "x.lic")
    assert caught.value.message == f"cannot write into {tmp_path}/no: no such file or directory"
    assert caught.value.code == "output_failed"
    assert caught.value.hint == "create the folder first"


def test_folder_that_is_a_file(tmp_path: Path) -> None:
    """A file in the place of the folder is refused."""
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(OutputProblem, match="not a directory"):
        publish(b"x", tmp_path / "file" / "x.lic")


def test_folder_removed_meanwhile(tmp_path: Path) -> None:
    """If the folder is removed between prepare and publish, an error is raised."""
    folder = tmp_path / "out"
    folder.mkdir()
    made = prepared(folder)
    made.temp.unlink()
    folder.rmdir()
    with pytest.raises(OutputProblem, match="no such file"):
        made.publish("x.lic")
    assert names(tmp_path) == []


def test_temporary_file_replaced_by_a_link(tmp_path: Path) -> None:
    """If a link replaces the temporary file, its target is not changed."""
    victim = tmp_path / "victim"
    victim.write_bytes(b"v")
    victim.chmod(0o600)
    made = prepared(tmp_path)
    made.temp.unlink()
    made.temp.symlink_to(victim)
    with pytest.raises(OutputProblem):
        made.publish("x.lic")
    assert mode(victim) == 0o600
    assert names(tmp_path) == ["victim"]


@pytest.mark.parametrize("there", ["file", "link"])
def test_temporary_name_that_is_taken(tmp_path: Path, there: str) -> None:
    """A file or link with the temporary name is not changed, and another name is used."""
    temp = tmp_path / ".polygent-1.tmp"
    if there == "link":
        temp.symlink_to(tmp_path / "victim")
    else:
        temp.write_bytes(b"another's")
    assert prepared(tmp_path).publish("x.lic").read_bytes() == b"license\n"
    assert names(tmp_path) == [".polygent-1.tmp", "x.lic"]
    assert there == "link" or temp.read_bytes() == b"another's"


def test_temporary_files_of_crashes_in_containers_do_no_harm(tmp_path: Path) -> None:
    """Temporary files of crashed processes with the same id do not stop the next one."""
    path = tmp_path / "settings.toml"
    digest = hashlib.sha256(path.name.encode()).hexdigest()[:16]
    left = [tmp_path / f".polygent-{digest}-{os.getpid()}{number}.tmp" for number in ("", ".2")]
    for orphan in left:
        orphan.write_bytes(b"half")
        replace(b"whole", path)
        assert path.read_bytes() == b"whole"
    assert [orphan.read_bytes() for orphan in left] == [b"half"] * 2


def test_too_many_temporary_files_are_an_error(tmp_path: Path) -> None:
    """A folder with 100 temporary files of the same name is an error."""
    (tmp_path / ".polygent-1.tmp").touch()
    for number in range(2, 100):
        (tmp_path / f".polygent-1.{number}.tmp").touch()
    with pytest.raises(OutputProblem, match="exists"):
        prepared(tmp_path)


def test_message_escapes_the_name(tmp_path: Path) -> None:
    """A message contains no raw control character of a name."""
    with pytest.raises(OutputProblem) as caught:
        publish(b"x", tmp_path / "\x1b[31m" / "x")
    assert caught.value.message.isprintable()


def test_private_files_are_private(tmp_path: Path) -> None:
    """A key file has mode 0600 under any umask."""
    os.umask(0)
    path = write_private(b"key", tmp_path / "k.key")
    assert mode(path) == 0o600
    assert path.read_bytes() == b"key"
    assert names(tmp_path) == ["k.key"]


def test_a_private_file_never_counts_as_published(tmp_path: Path) -> None:
    """An existing file with the same bytes is refused, because others may be able to read it."""
    target = tmp_path / "k.key"
    target.write_bytes(b"key")
    with pytest.raises(OutputExists) as caught:
        write_private(b"key", target)
    assert caught.value.hint == "choose another path; key files are never overwritten"
    assert names(tmp_path) == ["k.key"]


def test_replace_puts_new_content_in_place(tmp_path: Path) -> None:
    """`replace` writes new content with the given mode, also for a missing file."""
    path = tmp_path / "settings.toml"
    replace(b"a = 1\n", path)
    assert mode(path) == 0o600
    replace(b"a = 2\n", path, mode=0o644)
    assert path.read_bytes() == b"a = 2\n"
    assert mode(path) == 0o644
    assert names(tmp_path) == ["settings.toml"]


def test_replace_keeps_a_link(tmp_path: Path) -> None:
    """`replace` keeps a link and replaces its target."""
    real = tmp_path / "dotfiles" / "real.toml"
    real.parent.mkdir()
    real.write_bytes(b"old")
    link = tmp_path / "settings.toml"
    link.symlink_to(real)
    replace(b"new", link)
    assert link.is_symlink()
    assert real.read_bytes() == b"new"
    assert names(real.parent) == ["real.toml"]


@pytest.mark.parametrize("what", ["folder", "loop", "missing", "nul"])
def test_replace_refuses(tmp_path: Path, what: str) -> None:
    """A folder, a loop of links, a missing folder and a NUL are refused; nothing is left."""
    path = tmp_path / "settings.toml"
    if what == "folder":
        (path / "full").mkdir(parents=True)
    elif what == "loop":
        path.symlink_to(path)
    elif what == "missing":
        path = tmp_path / "no" / "settings.toml"
    else:
        path = tmp_path / "a\0b"
    before = names(tmp_path)
    with pytest.raises(OutputProblem):
        replace(b"new", path)
    assert names(tmp_path) == before


def test_sweep_removes_temporary_files_only(tmp_path: Path) -> None:
    """Regular files with the prefix are removed; other names, folders and links stay."""
    for name in (".polygent-1.tmp", ".polygent-2.tmp", ".polygon", "x.lic"):
        (tmp_path / name).write_bytes(b"")
    (tmp_path / ".polygent-folder").mkdir()
    (tmp_path / ".polygent-link").symlink_to(tmp_path / "x.lic")
    sweep(tmp_path, ".polygent-")
    assert names(tmp_path) == [".polygent-folder", ".polygent-link", ".polygon", "x.lic"]


def test_sweep_of_a_missing_folder(tmp_path: Path) -> None:
    """The sweep of a missing folder does nothing."""
    sweep(tmp_path / "no", ".polygent-")
    assert names(tmp_path) == []


@pytest.mark.parametrize("prefix", ["", "acme"])
def test_sweep_cannot_empty_a_folder(tmp_path: Path, prefix: str) -> None:
    """A prefix without a dot is refused, because visible files could have it."""
    (tmp_path / "acme.lic").write_bytes(b"")
    with pytest.raises(ValueError, match="dot"):
        sweep(tmp_path, prefix)
    assert names(tmp_path) == ["acme.lic"]


def test_sync_of_a_missing_folder(tmp_path: Path) -> None:
    """The sync of a missing folder is `output_failed`."""
    with pytest.raises(OutputProblem, match="no such file"):
        sync_folder(tmp_path / "no")


PREFIX = ".polygent-test-"
EXT4 = 0xEF53
OVERLAYFS, FUSE, NFS = 0x794C7630, 0x65735546, 0x6969


@pytest.fixture(params=["syncfs", "fsync"])
def way(
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
    unhurried: None,  # noqa: ARG001 - the real calls
) -> str:
    """Both ways to sync files; the second is for systems without the first."""
    if request.param == "fsync":
        monkeypatch.setattr(publication, "_syncfs", lambda: None)
    elif publication._syncfs() is None:
        pytest.skip("this system has no syncfs that reports errors")
    else:
        monkeypatch.setattr(publication, "_file_system", lambda _: EXT4)
    return str(request.param)


def together(folder: Path, *final_names: str) -> BatchPublication:
    """Prepare files with these names."""
    staged = BatchPublication(folder, PREFIX)
    for name in final_names:
        staged.prepare(name.encode(), name)
    return staged


def calls_of(monkeypatch: pytest.MonkeyPatch, fails_at: int = 0) -> list[int]:
    """Record the calls of fsync; one of them may fail."""
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
def test_each_file_gets_its_name(tmp_path: Path) -> None:
    """Files get their names last, with the mode of an ordinary file; nothing else is left."""
    staged = together(tmp_path, "a.lic", "b.lic", "c.lic")
    assert len(names(tmp_path)) == 3
    assert all(name.startswith(PREFIX) for name in names(tmp_path))
    staged.sync()
    assert staged.publish() == {}
    assert names(tmp_path) == ["a.lic", "b.lic", "c.lic"]
    assert (tmp_path / "b.lic").read_bytes() == b"b.lic"
    umask = os.umask(0)
    os.umask(umask)
    assert (tmp_path / "b.lic").stat().st_mode & 0o777 == 0o666 & ~umask


def test_two_syncs_for_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str) -> None:
    """With syncfs two syncs are enough; otherwise each file and the folder are synced."""
    seen = calls_of(monkeypatch)
    staged = together(tmp_path, "a.lic", "b.lic", "c.lic")
    assert seen == []
    staged.sync()
    assert len(seen) == (0 if way == "syncfs" else 3)
    staged.publish()
    assert len(seen) == (1 if way == "syncfs" else 4)


@pytest.mark.usefixtures("way")
def test_a_taken_name_leaves_the_others(tmp_path: Path) -> None:
    """A taken name is an error of that file only; the same bytes count as published."""
    (tmp_path / "a.lic").write_bytes(b"mine")
    (tmp_path / "b.lic").write_bytes(b"b.lic")
    staged = together(tmp_path, "a.lic", "b.lic", "c.lic")
    staged.sync()
    unpublished = staged.publish()
    assert list(unpublished) == ["a.lic"]
    assert isinstance(unpublished["a.lic"], OutputExists)
    assert (tmp_path / "a.lic").read_bytes() == b"mine"
    assert names(tmp_path) == ["a.lic", "b.lic", "c.lic"]


@pytest.mark.usefixtures("way")
def test_a_temporary_file_that_another_command_swept(tmp_path: Path) -> None:
    """A missing temporary file is an error of that file; the others get their names."""
    staged = together(tmp_path, "a.lic", "b.lic")
    staged.sync()
    (tmp_path / names(tmp_path)[0]).unlink()
    assert list(staged.publish()) == ["a.lic"]
    assert names(tmp_path) == ["b.lic"]


@pytest.mark.usefixtures("way")
def test_discarded_files_leave_nothing(tmp_path: Path) -> None:
    """`discard` removes all files, and `publish` does nothing after it."""
    staged = together(tmp_path, "a.lic", "b.lic")
    staged.sync()
    staged.discard()
    assert names(tmp_path) == []
    assert staged.publish() == {}


@pytest.mark.usefixtures("way")
def test_no_file_needs_no_sync(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a prepared file nothing is synced."""
    seen = calls_of(monkeypatch)
    staged = BatchPublication(tmp_path, PREFIX)
    staged.sync()
    assert staged.publish() == {}
    assert seen == []


def test_a_failed_sync_of_one_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If the sync of one file fails, an error is raised for all."""
    monkeypatch.setattr(publication, "_syncfs", lambda: None)
    calls_of(monkeypatch, fails_at=2)
    staged = together(tmp_path, "a.lic", "b.lic", "c.lic")
    with pytest.raises(OutputProblem, match="input/output error") as caught:
        staged.sync()
    assert "disk" in (caught.value.hint or "")
    staged.discard()
    assert names(tmp_path) == []


@pytest.mark.usefixtures("unhurried")
def test_a_failed_sync_of_the_file_system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An error of syncfs(2) is `output_failed`."""

    def fails(_: int) -> int:
        ctypes.set_errno(errno.ENOSPC)
        return -1

    monkeypatch.setattr(publication, "_syncfs", lambda: fails)
    monkeypatch.setattr(publication, "_file_system", lambda _: EXT4)
    staged = together(tmp_path, "a.lic")
    with pytest.raises(OutputProblem, match="no space left"):
        staged.sync()
    staged.discard()
    assert names(tmp_path) == []


@pytest.mark.usefixtures("way")
def test_a_folder_that_cannot_be_synced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If the folder cannot be synced, an error is raised; the files are complete."""
    staged = together(tmp_path, "a.lic", "b.lic")
    staged.sync()
    calls_of(monkeypatch, fails_at=1)
    with pytest.raises(OutputProblem):
        staged.publish()
    assert names(tmp_path) == ["a.lic", "b.lic"]


@pytest.mark.parametrize("release", ["5.7.19", "4.19.0-21", "unknown"])
def test_syncfs_of_an_old_kernel_is_not_used(monkeypatch: pytest.MonkeyPatch, release: str) -> None:
    """Before Linux 5.8 syncfs(2) did not report failed writes, so each file is synced."""
    publication._syncfs.cache_clear()
    genuine = os.uname()

    class Uname:
        """The system information of an old kernel."""

    old: Any = Uname()
    old.release = release
    monkeypatch.setattr(os, "uname", lambda: old)
    try:
        assert publication._syncfs() is None
    finally:
        monkeypatch.undo()
        publication._syncfs.cache_clear()
    assert os.uname() == genuine


@pytest.mark.parametrize("number", [OVERLAYFS, FUSE, NFS, None])
def test_syncfs_of_an_unknown_file_system_is_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int | None
) -> None:
    """On other file systems syncfs(2) may succeed after a failed write, so each file is synced."""

    def succeeds(_: int) -> int:
        return 0

    monkeypatch.setattr(publication, "_syncfs", lambda: succeeds)
    monkeypatch.setattr(publication, "_file_system", lambda _: number)
    seen = calls_of(monkeypatch)
    staged = together(tmp_path, "a.lic", "b.lic")
    staged.sync()
    assert len(seen) == 2
    assert staged.publish() == {}


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no syncfs")
def test_the_number_of_a_file_system(tmp_path: Path) -> None:
    """`_file_system` returns the magic number of statfs(2), here of tmpfs and proc."""
    with mounted(tmp_path / "disk", size="64k") as disk:
        for folder, number in ((disk, 0x01021994), (Path("/proc"), 0x9FA0)):
            descriptor = os.open(folder, os.O_RDONLY)
            assert publication._file_system(descriptor) == number
            os.close(descriptor)


def test_no_folder(tmp_path: Path) -> None:
    """A missing folder is an error with a hint."""
    with pytest.raises(OutputProblem) as caught:
        together(tmp_path / "none", "a.lic")
    assert caught.value.hint == "create the folder first"


@pytest.mark.power
@pytest.mark.usefixtures("way")
def test_a_full_disk(tmp_path: Path) -> None:
    """A file that does not fit is an error, and `discard` releases the space."""
    with mounted(tmp_path / "disk", size="64k") as disk:
        staged = BatchPublication(disk, PREFIX)
        staged.prepare(b"x" * 40_000, "a.lic")
        with pytest.raises(OutputProblem, match="no space left"):
            staged.prepare(b"x" * 40_000, "b.lic")
        staged.discard()
        assert names(disk) == []
