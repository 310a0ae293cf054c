"""The single steps of writing; what depends on the platform or the file system is said here.

Functions that name no other error raise OSError as the system does.
"""

import contextlib
import errno
import os
import stat
from itertools import chain
from pathlib import Path
from typing import Final, NoReturn

from polygent_issuer.errors import OutputProblem
from polygent_issuer.text import escape

PRIVATE: Final = 0o600
_TRIES: Final = 100
ELSEWHERE: Final = "name another place for it"

# The flags that Windows lacks, or alone has.
NO_FOLLOW: Final[int] = getattr(os, "O_NOFOLLOW", 0)
NO_WAIT: Final[int] = getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOCTTY", 0)
"""Flags of `os.open` that never wait for a FIFO, and never make a terminal the controlling one."""
BINARY: Final[int] = getattr(os, "O_BINARY", 0)
_CREATE: Final = os.O_CREAT | os.O_EXCL | os.O_WRONLY | NO_FOLLOW | BINARY
_APPEND: Final = os.O_RDWR | os.O_APPEND | os.O_CREAT | NO_WAIT | BINARY  # a pipe is refused

# How file systems say that a folder cannot be synced. A folder that we may write but not read
# (EACCES) cannot be opened for it.
_NO_FOLDER_SYNC: Final = frozenset(
    {errno.EINVAL, errno.EBADF, errno.EOPNOTSUPP, errno.ENOTSUP, errno.EACCES}
)
_HINTS: Final = {
    errno.ENOENT: "make the folder first",
    errno.ENOSPC: "make room on the disk, then run the command again",
    errno.EDQUOT: "make room within your quota, then run the command again",
    errno.EFBIG: "raise the limit on file sizes (ulimit -f), then run the command again",
    errno.ENAMETOOLONG: "name a shorter file for it",
    errno.EIO: f"the disk or the network share failed: check it, or {ELSEWHERE}",
}


def is_folder(path: Path) -> bool:
    """Return whether a folder is there, as far as the permissions show; `Path.is_dir` may raise."""
    try:
        return path.is_dir()
    except OSError:
        return False


def names_folder(source: str) -> bool:
    """Return whether a source is a folder; `-` is stdin."""
    return source != "-" and is_folder(Path(source))


def write_new(path: Path, data: bytes, *, mode: int = PRIVATE, sync: bool = True) -> None:
    """Create a file that did not exist, 0600 while it is written; whatever fails removes it.

    Args:
        mode: what it has in the end.
        sync: False when the caller makes it durable, together with others.
    """
    descriptor = os.open(path, _CREATE, PRIVATE)
    try:
        try:
            rest = memoryview(data)
            while rest:
                rest = rest[os.write(descriptor, rest) :]
            if mode != PRIVATE and hasattr(os, "fchmod"):
                os.fchmod(descriptor, mode)
            if sync:
                os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except BaseException:
        remove(path)
        raise


def sync_file(path: Path) -> None:
    """Make what a plain file holds durable."""
    descriptor = os.open(path, os.O_RDWR | NO_FOLLOW | BINARY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_temporary(path: Path, data: bytes, *, mode: int = PRIVATE, sync: bool = True) -> Path:
    """Create a file as `write_new` does; where a crash has left one, with a number in its name.

    In containers every process may have the same id, and so the same temporary names.
    """
    others = (path.with_suffix(f".{number}{path.suffix}") for number in range(2, _TRIES))
    for candidate in chain((path,), others):
        try:
            write_new(candidate, data, mode=mode, sync=sync)
        except FileExistsError:
            continue
        return candidate
    raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST))


def make_private(path: Path, mode: int) -> None:
    """Give a file or folder of ours a mode without rights for others, whatever the umask left.

    Disks without modes (FAT, some network shares) refuse that and show the mode that they are
    mounted with. That is accepted if it is as private.
    """
    try:
        path.chmod(mode)
    except OSError:
        present = path.stat().st_mode
        if present & mode != mode or present & (stat.S_IRWXG | stat.S_IRWXO):
            raise


