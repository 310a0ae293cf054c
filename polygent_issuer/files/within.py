"""Paths that others choose: a file that another file names, and code on a path to check.

A file that another file names is read only within its folder, and without links. The author of the
name cannot make this tool read any other file (CWE-22, CWE-59). Code is used only if no other user
can replace it, nor a folder or link that leads to it.
"""

import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Final

from polygent_issuer.errors import UnreadableInput
from polygent_issuer.files.disk import BINARY, NO_FOLLOW, NO_WAIT, reason
from polygent_issuer.files.reading import Rule, UnsafeFile, exposure_of
from polygent_issuer.text import escape, escape_short

_LONGEST: Final = 1_000
_NOT_REGULAR: Final = "it is not a regular file"
_HINT: Final = (
    "machine_info is the path of a regular file, relative to the folder of the apply file: "
    "documents/acme.json"
)
_FOLDER: Final = os.O_RDONLY | getattr(os, "O_DIRECTORY", 0)
_FILE: Final = os.O_RDONLY | NO_FOLLOW | NO_WAIT | BINARY
# Error numbers of a link with O_NOFOLLOW; with O_DIRECTORY Linux returns ENOTDIR.
_LINKS: Final = frozenset({errno.ELOOP, errno.EMLINK, errno.ENOTDIR})
_JUNCTION: Final = 0xA0000003  # IO_REPARSE_TAG_MOUNT_POINT of Windows
# Linux follows as many links in one path.
_MOST_LINKS: Final = 40


def inner_parts(relative: str) -> tuple[str, ...]:
    """Return the names from a folder to a file in it, separated by `/` on every platform.

    A path that could leave the folder, or mean another file on another platform, is
    `unreadable_input`: an absolute path, or one with `..`, a backslash or a drive.
    """
    parts = PurePosixPath(relative).parts
    windows = PureWindowsPath(relative)
    if len(relative) > _LONGEST:
        problem = f"it is longer than {_LONGEST:,} characters"
    elif escape(relative) != relative:
        problem = "it has unprintable characters"
    elif "\\" in relative:
        problem = "it has a backslash"
    elif windows.drive or windows.root:
        problem = "it is not relative"
    elif ".." in parts:
        problem = "it contains .."
    elif not parts:
        problem = "it has no file name"
    else:
        return parts
    raise UnreadableInput(
        f"not a file in this folder: {escape_short(relative)}: {problem}", hint=_HINT
    )


def read_within(folder: Path, relative: str, *, limit: int, what: str) -> bytes:
    """Read a regular file below a folder, by a path for `inner_parts`; else `unreadable_input`.

    Each name is opened relative to the open folder before it, so that it cannot be replaced by a
    link in between. On platforms without that, each name is checked before. Links on the way to the
    folder itself are followed.
    """
    parts = inner_parts(relative)
    opening = _opened if os.open in os.supports_dir_fd else _opened_by_path
    try:
        descriptor = opening(folder, parts)
        try:
            data = _content(descriptor, limit + 1)
        finally:
            os.close(descriptor)
    except OSError as error:
        linked = error.errno in _LINKS
        problem = (
            "the path contains a symbolic link, or a file in place of a folder"
            if linked
            else reason(error)
        )
        if error.errno == errno.ENXIO:  # the system's error for opening a socket
            problem = _NOT_REGULAR
    else:
        if data is not None and len(data) <= limit:
            return data
        problem = _NOT_REGULAR if data is None else f"it is larger than {limit} bytes"
    raise UnreadableInput(f"cannot read the {what} {escape_short(relative)}: {problem}", hint=_HINT)


def _opened(folder: Path, parts: tuple[str, ...]) -> int:
    *inner, name = parts
    descriptor = os.open(folder, _FOLDER)
    try:
        for part in inner:
            above, descriptor = descriptor, os.open(part, _FOLDER | NO_FOLLOW, dir_fd=descriptor)
            os.close(above)
        return os.open(name, _FILE, dir_fd=descriptor)
    finally:
        os.close(descriptor)


def _opened_by_path(folder: Path, parts: tuple[str, ...]) -> int:
    path = folder
    for part in parts:
        path /= part
        status = path.lstat()
        if stat.S_ISLNK(status.st_mode) or getattr(status, "st_reparse_tag", 0) == _JUNCTION:
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
    return os.open(path, _FILE)


def _content(descriptor: int, count: int) -> bytes | None:
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        return None
    with open(descriptor, "rb", closefd=False) as stream:
        return stream.read(count)


def require_code(path: Path, what: str) -> None:
    """Refuse code that others can change, or whose path they can change (`unsafe_file`).

    Every folder from `/` down and every link on the way is checked. The path is absolute. `what` is
    its name in messages: `PKCS#11 module`.
    """
    if not hasattr(os, "geteuid"):
        return
    steps = list(_steps(path))
    for step, status in steps:
        last = step == steps[-1][0]
        noun = "link" if stat.S_ISLNK(status.st_mode) else "folder"
        name = what if last else f"{what}'s {noun}"
        exposure = exposure_of(step, name, status, rule=Rule.CODE if last else Rule.CODE_PATH)
        if exposure is not None:
            raise UnsafeFile(exposure.message, hint=exposure.hint("install that software again"))


def _steps(path: Path) -> Iterator[tuple[Path, os.stat_result]]:
    """Yield each folder and link on a path, and the file at its end."""
    here = Path(path.anchor)
    rest = list(reversed(path.parts[1:]))
    links = 0
    yield here, os.lstat(here)
    while rest:
        part = rest.pop()
        if part == "..":
            here = here.parent
            continue
        step = here / part
        status = os.lstat(step)
        yield step, status
        if not stat.S_ISLNK(status.st_mode):
            here = step
            continue
        links += 1
        if links > _MOST_LINKS:
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
        target = step.readlink()
        if target.is_absolute():
            here = Path(target.anchor)
        rest.extend(reversed(target.parts[1:] if target.is_absolute() else target.parts))
