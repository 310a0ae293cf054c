"""Checks of the home: its folder, its file system, its permissions."""

import os
import re
import shutil
import stat
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path, PurePosixPath
from typing import Final

from polygent_issuer.doctor.verdict import NotChecked, Verdict, fail, ok, refused, warn
from polygent_issuer.errors import ExitCode
from polygent_issuer.files.ownership import UnsafeFile, is_open_to_others
from polygent_issuer.home import folder as home
from polygent_issuer.store_uri import is_folder
from polygent_issuer.text import escape, for_shell

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


LITTLE: Final = 64 * 1024 * 1024
"""Free bytes below which a disk is nearly full: a registry of 100,000 licenses, twice."""
ABANDONED: Final = timedelta(hours=1)
"""No command writes on one temporary file for so long."""

_TEMPORARY: Final = ".polygent-*.tmp"
_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO


def where(folder: Path, origin: str) -> Verdict:
    """Where the home is, and what says so."""
    return ok(f"{escape(str(folder))}, by {origin}")


def rights(folder: Path) -> Verdict:
    """Whether it is the operator's alone, and can be written.

    Raises:
        UnsafeHome: (`unsafe_home`) when another user owns it or may write to it.
    """
    mend = f"chmod 700 {for_shell(str(folder))}"
    warnings = home.require(folder)
    if not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
        return _not_writable(folder)
    if warnings:
        return warn(warnings[0].removesuffix(f": {mend}"), mend)
    return ok("nobody else can look into it")


def exposed(requirements: Iterable[Callable[[], None]]) -> tuple[Verdict, ...]:
    """Report the files that other users can change. Another check reports missing files.

    Args:
        requirements: for each file, the check that a command makes before it uses it.
    """
    verdicts = []
    for require in requirements:
        try:
            require()
        except UnsafeFile as unsafe:
            verdicts.append(refused(unsafe))
        except OSError:
            pass
    return tuple(verdicts)


def private_files(paths: Iterable[Path], *, group_may: bool = False) -> Verdict:
    """Check that private files are closed to other users.

    Args:
        paths: the files; missing ones are left out.
        group_may: let a group read the files that it may write to, since it is trusted.
    """
    if os.name == "nt":
        return ok("the profile folder's access list protects them")
    found = [path for path in paths if os.path.isfile(path)]  # noqa: PTH113 - is_file may raise
    is_open = is_open_to_others if group_may else _is_open
    open_ones = [path for path in found if is_open(path.stat())]
    if not open_ones:
        return ok(f"closed to others: {_named(found)}" if found else "there is none")
    words = " ".join(for_shell(str(path)) for path in open_ones)
    return warn(f"other users may read or write {_named(open_ones)}", f"chmod 600 {words}")


def leftovers(folders: Iterable[Path], now: datetime) -> Verdict:
    """Whether temporary files lie about that a crash has left.

    Args:
        folders: where this tool writes; those that are not there are left out.
        now: the present; what is young may be another command's.
    """
    found = [path for folder in folders for path in _temporary(folder, now - ABANDONED)]
    if not found:
        return ok("no temporary file is left over")
    words = " ".join(for_shell(str(path)) for path in found)
    return warn(
        f"interrupted commands have left {len(found)} temporary "
        f"file{'' if len(found) == 1 else 's'}",
        f"rm {words}",
    )


def free_space(folders: Iterable[Path], *, little: int = LITTLE) -> Verdict:
    """Whether the disks that this tool writes to have room left.

    Args:
        folders: those that are not there are left out.
        little: how many free bytes are too few.
    """
    free, folder = min((shutil.disk_usage(each).free, each) for each in folders if is_folder(each))
    told = f"{free // 1024 // 1024} MiB free on the disk of {escape(str(folder))}"
    if free >= little:
        return ok(told)
    return warn(f"only {told}", "free some space on that disk")


def _is_open(status: os.stat_result) -> bool:
    return bool(status.st_mode & _OTHERS)


def _not_writable(folder: Path) -> Verdict:
    place = escape(str(folder))
    if sys.platform != "win32" and os.statvfs(folder).f_flag & os.ST_RDONLY:
        return fail(
            f"the disk of the home {place} is mounted read-only",
            "mount it writable",
            ExitCode.REGISTRY,
        )
    return fail(
        f"you may not write into the home {place}",
        f"chmod 700 {for_shell(str(folder))}",
        ExitCode.REGISTRY,
    )


def _named(paths: Iterable[Path]) -> str:
    return ", ".join(escape(path.name) for path in paths)


def _temporary(folder: Path, before: datetime) -> Iterator[Path]:
    with suppress(OSError):  # whether it is there is another check's business
        for path in sorted(folder.glob(_TEMPORARY)):
            if path.is_file() and path.lstat().st_mtime < before.timestamp():
                yield path
