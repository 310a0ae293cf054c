"""Publication: whole or absent, durable, never over anything."""

import hashlib
import os
import socket
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from polygent_issuer.errors import OutputExists, OutputProblem
from polygent_issuer.files import (
    Prepared,
    prepare,
    publish,
    replace,
    sweep,
    sync_folder,
    write_private,
)


@pytest.fixture(autouse=True)
def _umask() -> Iterator[None]:
    old = os.umask(0o027)
    yield
    os.umask(old)


def mode(path: Path) -> int:
    """Tell the permission bits of a file."""
    return stat.S_IMODE(path.lstat().st_mode)


def names(folder: Path) -> list[str]:
    """List a folder, hidden files too."""
    return sorted(entry.name for entry in folder.iterdir())


def prepared(folder: Path, data: bytes = b"license\n") -> Prepared:
    """Write a temporary file there."""
    return prepare(data, folder, temp_name=".polygent-1.tmp")


def test_prepare_writes_a_private_temporary_file(tmp_path: Path) -> None:
    """Before its name is given, the file is complete, 0600, and under its temporary name."""
    made = prepared(tmp_path)
    assert names(tmp_path) == [".polygent-1.tmp"]
    assert made.temp.read_bytes() == b"license\n"
    assert mode(made.temp) == 0o600


def test_publish_gives_the_name(tmp_path: Path) -> None:
    """Then the name is there, the temporary one gone, and the mode what the umask allows."""
    path = prepared(tmp_path).publish("x.lic")
    assert path == tmp_path / "x.lic"
    assert path.read_bytes() == b"license\n"
    assert names(tmp_path) == ["x.lic"]
    assert mode(path) == 0o640
    assert os.umask(0o027) == 0o027


def test_discard_leaves_nothing(tmp_path: Path) -> None:
    """A proposal that was not committed leaves no file; twice is no error."""
    made = prepared(tmp_path)
    made.discard()
    made.discard()
    assert names(tmp_path) == []


def test_data_is_not_shown() -> None:
    """The bytes may be a key: they occur in no repr."""
    made = Prepared(folder=Path(), temp=Path("t"), data=b"SECRET")
    assert "SECRET" not in repr(made)


def test_same_bytes_count_as_published(tmp_path: Path) -> None:
    """After a crash between link and COMMIT's clearing, publishing again is right."""
    target = tmp_path / "x.lic"
    target.write_bytes(b"license\n")
    assert prepared(tmp_path).publish("x.lic") == target
    assert names(tmp_path) == ["x.lic"]


@pytest.mark.parametrize("there", [b"", b"licens\n", b"license\r", b"license\n\n", b"license"])
def test_other_bytes_are_never_overwritten(tmp_path: Path, there: bytes) -> None:
    """Shorter, longer, different in one byte: refused, and as it was."""
    target = tmp_path / "x.lic"
    target.write_bytes(there)
    with pytest.raises(OutputExists, match="exists already") as caught:
        prepared(tmp_path).publish("x.lic")
    assert caught.value.code == "output_exists"
    assert ("empty" in str(caught.value.hint)) == (there == b"")
    assert str(caught.value.hint).endswith("remove it or name another place for it")
    assert target.read_bytes() == there
    assert names(tmp_path) == ["x.lic"]


@pytest.mark.parametrize("what", ["folder", "link", "dangling", "fifo", "socket"])
def test_what_is_no_plain_file_is_never_replaced(tmp_path: Path, what: str) -> None:
    """A folder, a link (even to the same bytes), a pipe, a socket: refused, not followed."""
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
def test_a_name_is_one_name(tmp_path: Path, name: str) -> None:
    """A name with a path in it, or none, is refused; nothing is left."""
    folder = tmp_path / "out"
    folder.mkdir()
    with pytest.raises(OutputProblem):
        prepared(folder).publish(name)
    assert names(folder) == []
    assert names(tmp_path) == ["out"]


def test_name_of_the_greatest_length(tmp_path: Path) -> None:
    """255 bytes are a name, 256 are not: refused with a hint, and nothing left."""
    assert publish(b"x", tmp_path / ("n" * 255)).exists()
    with pytest.raises(OutputProblem, match="too long") as caught:
        publish(b"x", tmp_path / ("m" * 256))
    assert caught.value.hint == "name a shorter file for it"
    assert names(tmp_path) == ["n" * 255]


def test_missing_folder(tmp_path: Path) -> None:
    """There is nothing to write to; the hint says what to do."""
    with pytest.raises(OutputProblem) as caught:
        publish(b"x", tmp_path / "no" / "x.lic")
    assert caught.value.message == f"cannot write into {tmp_path}/no: no such file or directory"
    assert caught.value.code == "output_failed"
    assert caught.value.hint == "make the folder first"


def test_folder_that_is_a_file(tmp_path: Path) -> None:
    """A file where the folder should be is refused."""
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(OutputProblem, match="not a directory"):
        publish(b"x", tmp_path / "file" / "x.lic")


