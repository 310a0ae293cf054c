"""On which file system a folder is: SQLite's locks need a local disk (DESIGN, "Registry")."""

import re
import sys
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final

from polygent_issuer.doctor.verdict import NotChecked, Verdict, ok, warn

_MOUNTINFO: Final = Path("/proc/self/mountinfo")
_ESCAPE: Final = re.compile(r"\\([0-7]{3})")

# Shared between hosts, or with the host of a virtual machine: whoever is there has locks of his
# own. Lustre and the cluster file systems promise locks, and are as far from one desk.
_SHARED: Final = frozenset(
    {
        *("9p", "afs", "beegfs", "ceph", "cifs", "coda", "gfs2", "glusterfs", "gpfs", "lustre"),
        *("ncpfs", "nfs", "nfs4", "ocfs2", "prl_fs", "pvfs2", "smb3", "smbfs", "vboxsf"),
        *("virtiofs", "vmhgfs"),
    }
)
# Made by a program, which may be anything; these few lie on a disk of this machine.
_FUSE: Final = "fuse."
_LOCAL_FUSE: Final = frozenset(
    {"fuse.cryfs", "fuse.encfs", "fuse.fuse-overlayfs", "fuse.gocryptfs"}
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Mount:
    """One mount: its folder, its type, and what is mounted (a device, a server)."""

    folder: PurePosixPath
    kind: str
    source: str

    @property
    def is_shared(self) -> bool:
        """Whether other hosts may write to it too, past our locks."""
        if self.kind.startswith(_FUSE):
            return self.kind not in _LOCAL_FUSE
        return self.kind in _SHARED


def mount_of(path: PurePosixPath, mountinfo: str) -> Mount | None:
    """The mount that a path lies on; None when the text does not say.

    Args:
        path: absolute, links followed.
        mountinfo: as Linux writes `/proc/self/mountinfo` (proc_pid_mountinfo(5)).
    """
    found: Mount | None = None
    for line in mountinfo.splitlines():
        mount = _parsed(line)
        if mount is None or not path.is_relative_to(mount.folder):
            continue
        # What is mounted later on the same folder hides what was there.
        if found is None or len(mount.folder.parts) >= len(found.folder.parts):
            found = mount
    return found


def read_mountinfo(platform: str = sys.platform, path: Path = _MOUNTINFO) -> str:
    """What Linux says of the mounts of this process.

    Raises:
        NotChecked: on other systems, or without `/proc`.
    """
    if platform != "linux":
        raise NotChecked("which disks are network disks is asked on Linux alone")
    try:
        text = path.read_bytes()
    except OSError:
        raise NotChecked(f"{path} cannot be read") from None
    return text.decode(errors="surrogateescape")


def local_disk(folder: Path, mountinfo: str) -> Verdict:
    """Whether the home lies on a disk of this machine: one home, one host."""
    mount = mount_of(PurePosixPath(folder.resolve()), mountinfo)
    if mount is None:
        raise NotChecked("no mount is known for the home")
    told = f"{mount.kind} at {mount.folder}"
    if not mount.is_shared:
        return ok(told)
    return warn(
        f"{told} ({mount.source}): a network or shared disk may break the registry's locks; "
        "one home belongs to one host and a local disk",
        "move the home to a local disk while no command runs, and name it with --home",
    )


def _parsed(line: str) -> Mount | None:
    """`ID PARENT DEVICE ROOT FOLDER OPTIONS [TAGS] - KIND SOURCE OPTIONS`; None for another."""
    front, _, back = line.partition(" - ")
    before, after = front.split(" "), back.split(" ")
    try:
        folder, kind, source = before[4], after[0], after[1]
    except IndexError:
        return None
    return Mount(folder=PurePosixPath(_plain(folder)), kind=kind, source=_plain(source))


def _plain(text: str) -> str:
    r"""White space and backslashes are written as `\040` and the like."""
    return _ESCAPE.sub(lambda found: chr(int(found[1], 8)), text)
