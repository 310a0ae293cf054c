"""Checks of the home: its folder, file system and permissions, its settings, and the variables."""

import os
import re
import shutil
import stat
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path, PurePosixPath
from typing import Final

from polygent_issuer.delivery import template
from polygent_issuer.doctor.context import NotChecked, Verdict, fail, ok, refused, warn
from polygent_issuer.errors import ExitCode, InputRefused
from polygent_issuer.files import disk
from polygent_issuer.files.disk import is_folder
from polygent_issuer.files.reading import TRUST_GROUP, UnsafeFile, is_open_to_others
from polygent_issuer.home import folder as home_folder
from polygent_issuer.home.settings import OPERATOR_VARIABLE, Entry, Loaded, Where
from polygent_issuer.keys import passphrases
from polygent_issuer.text import Hint, escape, for_shell, nearest, run

_MOUNTINFO: Final = Path("/proc/self/mountinfo")
_ESCAPE: Final = re.compile(r"\\([0-7]{3})")

# Shared between hosts, or with the host of a virtual machine, which have separate locks. Lustre and
# the cluster file systems promise locks, but a registry in a file supports only one host.
_SHARED: Final = frozenset(
    {
        *("9p", "afs", "beegfs", "ceph", "cifs", "coda", "gfs2", "glusterfs", "gpfs", "lustre"),
        *("ncpfs", "nfs", "nfs4", "ocfs2", "prl_fs", "pvfs2", "smb3", "smbfs", "vboxsf"),
        *("virtiofs", "vmhgfs"),
    }
)
# FUSE file systems can be local or remote; these are local.
_FUSE: Final = "fuse."
_LOCAL_FUSE: Final = frozenset(
    {"fuse.cryfs", "fuse.encfs", "fuse.fuse-overlayfs", "fuse.gocryptfs"}
)

LITTLE: Final = 64 * 1024 * 1024
"""The least free space without a warning, in bytes: twice a registry of 100,000 licenses."""
ABANDONED: Final = timedelta(hours=1)
"""The age of an abandoned temporary file; no command writes to one for so long."""
PREFIX: Final = "POLYGENT_ISSUER_"
VARIABLES: Final = (home_folder.VARIABLE, OPERATOR_VARIABLE, passphrases.VARIABLE, TRUST_GROUP)
"""Every variable that this tool reads."""
_TEMPORARY: Final = ".polygent-*.tmp"
_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO


@dataclass(frozen=True, kw_only=True, slots=True)
class Mount:
    """One mount: its folder, its type, and what is mounted (a device, a server)."""

    folder: PurePosixPath
    kind: str
    source: str

    @property
    def is_shared(self) -> bool:
        """True if other hosts may write to it without regard to our locks."""
        if self.kind.startswith(_FUSE):
            return self.kind not in _LOCAL_FUSE
        return self.kind in _SHARED


def mount_of(path: PurePosixPath, mountinfo: str) -> Mount | None:
    """Return the mount of a path (absolute, without symbolic links); None if it is not in the text.

    `mountinfo` is the text of Linux's `/proc/self/mountinfo` (proc_pid_mountinfo(5)).
    """
    mounts = filter(None, map(_parsed, mountinfo.splitlines()))
    above = [mount for mount in mounts if path.is_relative_to(mount.folder)]
    # Of several on the same folder, the last one hides the others.
    return max(reversed(above), key=lambda mount: len(mount.folder.parts), default=None)


def read_mountinfo() -> str:
    """Return the mounts of this process as the text of `/proc/self/mountinfo`.

    Raises:
        NotChecked: on other systems, or without `/proc`.
    """
    if sys.platform != "linux":
        raise NotChecked("network disks are only detected on Linux")
    try:
        text = _MOUNTINFO.read_bytes()
    except OSError:
        raise NotChecked(f"{_MOUNTINFO} cannot be read") from None
    return text.decode(errors="surrogateescape")


def local_disk(folder: Path, mountinfo: str, *, has_registry: bool = True) -> Verdict:
    """Check that a home with a registry is on a local disk, since such a home belongs to one host.

    `mountinfo` is as for `mount_of`; `has_registry` if the registry is a file in the home.
    """
    mount = mount_of(PurePosixPath(folder.resolve()), mountinfo)
    if mount is None:
        raise NotChecked("the mount of the home is unknown")
    description = f"{mount.kind} at {mount.folder}"
    if not (mount.is_shared and has_registry):
        return ok(description)
    return warn(
        f"{description} ({mount.source}): locks are not reliable on a network or shared disk, so "
        "the registry can be damaged",
        "move the home to a local disk while no command runs, then give its path with --home",
    )