def test_folder_removed_meanwhile(tmp_path: Path) -> None:
    """Between prepare and publish the folder goes away: our error, no folder made."""
    folder = tmp_path / "out"
    folder.mkdir()
    made = prepared(folder)
    made.temp.unlink()
    folder.rmdir()
    with pytest.raises(OutputProblem, match="no such file"):
        made.publish("x.lic")
    assert names(tmp_path) == []


def test_temporary_file_replaced_by_a_link(tmp_path: Path) -> None:
    """Somebody put a link in the place of our temporary file: its target stays as it is."""
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
    """What has the temporary name is neither followed, overwritten nor removed, nor in the way."""
    temp = tmp_path / ".polygent-1.tmp"
    if there == "link":
        temp.symlink_to(tmp_path / "victim")
    else:
        temp.write_bytes(b"another's")
    assert prepared(tmp_path).publish("x.lic").read_bytes() == b"license\n"
    assert names(tmp_path) == [".polygent-1.tmp", "x.lic"]
    assert there == "link" or temp.read_bytes() == b"another's"


def test_what_crashes_in_containers_left_is_in_nobodys_way(tmp_path: Path) -> None:
    """Where every process has the same id, they all choose the same temporary names."""
    path = tmp_path / "settings.toml"
    digest = hashlib.sha256(path.name.encode()).hexdigest()[:16]
    left = [tmp_path / f".polygent-{digest}-{os.getpid()}{number}.tmp" for number in ("", ".2")]
    for orphan in left:
        orphan.write_bytes(b"half")
        replace(b"whole", path)
        assert path.read_bytes() == b"whole"
    assert [orphan.read_bytes() for orphan in left] == [b"half"] * 2


def test_too_many_of_them_are_an_error(tmp_path: Path) -> None:
    """Something is wrong with a folder that is full of them."""
    (tmp_path / ".polygent-1.tmp").touch()
    for number in range(2, 100):
        (tmp_path / f".polygent-1.{number}.tmp").touch()
    with pytest.raises(OutputProblem, match="exists"):
        prepared(tmp_path)


def test_message_escapes_the_name(tmp_path: Path) -> None:
    """A hostile name cannot steer the terminal from within a message."""
    with pytest.raises(OutputProblem) as caught:
        publish(b"x", tmp_path / "\x1b[31m" / "x")
    assert caught.value.message.isprintable()


def test_private_files_are_private(tmp_path: Path) -> None:
    """A key file is 0600 whatever the umask."""
    os.umask(0)
    path = write_private(b"key", tmp_path / "k.key")
    assert mode(path) == 0o600
    assert path.read_bytes() == b"key"
    assert names(tmp_path) == ["k.key"]


def test_private_files_accept_no_file_that_is_there(tmp_path: Path) -> None:
    """Not even one with the same bytes: others may be able to read it."""
    target = tmp_path / "k.key"
    target.write_bytes(b"key")
    with pytest.raises(OutputExists) as caught:
        write_private(b"key", target)
    assert caught.value.hint == "choose another place: a key file is never written over"
    assert names(tmp_path) == ["k.key"]


def test_replace_puts_new_content_in_place(tmp_path: Path) -> None:
    """Settings: new bytes, wanted mode, no temporary file; also where there was none."""
    path = tmp_path / "settings.toml"
    replace(b"a = 1\n", path)
    assert mode(path) == 0o600
    replace(b"a = 2\n", path, mode=0o644)
    assert path.read_bytes() == b"a = 2\n"
    assert mode(path) == 0o644
    assert names(tmp_path) == ["settings.toml"]


def test_replace_keeps_a_link(tmp_path: Path) -> None:
    """Settings that live elsewhere (a dotfiles folder) stay there."""
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
    """A folder, a loop of links, a missing folder, no name: our error, nothing left."""
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


def test_sweep_removes_orphans_alone(tmp_path: Path) -> None:
    """Plain files with the prefix go; other names, folders and links stay."""
    for name in (".polygent-1.tmp", ".polygent-2.tmp", ".polygon", "x.lic"):
        (tmp_path / name).write_bytes(b"")
    (tmp_path / ".polygent-folder").mkdir()
    (tmp_path / ".polygent-link").symlink_to(tmp_path / "x.lic")
    sweep(tmp_path, ".polygent-")
    assert names(tmp_path) == [".polygent-folder", ".polygent-link", ".polygon", "x.lic"]


def test_sweep_of_a_missing_folder(tmp_path: Path) -> None:
    """No folder, no orphans: nothing is made."""
    sweep(tmp_path / "no", ".polygent-")
    assert names(tmp_path) == []


@pytest.mark.parametrize("prefix", ["", "acme"])
def test_sweep_cannot_empty_a_folder(tmp_path: Path, prefix: str) -> None:
    """A prefix that visible files may have is the caller's mistake."""
    (tmp_path / "acme.lic").write_bytes(b"")
    with pytest.raises(ValueError, match="dot"):
        sweep(tmp_path, prefix)
    assert names(tmp_path) == ["acme.lic"]


def test_sync_of_a_missing_folder(tmp_path: Path) -> None:
    """A folder that is gone cannot be synced: our error."""
    with pytest.raises(OutputProblem, match="no such file"):
        sync_folder(tmp_path / "no")
