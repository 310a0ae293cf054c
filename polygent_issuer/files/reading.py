"""Read files that the operator names: a path or `-`, never more than its format allows.

Only regular files are opened. A FIFO, a socket or a device with the name of a file would block the
command, or have an effect of its own when it is opened. A descriptor that the shell opened for this
process (`/dev/stdin`, and `/dev/fd/63` for `<(…)`) is read as `-` is.

A file beside another that somebody named is read within its folder, over no link (CWE-22, CWE-59).
"""

import codecs
import errno
import os
import re
import stat
import sys
from io import BufferedReader
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import BinaryIO, Final

from polygent_issuer.errors import UnreadableInput
from polygent_issuer.files.disk import NO_WAIT, irregular, reason
from polygent_issuer.files.ownership import require_unexposed
from polygent_issuer.text import escape, escape_short, for_shell

_READ: Final = os.O_RDONLY | NO_WAIT | getattr(os, "O_BINARY", 0)
_DESCRIPTOR: Final = re.compile(r"/dev/stdin|/(?:dev|proc/self)/fd/([0-9]{1,9})")
_SAVE: Final = "save it as UTF-8"
# UTF-32 first: in little-endian its byte order mark begins with that of UTF-16.
_OTHER_MARKS: Final = (
    (codecs.BOM_UTF32_LE, "UTF-32"),
    (codecs.BOM_UTF32_BE, "UTF-32"),
    (codecs.BOM_UTF16_LE, "UTF-16"),
    (codecs.BOM_UTF16_BE, "UTF-16"),
)
# Two characters below U+0100; neither DER nor text in UTF-8 begins so.
_UTF16_WITHOUT_MARK: Final = re.compile(rb"[^\0]\0[^\0]\0|\0[^\0]\0[^\0]")
_OTHERS_READ: Final = stat.S_IRGRP | stat.S_IROTH


class NotUtf8(UnreadableInput):
    """A text file in another encoding than UTF-8."""


def read_bounded(
    source: str, *, limit: int, what: str, stdin: BinaryIO | None = None, trusted: bool = False
) -> bytes:
    """Read a file that the operator named, of at most `limit` bytes.

    Args:
        source: a path, or `-` for stdin.
        limit: the largest size in bytes.
        what: what the file is to be, for messages: `license file`.
        stdin: what `-` reads; the process's own by default.
        trusted: refuse a path that another user may change, as for a file that decides what is
            signed.

    Raises:
        UnsafeFile: (`unsafe_file`) when it is `trusted`, but another user may change it.
        UnreadableInput: (`unreadable_input`) when it cannot be read, is not a regular file, or is
            larger.
    """
    data = read_beginning(source, count=limit + 1, what=what, stdin=stdin, trusted=trusted)
    if len(data) > limit:
        raise UnreadableInput(
            f"{_named(source, what)} is larger than {limit} bytes",
            hint="is it the right file? check the path",
        )
    return data


def read_beginning(
    source: str, *, count: int, what: str, stdin: BinaryIO | None = None, trusted: bool = False
) -> bytes:
    """Read the first `count` bytes of a file: enough for one whose reader judges its size.

    Raises:
        UnreadableInput: (`unreadable_input`) when it cannot be read, or is not a regular file.
    """
    hint = "check the path and its permissions; - reads stdin"
    try:
        if source == "-":
            return _from_stdin(count, stdin)
        return _from_path(source, count, what if trusted else None)
    except IsADirectoryError:
        problem, hint = "it is a folder", "name a file in it"
    except NotRegular as error:
        problem, hint = reason(error), "name a regular file; - reads stdin"
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path, a closed stdin
        problem = reason(error)
    raise UnreadableInput(f"cannot read {_named(source, what)}: {problem}", hint=hint)


def read_text(source: str, *, limit: int, what: str, trusted: bool = False) -> str:
    """Read a text file in UTF-8 as `read_bounded` does; line ends stay as they are.

    Raises:
        NotUtf8: (`unreadable_input`) as `decode`.
        UnsafeFile, UnreadableInput: as `read_bounded`.
    """
    data = read_bounded(source, limit=limit, what=what, trusted=trusted)
    return decode(data, _named(source, what))


def read_unmarked(source: str, *, limit: int, what: str) -> bytes:
    """Read a file as `read_bounded` does, and drop a byte order mark as `without_mark` does.

    Raises:
        NotUtf8: (`unreadable_input`) as `without_mark`.
        UnreadableInput: (`unreadable_input`) as `read_bounded`.
    """
    return without_mark(read_bounded(source, limit=limit, what=what), _named(source, what))


class NotRegular(OSError):
    """Something else has the name of a file: a FIFO, a socket, a device."""


def open_file(source: str) -> BufferedReader:
    """Open a regular file, or a descriptor that this process has already, for reading.

    Raises:
        OSError: whatever the system says; `NotRegular` for a FIFO, a socket or a device,
            IsADirectoryError for a folder.
        ValueError: for a NUL in the path.
    """
    match = _DESCRIPTOR.fullmatch(source)
    descriptor = open_regular(source) if match is None else os.dup(int(match[1] or 0))
    return os.fdopen(descriptor, "rb")