def _parsed(line: str) -> Mount | None:
    """Parse `ID PARENT DEVICE ROOT FOLDER OPTIONS [TAGS] - KIND SOURCE OPTIONS`."""
    front, _, back = line.partition(" - ")
    before, after = front.split(" "), back.split(" ")
    try:
        folder, kind, source = before[4], after[0], after[1]
    except IndexError:
        return None
    return Mount(folder=PurePosixPath(_plain(folder)), kind=kind, source=_plain(source))


def _plain(text: str) -> str:
    r"""Decode white space and backslashes, which are written as `\040` and similar."""
    return _ESCAPE.sub(lambda match: chr(int(match[1], 8)), text)


def where(folder: Path, origin: str) -> Verdict:
    """Report the path of the home and its source."""
    return ok(f"{escape(str(folder))} (from {origin})")


def rights(folder: Path) -> Verdict:
    """Check that only the operator has access to the home, and can write to it.

    Raises:
        UnsafeHome: (`unsafe_home`) when another user owns it or may write to it.
    """
    fix = f"chmod 700 {for_shell(str(folder))}"
    warnings = home_folder.require(folder)
    if not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
        place = escape(str(folder))
        if sys.platform != "win32" and os.statvfs(folder).f_flag & os.ST_RDONLY:
            message = f"the disk of the home {place} is mounted read-only"
            return fail(message, "mount the disk writable", ExitCode.REGISTRY)
        return fail(f"no permission to write to the home {place}", fix, ExitCode.REGISTRY)
    if warnings:
        return warn(warnings[0].removesuffix(f": {fix}"), fix)
    return ok("not accessible to other users")


