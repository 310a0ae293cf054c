"""Checks of the home: its folder, its file system, its permissions."""

import os
import subprocess
import sys
import tempfile
from datetime import timedelta
from pathlib import Path, PurePosixPath

import pytest
from support.cli import NOW, Desk
from support.doctor_rows import as_nobody, fix, look, mounted, row, state
from support.licenses import Books

from polygent_issuer.doctor import State, home_checks
from polygent_issuer.doctor.context import NotChecked
from polygent_issuer.doctor.home_checks import local_disk, mount_of, read_mountinfo


def test_the_home_has_its_path_and_its_source(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """The source is the option, the variable or the default."""
    assert look(desk, "home")["message"] == f"{desk.home} (from --home)"
    from polygent_issuer.doctor import examine  # noqa: PLC0415

    result = examine(None, {"POLYGENT_ISSUER_HOME": str(desk.home)}, now=NOW)
    (home,) = (row for row in result.rows if row.name == "home")
    assert home.message == f"{desk.home} (from POLYGENT_ISSUER_HOME)"
    monkeypatch.setenv("XDG_DATA_HOME", str(desk.folder))
    desk.home.rename(desk.folder / "polygent-issuer")
    (home,) = (row for row in examine(None, {}, now=NOW).rows if row.name == "home")
    assert home.message == f"{desk.folder / 'polygent-issuer'} (from the default)"


def test_a_private_home_is_ok(desk: Desk) -> None:
    """A home that `init` created is ok."""
    assert state(desk, "home-rights") == "ok"


@pytest.mark.parametrize("mode", [0o750, 0o705])
def test_a_home_that_others_can_enter_is_a_warning(desk: Desk, mode: int) -> None:
    """The printed command fixes the permissions."""
    desk.home.chmod(mode)
    result = look(desk, "home-rights")
    assert result["state"] == "warn"
    assert "other users can read" in result["message"]
    assert "chmod" not in result["message"]
    fix(desk, "home-rights")
    assert state(desk, "home-rights") == "ok"


def test_a_world_writable_home_is_not_read(desk: Desk) -> None:
    """Its files may be another user's, so only the folder is checked."""
    desk.home.chmod(0o777)
    outcome = desk.run("doctor", "--json")
    assert outcome.code == 7
    assert row(outcome, "home")["state"] == "ok"
    assert row(outcome, "home-disk")["state"] == "ok"
    rights = row(outcome, "home-rights")
    assert rights["state"] == "fail"
    assert rights["mend"].startswith(f"chmod o-w {desk.home}, then look for changes: ")
    for name in ("settings", "registry", "key", "free-space"):
        assert row(outcome, name)["state"] == "not_checked"
        assert row(outcome, name)["message"] == "not checked: the home is not safe to read"


def test_a_home_of_another_user_is_not_read(desk: Desk) -> None:
    """The exit code is 7, and no file in it is read."""
    if os.geteuid() != 0:
        pytest.skip("needs root, to give a folder away")
    os.chown(desk.home, 65534, 65534)
    outcome = desk.run("doctor", "--json")
    assert outcome.code == 7
    assert "belongs to another user (uid 65534" in row(outcome, "home-rights")["message"]
    assert row(outcome, "settings")["state"] == "not_checked"


def test_a_file_instead_of_the_home_is_a_failure(tmp_path: Path) -> None:
    """The machine itself is still checked."""
    desk = Desk(tmp_path)
    desk.home.write_text("no folder")
    outcome = desk.run("doctor", "--json")
    assert outcome.code == 7
    assert "is not a folder" in row(outcome, "home")["message"]
    assert row(outcome, "sqlite")["state"] == "ok"


def test_a_home_without_write_permission_is_a_failure(desk: Desk) -> None:
    """The printed command fixes it."""
    desk.run("doctor")  # all that it imports, before the rights are gone
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        theirs = desk.copy_to(Path(name) / "desk")
        with as_nobody(theirs.folder):
            theirs.home.chmod(0o500)
            outcome = theirs.run("doctor", "--json")
            assert outcome.code == 7
            rights = row(outcome, "home-rights")
            assert rights["state"] == "fail"
            assert rights["message"] == f"no permission to write to the home {theirs.home}"
            fix(theirs, "home-rights")
            assert state(theirs, "home-rights") == "ok"


def test_a_home_on_a_read_only_disk_is_a_failure(desk: Desk, tmp_path: Path) -> None:
    """The fix is not a chmod, which would not help."""
    with mounted(tmp_path / "disk") as disk:
        theirs = desk.copy_to(disk / "desk")
        subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
        outcome = theirs.run("doctor", "--json")
    assert outcome.code == 7
    rights = row(outcome, "home-rights")
    assert rights["message"].endswith("is mounted read-only")
    assert rights["mend"] == "mount the disk writable"
    assert row(outcome, "registry")["state"] == "ok"


@pytest.mark.sqlite("about the file")
def test_readable_files_of_the_home_are_a_warning(desk: Desk) -> None:
    """Both files are named, and one command fixes them."""
    for name in ("registry.db", "settings.toml"):
        (desk.home / name).chmod(0o644)
    result = look(desk, "home-files")
    assert result["state"] == "warn"
    assert result["message"] == "other users may read or write registry.db, settings.toml"
    fix(desk, "home-files")
    assert look(desk, "home-files") == {
        "name": "home-files",
        "state": "ok",
        "message": "not accessible to other users: registry.db, settings.toml",
        "mend": None,
    }


def test_a_readable_key_file_is_a_warning(books: Books) -> None:
    """A path with a space is quoted in the fix."""
    folder = books.desk.folder / "my keys"
    folder.mkdir()
    key = folder / "main.key"
    key.write_text("x")
    key.chmod(0o444)
    books.desk.ok("config", "set", f"stores.{books.signer.kid}", f"file:{key}")
    result = look(books.desk, "key-files")
    assert result["state"] == "warn"
    assert result["mend"] == f"chmod 600 '{key}'"
    fix(books.desk, "key-files")
    assert look(books.desk, "key-files")["message"] == "not accessible to other users: main.key"


def test_without_key_files_the_row_is_ok(desk: Desk) -> None:
    """Keys in a keyring have no file modes."""
    assert look(desk, "key-files")["message"] == "no files to check"


def test_temporary_files_of_crashes_are_found_and_removed(desk: Desk) -> None:
    """Home and output folder are searched; a young file may belong to a running command."""
    old = (NOW - timedelta(hours=2)).timestamp()
    young = (NOW - timedelta(minutes=5)).timestamp()
    for folder, name, moment in (
        (desk.home, ".polygent-0011223344556677-99.tmp", old),
        (desk.output, ".polygent-5f0c6f0e-1.tmp", old),
        (desk.output, ".polygent-5f0c6f0e-2.tmp", young),
        (desk.output, "polygent.tmp", old),
    ):
        (folder / name).write_text("x")
        os.utime(folder / name, (moment, moment))
    result = look(desk, "leftovers")
    assert result["state"] == "warn"
    assert result["message"] == "interrupted commands left 2 temporary files"
    fix(desk, "leftovers")
    assert look(desk, "leftovers")["message"] == "no temporary files left over"
    assert sorted(path.name for path in desk.output.iterdir()) == [
        ".polygent-5f0c6f0e-2.tmp",
        "polygent.tmp",
    ]


def test_a_disk_that_is_nearly_full_is_a_warning(
    desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The disk with the least free space is reported, of the home or the output folder."""
    assert state(desk, "free-space") == "ok"
    with mounted(tmp_path / "disk") as disk:
        desk.ok("config", "set", "output", str(disk))
        result = look(desk, "free-space")
        assert result["state"] == "warn"
        assert result["message"] == f"only 1 MiB free on the disk of {disk}"
        monkeypatch.setattr(home_checks, "LITTLE", 1000)
        assert home_checks.free_space([disk]).state is State.OK


# Recorded on several machines; addresses are those of RFC 5737.
RECORDED = r"""
22 27 0:21 / /proc rw,relatime - proc proc rw
27 1 254:1 / / rw,relatime shared:1 - ext4 /dev/vda1 rw,discard,errors=remount-ro
42 41 254:2 / /home/ada/local rw,relatime shared:21 master:3 - btrfs /dev/vdb rw,space_cache=v2
41 27 0:36 / /home rw,relatime shared:20 - nfs4 192.0.2.7:/export/home rw,vers=4.2,hard
43 27 0:37 / /mnt/my\040share rw,relatime - cifs //192.0.2.8/my\040share rw,vers=3.1.1
44 27 0:38 / /mnt/c rw,noatime - 9p drvfs rw,dirsync,aname=drvfs;path=C:\134
45 27 0:39 / /mnt/ssh rw,nosuid,nodev,relatime - fuse.sshfs ada@192.0.2.9: rw,user_id=1000
46 27 0:40 / /mnt/ntfs rw,relatime - fuseblk /dev/sdb1 rw,user_id=0
47 27 0:41 / /mnt/vault rw,relatime - fuse.gocryptfs /home/ada/cipher rw,user_id=1000
48 27 0:42 / /containers rw,relatime - fuse.fuse-overlayfs fuse-overlayfs rw,user_id=0
49 27 0:43 / /afs rw,relatime - afs none rw
50 27 0:44 / /ceph rw,relatime - ceph 192.0.2.10:6789:/ rw,name=admin
51 27 0:45 / /gluster rw,relatime - fuse.glusterfs gluster:/vol rw,user_id=0
52 27 0:46 / /virtual rw,relatime - virtiofs share rw
53 27 0:47 / /twice rw,relatime - nfs 192.0.2.7:/twice rw
54 53 0:48 / /twice rw,relatime - tmpfs tmpfs rw
55 27 0:49 / /layers rw,relatime - overlay overlay rw,lowerdir=/a:/b,upperdir=/c,workdir=/d
this line - has no mount
"""


@pytest.mark.parametrize(
    ("path", "kind", "shared"),
    [
        ("/var/lib/polygent", "ext4", False),
        ("/", "ext4", False),
        ("/homeland", "ext4", False),
        ("/home", "nfs4", True),
        ("/home/ada/.local/share/polygent-issuer", "nfs4", True),
        ("/home/ada/local/polygent", "btrfs", False),
        ("/mnt/my share/polygent", "cifs", True),
        ("/mnt/c/Users", "9p", True),
        ("/mnt/ssh/x", "fuse.sshfs", True),
        ("/mnt/ntfs/x", "fuseblk", False),
        ("/mnt/vault/x", "fuse.gocryptfs", False),
        ("/containers/x", "fuse.fuse-overlayfs", False),
        ("/afs/cell", "afs", True),
        ("/ceph/x", "ceph", True),
        ("/gluster/x", "fuse.glusterfs", True),
        ("/virtual/x", "virtiofs", True),
        ("/twice/x", "tmpfs", False),
        ("/layers/x", "overlay", False),
    ],
)
def test_the_longest_mount_point_is_used(path: str, kind: str, shared: bool) -> None:  # noqa: FBT001
    """Whole names are compared; of two mounts on one folder the later counts."""
    mount = mount_of(PurePosixPath(path), RECORDED)
    assert mount is not None
    assert (mount.kind, mount.is_shared) == (kind, shared)


def test_a_shared_disk_is_a_warning_that_names_it(tmp_path: Path) -> None:
    """The warning has the type, the mount point, the source and the fix."""
    text = f"27 1 0:36 / {tmp_path} rw - nfs4 192.0.2.7:/x rw\n"
    verdict = local_disk(tmp_path, text)
    assert verdict.state is State.WARN
    assert f"nfs4 at {tmp_path} (192.0.2.7:/x)" in verdict.message
    assert "locks are not reliable on a network or shared disk" in verdict.message
    assert verdict.fix is not None
    # Without a registry in the home, no lock matters there.
    assert local_disk(tmp_path, text, has_registry=False).state is State.OK


def test_links_are_followed(tmp_path: Path) -> None:
    """The mount of a home that is a link is that of its target."""
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    text = f"1 0 0:1 / / rw - ext4 a rw\n2 1 0:2 / {tmp_path / 'real'} rw - cifs //b/c rw\n"
    assert local_disk(tmp_path / "link", text).state is State.WARN


def test_a_real_mount_is_recognised(tmp_path: Path) -> None:
    """A mounted tmpfs is a local disk."""
    with mounted(tmp_path / "disk") as disk:
        verdict = local_disk(disk / "home", read_mountinfo())
    assert (verdict.state, verdict.message) == (State.OK, f"tmpfs at {tmp_path / 'disk'}")


def test_every_folder_has_a_mount(tmp_path: Path) -> None:
    """The mount of the test's own folder is found."""
    assert mount_of(PurePosixPath(tmp_path.resolve()), read_mountinfo()) is not None


def test_an_unknown_mount_is_not_checked(tmp_path: Path) -> None:
    """Some sandboxes show no mount of the root folder."""
    with pytest.raises(NotChecked, match="the mount of the home is unknown"):
        local_disk(tmp_path, "")


def test_a_system_without_proc_is_not_checked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without `/proc` the disk is not checked."""
    monkeypatch.setattr(home_checks, "_MOUNTINFO", tmp_path / "mountinfo")
    with pytest.raises(NotChecked, match="cannot be read"):
        read_mountinfo()


@pytest.mark.parametrize("platform", ["darwin", "win32", "freebsd14"])
def test_other_systems_are_not_checked(platform: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The row of other systems states that the disk was not checked."""
    monkeypatch.setattr(sys, "platform", platform)
    with pytest.raises(NotChecked, match="only detected on Linux"):
        read_mountinfo()
