"""The home as a folder: where it is, whose, what lies in it, how much room there is."""

import os
import shutil
import stat
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from polygent_issuer import home
from polygent_issuer.doctor.verdict import Verdict, fail, ok, refused, warn
from polygent_issuer.errors import ExitCode
from polygent_issuer.files.ownership import UnsafeFile, is_open_to_others
from polygent_issuer.keystore.location import is_folder
from polygent_issuer.text import for_shell, shown

LITTLE: Final = 64 * 1024 * 1024
"""Free bytes below which a disk is nearly full: a registry of 100,000 licenses, twice."""
ABANDONED: Final = timedelta(hours=1)
"""No command writes on one temporary file for so long."""

_TEMPORARY: Final = ".polygent-*.tmp"
_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO


def where(folder: Path, origin: str) -> Verdict:
    """Where the home is, and what says so."""
    return ok(f"{shown(str(folder))}, by {origin}")


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
    told = f"{free // 1024 // 1024} MiB free on the disk of {shown(str(folder))}"
    if free >= little:
        return ok(told)
    return warn(f"only {told}", "free some space on that disk")


def _is_open(status: os.stat_result) -> bool:
    return bool(status.st_mode & _OTHERS)


def _not_writable(folder: Path) -> Verdict:
    place = shown(str(folder))
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
    return ", ".join(shown(path.name) for path in paths)


def _temporary(folder: Path, before: datetime) -> Iterator[Path]:
    with suppress(OSError):  # whether it is there is another check's business
        for path in sorted(folder.glob(_TEMPORARY)):
            if path.is_file() and path.lstat().st_mtime < before.timestamp():
                yield path