def exposed(requirements: Iterable[Callable[[], None]]) -> tuple[Verdict, ...]:
    """Report the files that other users can change; another check reports missing files.

    Each requirement is the safety check that commands make of a file.
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
    """Check that private files are not accessible to other users; missing ones are skipped.

    With `group_may`, a trusted group may write to them.
    """
    if os.name == "nt":
        return ok("protected by the access list of the profile folder")
    existing = [path for path in paths if os.path.isfile(path)]  # noqa: PTH113 - is_file may raise
    is_open = is_open_to_others if group_may else lambda status: bool(status.st_mode & _OTHERS)
    open_ones = [path for path in existing if is_open(path.stat())]
    if not open_ones:
        names = _named(existing)
        return ok(f"not accessible to other users: {names}" if names else "no files to check")
    words = " ".join(for_shell(str(path)) for path in open_ones)
    return warn(f"other users may read or write {_named(open_ones)}", f"chmod 600 {words}")


def leftovers(folders: Iterable[Path], now: datetime) -> Verdict:
    """Check that no temporary files are left from a crash; missing folders are skipped.

    A young file may belong to a running command.
    """
    remaining = [path for folder in folders for path in _temporary(folder, now - ABANDONED)]
    if not remaining:
        return ok("no temporary files left over")
    words = " ".join(for_shell(str(path)) for path in remaining)
    files = "file" if len(remaining) == 1 else "files"
    return warn(f"interrupted commands left {len(remaining)} temporary {files}", f"rm {words}")


def free_space(folders: Iterable[Path]) -> Verdict:
    """Check the free space of the disks that this tool writes to; missing folders are skipped."""
    free, folder = min((shutil.disk_usage(path).free, path) for path in folders if is_folder(path))
    message = f"{free // 1024 // 1024} MiB free on the disk of {escape(str(folder))}"
    if free >= LITTLE:
        return ok(message)
    return warn(f"only {message}", "free some space on this disk")


def _named(paths: Iterable[Path]) -> str:
    return ", ".join(escape(path.name) for path in paths)


def _temporary(folder: Path, before: datetime) -> Iterator[Path]:
    with suppress(OSError):  # another check reports a missing folder
        for path in sorted(folder.glob(_TEMPORARY)):
            if path.is_file() and path.lstat().st_mtime < before.timestamp():
                yield path


def chosen(loaded: Loaded) -> tuple[Entry, ...]:
    """Return the settings that differ from their default, each with its origin."""
    return tuple(entry for entry in loaded.entries.values() if entry.where is not Where.DEFAULT)


def origins(loaded: Loaded) -> Verdict:
    """Report the number of values from each origin."""
    count = Counter(entry.where for entry in loaded.entries.values())
    shared = f"{count[Where.REGISTRY]} from the registry, " if count[Where.REGISTRY] else ""
    return ok(
        f"{shared}{count[Where.FILE]} from the settings file, {count[Where.ENVIRONMENT]} from the "
        f"environment, {count[Where.DEFAULT]} defaults"
    )


def issuer(loaded: Loaded) -> Verdict:
    """Check that the issuer name is set."""
    name = loaded.settings.issuer
    if loaded.entries["issuer"].where is not Where.DEFAULT:
        return ok(f"licenses name the issuer {escape(name)}")
    return warn(f"not set: licenses name the issuer {name}", run("config", "set", "issuer", "NAME"))


def operator(loaded: Loaded) -> Verdict:
    """Report the operator name in the journal."""
    name = loaded.settings.operator
    if name is None:
        return ok("not set: the journal records the operating system user")
    return ok(f"the journal records {escape(name)}")


def upload_window(loaded: Loaded) -> Verdict:
    """Check that the upload window, from which upload deadlines are computed, is set."""
    window = loaded.entries["upload_window"].value
    if window is not None:
        return ok(f"servers accept a license file for {window} after issue")
    return warn(
        "not set: upload deadlines assume 7 days", run("config", "set", "upload_window", "7d")
    )


def output_folder(folder: Path | None) -> Verdict:
    """Check that license files can be written to the output folder."""
    if folder is None:
        return ok("not set: license files are written to the current folder")
    problem = _unusable(folder)
    return fail(*problem, ExitCode.INPUT) if problem else ok(escape(str(folder)))


def key_backup_folder(folder: Path | None) -> Verdict:
    """Check that key backups can be written to their folder, which may be on a removable disk."""
    if folder is None:
        return ok("not set: each backup needs an explicit path")
    problem = _unusable(folder)
    return warn(*problem) if problem else ok(escape(str(folder)))


def variables(names: Iterable[str]) -> tuple[Verdict, ...]:
    """Report variables with our prefix and an unknown name, which have no effect."""
    unknown = sorted(name for name in names if name.startswith(PREFIX) and name not in VARIABLES)
    if not unknown:
        return (ok("no unknown POLYGENT_ISSUER_* variable is set"),)
    return tuple(_unknown(name) for name in unknown)


def passphrase_file(path: str | None) -> Verdict:
    """Check that only the operator can read the passphrase file, which is not opened.

    `path` is the value of the variable that names it.
    """
    if not path:
        return ok("not set: passphrases come from an option or the terminal")
    if not os.access(path, os.R_OK):
        return warn(
            f"the passphrase file {escape(path)} cannot be read", f"unset {passphrases.VARIABLE}"
        )
    return private_files([Path(path)])


def mail_template(folder: Path) -> Verdict:
    """Check that the mail template of the home can be used."""
    path = template.template_path(folder)
    try:
        edited = template.load(folder).edited
    except InputRefused as wrong:
        word = for_shell(str(path))
        why = wrong.message if wrong.hint is None else Hint(f"{wrong.message}; ", wrong.hint)
        return warn(Hint("mail drafts cannot be written: ", why), f"mv {word} {word}.wrong")
    return ok(escape(str(path)) if edited else "not set: drafts use the default template")


def _unknown(name: str) -> Verdict:
    similar = nearest(name, VARIABLES)
    meant = f"; did you mean {similar}?" if similar else f"; known are {', '.join(VARIABLES)}"
    return warn(f"{escape(name)} is set but not recognised{meant}", f"unset {for_shell(name)}")


def _unusable(folder: Path) -> tuple[str, str] | None:
    """Return the problem of a folder that cannot be written to, and its fix."""
    place, word = escape(str(folder)), for_shell(str(folder))
    if not disk.is_folder(folder):
        return f"the folder {place} does not exist", f"mkdir -p {word}"
    if not os.access(folder, os.W_OK | os.X_OK):
        return f"no permission to write to the folder {place}", f"chmod u+rwx {word}"
    return None