def open_to_readers(path: Path) -> None:
    """Give a file the mode that the umask allows, as if it had been created without care."""
    if not hasattr(os, "fchmod"):
        return
    # No call only reads the umask; a strict one for a moment harms no other thread.
    umask = os.umask(0o077)
    os.umask(umask)
    descriptor = os.open(path, os.O_RDONLY | NO_FOLLOW | NO_WAIT)
    try:
        # FAT and some network shares have no modes: theirs are right as they are.
        with contextlib.suppress(OSError):
            os.fchmod(descriptor, 0o666 & ~umask)
    finally:
        os.close(descriptor)


def content(path: Path, *, limit: int) -> bytes | None:
    """Read a plain file up to one byte more than the limit; None when it is anything else."""
    try:
        descriptor = os.open(path, os.O_RDONLY | NO_FOLLOW | NO_WAIT | BINARY)
    except (OSError, ValueError):  # ValueError: a NUL in the path
        return None
    try:
        plain = stat.S_ISREG(os.fstat(descriptor).st_mode)
        return os.read(descriptor, limit + 1) if plain else None
    except OSError:
        return None
    finally:
        os.close(descriptor)


def remove(path: Path) -> None:
    """Remove a file; one that is gone, or cannot be removed, is no error."""
    with contextlib.suppress(OSError):
        path.unlink()


def sweep(folder: Path, prefix: str, spare: tuple[str, ...] = ()) -> None:
    """Remove the temporary files of a prefix that a crash left, but for the spared beginnings."""
    if not prefix.startswith("."):
        raise ValueError("a prefix of temporary files begins with a dot")
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            is_ours = entry.name.startswith(prefix) and not entry.name.startswith(spare)
            if is_ours and entry.is_file(follow_symlinks=False):
                remove(Path(entry.path))


def sync_folder(path: Path) -> None:
    """Make the names in a folder durable, where that can be done; `output_failed` for a fault."""
    if os.name == "nt":  # no such call there; NTFS journals names by itself
        return
    try:
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        if error.errno not in _NO_FOLDER_SYNC:
            cannot_write(path, error)


def irregular(mode: int) -> str | None:
    """Return the kind of file, for a message; None for a regular file or a folder."""
    if stat.S_ISREG(mode) or stat.S_ISDIR(mode):
        return None
    if stat.S_ISFIFO(mode):
        return "a pipe"
    return "a socket" if stat.S_ISSOCK(mode) else "a device"


def reason(error: Exception) -> str:
    """Say a fault as the system calls it, in our spelling."""
    if isinstance(error, OSError) and error.errno is not None:
        message = os.strerror(error.errno)
        return message[:1].lower() + message[1:]
    return escape(str(error))


def cannot_write(path: Path, error: Exception, *, into: bool = False) -> NoReturn:
    """Raise `output_failed` for the system's refusal of a file, or `into` a folder, with a hint."""
    number = error.errno if isinstance(error, OSError) else None
    raise OutputProblem(
        f"cannot write {'into ' if into else ''}{escape(str(path))}: {reason(error)}",
        hint=_HINTS.get(number or 0, ELSEWHERE),
    ) from None


def append_line(path: Path, line: str) -> None:
    """Add one line to a plain text file, made if need be (0644 as far as the umask allows).

    A last line that an interrupted command left unfinished is ended first. What cannot be written
    durably is `output_failed`, and half a line is taken back.
    """
    try:
        descriptor = os.open(path, _APPEND, 0o644)
        try:
            _append(descriptor, path, line)
        finally:
            os.close(descriptor)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        cannot_write(path, error)
    sync_folder(path.absolute().parent)


def _append(descriptor: int, path: Path, line: str) -> None:
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        raise OutputProblem(f"{escape(str(path))} is not a plain file", hint=ELSEWHERE)
    data = f"{line}\n".encode()
    if status.st_size > 0:
        os.lseek(descriptor, -1, os.SEEK_END)
        data = b"\n" * (os.read(descriptor, 1) != b"\n") + data
    try:
        written = os.write(descriptor, data)
        if written != len(data):
            written += os.write(descriptor, data[written:])  # says why there is no more room
        os.fsync(descriptor)
    except OSError:
        os.ftruncate(descriptor, status.st_size)
        raise
