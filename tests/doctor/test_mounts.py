"""On which file system a folder is, by what Linux says of the mounts."""

from pathlib import Path, PurePosixPath

import pytest
from support.rows import mounted

from polygent_issuer.doctor import State
from polygent_issuer.doctor.home_checks import local_disk, mount_of, read_mountinfo
from polygent_issuer.doctor.verdict import NotChecked

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
this line - is none
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
def test_the_longest_mount_point_tells(path: str, kind: str, shared: bool) -> None:  # noqa: FBT001
    """By whole names; of two mounts on one folder the later hides the other."""
    mount = mount_of(PurePosixPath(path), RECORDED)
    assert mount is not None
    assert (mount.kind, mount.is_shared) == (kind, shared)


def test_a_shared_disk_is_a_warning_that_names_it(tmp_path: Path) -> None:
    """Its type, where it is mounted, what it is, and what to do instead."""
    text = f"27 1 0:36 / {tmp_path} rw - nfs4 192.0.2.7:/x rw\n"
    verdict = local_disk(tmp_path, text)
    assert verdict.state is State.WARN
    assert f"nfs4 at {tmp_path} (192.0.2.7:/x)" in verdict.message
    assert "one host and a local disk" in verdict.message
    assert verdict.fix is not None


def test_links_are_followed(tmp_path: Path) -> None:
    """A home that is a link lies where the link leads."""
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    text = f"1 0 0:1 / / rw - ext4 a rw\n2 1 0:2 / {tmp_path / 'real'} rw - cifs //b/c rw\n"
    assert local_disk(tmp_path / "link", text).state is State.WARN


def test_this_machines_own_mounts_are_understood(tmp_path: Path) -> None:
    """A real mount: tmpfs is a disk of this machine."""
    with mounted(tmp_path / "disk") as disk:
        verdict = local_disk(disk / "home", read_mountinfo("linux"))
    assert (verdict.state, verdict.message) == (State.OK, f"tmpfs at {tmp_path / 'disk'}")


def test_what_this_test_lies_on_is_found(tmp_path: Path) -> None:
    """Some mount holds every folder."""
    assert mount_of(PurePosixPath(tmp_path.resolve()), read_mountinfo("linux")) is not None


def test_no_mount_for_the_home_is_not_judged(tmp_path: Path) -> None:
    """A text without the root, as some sandboxes show."""
    with pytest.raises(NotChecked, match="no mount is known"):
        local_disk(tmp_path, "")


def test_a_sandbox_without_proc_is_not_judged(tmp_path: Path) -> None:
    """What cannot be read says nothing of the disk."""
    with pytest.raises(NotChecked, match="cannot be read"):
        read_mountinfo("linux", tmp_path / "mountinfo")


@pytest.mark.parametrize("platform", ["darwin", "win32", "freebsd14"])
def test_other_systems_are_not_asked(platform: str) -> None:
    """And that is said, not passed over."""
    with pytest.raises(NotChecked, match="Linux alone"):
        read_mountinfo(platform)
