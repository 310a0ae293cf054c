"""Read a file beside another one that somebody named: within its folder, over no link.

Whoever wrote the name gets no other file read by it (CWE-22, CWE-59).
"""

import errno
import os
import stat
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Final

from polygent_issuer.errors import UnreadableInput
from polygent_issuer.files.disk import BINARY, NO_FOLLOW, NO_WAIT, reason
from polygent_issuer.text import escape, escape_short

_LONGEST: Final = 1_000
_NOT_REGULAR: Final = "it is not a regular file"
_HINT: Final = (
    "machine_info names a plain file beside the apply file, or in a folder there: "
    "documents/acme.json"
)
_FOLDER: Final = os.O_RDONLY | getattr(os, "O_DIRECTORY", 0)
_FILE: Final = os.O_RDONLY | NO_FOLLOW | NO_WAIT | BINARY
# How systems say that O_NOFOLLOW met a link; with O_DIRECTORY Linux says ENOTDIR.
_LINKS: Final = frozenset({errno.ELOOP, errno.EMLINK, errno.ENOTDIR})
_JUNCTION: Final = 0xA0000003  # IO_REPARSE_TAG_MOUNT_POINT of Windows


def inner_parts(relative: str) -> tuple[str, ...]:
    """The names from a folder to a file in it, as `/` parts them on every platform.

    What could lead out of the folder, or mean another file on another platform, is
    `unreadable_input`: absolute, with `..`, with a backslash or a drive.
    """
    parts = PurePosixPath(relative).parts
    windows = PureWindowsPath(relative)
    if len(relative) > _LONGEST:
        problem = f"longer than {_LONGEST:,} characters"
    elif escape(relative) != relative:
        problem = "it has characters that cannot be shown"
    elif "\\" in relative:
        problem = "it has a backslash"
    elif windows.drive or windows.root:
        problem = "it is not relative"
    elif ".." in parts:
        problem = "it leads upwards"
    elif not parts:
        problem = "it names no file"
    else:
        return parts
    raise UnreadableInput(
        f"not a file beside this one: {escape_short(relative)}: {problem}", hint=_HINT
    )


def read_within(folder: Path, relative: str, *, limit: int, what: str) -> bytes:
    """Read a plain file below a folder, by what `inner_parts` reads; else `unreadable_input`.

    Each name is opened from the folder before it, so that nobody can put a link there meanwhile;
    where the platform cannot do that, each is looked at before. Links on the way to the folder are
    followed.
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
        problem = "it leads over a link, or over what is no folder" if linked else reason(error)
        if error.errno == errno.ENXIO:  # how systems refuse to open a socket
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