def open_regular(path: str | os.PathLike[str]) -> int:
    """Open a regular file for reading; returns its descriptor.

    Raises:
        OSError, ValueError: as `open_file`.
    """
    # Before it is opened, which alone can rewind a tape; a Path would take "" for ".".
    _require_regular(os.stat(path))  # noqa: PTH116
    descriptor = os.open(path, _READ)
    try:
        _require_regular(os.fstat(descriptor))  # it may have been replaced meanwhile
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def read_stream(stream: BinaryIO, count: int) -> bytes:
    """Read the first `count` bytes of an open file, or all of it.

    Raises:
        OSError: whatever the system says; BlockingIOError for a descriptor that does not wait,
            when nothing is there yet.
    """
    data = b""
    while part := stream.read(count - len(data)):  # a pipe gives it piecemeal
        data += part
    if part is None:  # a descriptor that does not wait, and nothing is there yet
        raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
    return data


def secret_warning(source: str, *, what: str) -> str | None:
    """Return the warning that other users can read a secret, or None.

    Args:
        source: the path of a file, or `-`. A pipe or a missing file gives no warning.
        what: names it in the message: `passphrase file`.
    """
    if os.name == "nt" or source == "-":  # the mode has nothing of the access lists of Windows
        return None
    try:
        mode = Path(source).stat().st_mode
    except (OSError, ValueError):
        return None
    if not stat.S_ISREG(mode) or not mode & _OTHERS_READ:
        return None
    return f"other users can read the {what} {escape(source)}: chmod 600 {for_shell(source)}"


def decode(data: bytes, name: str) -> str:
    """Decode UTF-8, with or without a byte order mark.

    Args:
        data: the whole file.
        name: what a message calls it, safe to show.

    Raises:
        NotUtf8: (`unreadable_input`) for another encoding, or a NUL, with the line.
    """
    data = without_mark(data, name)
    nul = data.find(b"\0")
    if nul >= 0:
        problem = f"line {_line(data, nul)} has a NUL character"
    else:
        try:
            return data.decode()
        except UnicodeDecodeError as error:
            problem = f"line {_line(data, error.start)} is not UTF-8"
    raise NotUtf8(f"cannot read {name}: {problem}", hint=_SAVE)


def without_mark(data: bytes, name: str) -> bytes:
    """Drop the byte order mark of UTF-8, before text or before bytes such as DER.

    Args:
        data: the whole file, or its beginning.
        name: what a message calls it, safe to show.

    Raises:
        NotUtf8: (`unreadable_input`) for UTF-16 and UTF-32.
    """
    encoding = next((each for mark, each in _OTHER_MARKS if data.startswith(mark)), None)
    if encoding is None and _UTF16_WITHOUT_MARK.match(data):
        encoding = "UTF-16"
    if encoding is not None:
        raise NotUtf8(f"cannot read {name}: it is in {encoding}", hint=_SAVE)
    return data.removeprefix(codecs.BOM_UTF8)


def _line(data: bytes, position: int) -> int:
    return data.count(b"\n", 0, position) + 1


def _named(source: str, what: str) -> str:
    return f"the {what} from stdin" if source == "-" else f"the {what} {escape(source)}"


def _require_regular(status: os.stat_result) -> None:
    if stat.S_ISDIR(status.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    kind = irregular(status.st_mode)
    if kind is not None:
        raise NotRegular(f"it is {kind}, not a regular file")


def _from_path(source: str, count: int, trusted: str | None) -> bytes:
    """Read a path; `trusted` names a file that no other user may change."""
    with open_file(source) as stream:
        if trusted is not None:
            require_unexposed(Path(source), trusted, opened=stream.fileno())
        return read_stream(stream, count)


def _from_stdin(count: int, stdin: BinaryIO | None) -> bytes:
    if stdin is None and sys.stdin is None:
        raise ValueError("there is no stdin")
    return read_stream(stdin or sys.stdin.buffer, count)


_LONGEST: Final = 1_000
_NOT_REGULAR: Final = "it is not a regular file"
_HINT: Final = (
    "machine_info names a plain file beside the apply file, or in a folder there: "
    "documents/acme.json"
)

# The flags that Windows lacks, or alone has.
_NO_FOLLOW: Final[int] = getattr(os, "O_NOFOLLOW", 0)
_FOLDER: Final = os.O_RDONLY | getattr(os, "O_DIRECTORY", 0)
_FILE: Final = os.O_RDONLY | _NO_FOLLOW | NO_WAIT | getattr(os, "O_BINARY", 0)
# How systems say that O_NOFOLLOW met a link; with O_DIRECTORY Linux says ENOTDIR.
_LINKS: Final = frozenset({errno.ELOOP, errno.EMLINK, errno.ENOTDIR})
_JUNCTION: Final = 0xA0000003  # IO_REPARSE_TAG_MOUNT_POINT of Windows


def inner_parts(relative: str) -> tuple[str, ...]:
    """The names from a folder to a file in it, as `/` parts them on every platform.

    Raises:
        UnreadableInput: (`unreadable_input`) when it could lead out of the folder, or mean another
            file on another platform: absolute, with `..`, with a backslash or a drive.
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
    """Read a plain file below a folder; whoever wrote its name gets no other file read by it.

    Each name is opened from the folder before it, so that nobody can put a link there meanwhile;
    where the platform cannot do that, each is looked at before.

    Args:
        folder: as the operator named it; links on the way to it are followed.
        relative: what `inner_parts` reads.
        limit: the largest size in bytes.
        what: what the file is to be, for messages: `machine info`.

    Raises:
        UnreadableInput: (`unreadable_input`) when it cannot be read, is not plain, or is larger.
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
            above, descriptor = descriptor, os.open(part, _FOLDER | _NO_FOLLOW, dir_fd=descriptor)
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
