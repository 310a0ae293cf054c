"""Elementary steps of writing files, and of waiting for one's turn, on each platform.

Functions raise OSError unless they document another error.
"""

import contextlib
import errno
import os
import stat
import sys
from datetime import timedelta
from itertools import chain
from pathlib import Path
from typing import Final, NoReturn

from polygent_issuer.errors import OutputProblem
from polygent_issuer.text import escape

PRIVATE: Final = 0o600
_TRIES: Final = 100
ELSEWHERE: Final = "choose another path"

# Flags that only Windows lacks, or only Windows has.
NO_FOLLOW: Final[int] = getattr(os, "O_NOFOLLOW", 0)
NO_WAIT: Final[int] = getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOCTTY", 0)
"""Flags of `os.open`: do not wait for a FIFO, and do not acquire a controlling terminal."""
BINARY: Final[int] = getattr(os, "O_BINARY", 0)
_CREATE: Final = os.O_CREAT | os.O_EXCL | os.O_WRONLY | NO_FOLLOW | BINARY
_APPEND: Final = os.O_RDWR | os.O_APPEND | os.O_CREAT | NO_WAIT | BINARY  # a pipe is refused

# Error numbers meaning that the file system cannot sync a folder. A folder with write but without
# read permission (EACCES) cannot be opened for it.
_NO_FOLDER_SYNC: Final = frozenset(
    {errno.EINVAL, errno.EBADF, errno.EOPNOTSUPP, errno.ENOTSUP, errno.EACCES}
)
_HINTS: Final = {
    errno.ENOENT: "create the folder first",
    errno.ENOSPC: "free space on the disk, then run the command again",
    errno.EDQUOT: "free space in your quota, then run the command again",
    errno.EFBIG: "raise the limit on file sizes (ulimit -f), then run the command again",
    errno.ENAMETOOLONG: "choose a shorter file name",
    errno.EIO: f"the disk or the network share failed: check it, or {ELSEWHERE}",
}


def is_folder(path: Path) -> bool:
    """Return whether a folder exists; False without permission, where `Path.is_dir` may raise."""
    try:
        return path.is_dir()
    except OSError:
        return False


def identity(path: Path) -> tuple[int, int] | None:
    """Return the system's identity of a file: device and inode; None if it does not exist."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def write_new(path: Path, data: bytes, *, mode: int = PRIVATE, sync: bool = True) -> None:
    """Create a new file, with mode 0600 while it is written; remove it after an error.

    Args:
        mode: the final mode.
        sync: False if the caller syncs several files at once.
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
    """Sync the content of a regular file."""
    descriptor = os.open(path, os.O_RDWR | NO_FOLLOW | BINARY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_temporary(path: Path, data: bytes, *, mode: int = PRIVATE, sync: bool = True) -> Path:
    """Create a file as `write_new` does, with a number in its name if the name is taken.

    A crash may have left a file of that name: in containers every process may have the same id, and
    so the same temporary names.
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
    """Give a file or folder of this user a mode without rights for others, under any umask.

    Disks without modes (FAT, some network shares) refuse this and show the mode of their mount
    options. It is accepted if it gives others no rights.
    """
    try:
        path.chmod(mode)
    except OSError:
        present = path.stat().st_mode
        if present & mode != mode or present & (stat.S_IRWXG | stat.S_IRWXO):
            raise


def open_to_readers(path: Path) -> None:
    """Give a file the default mode of a new file: 0666 without the bits of the umask."""
    if not hasattr(os, "fchmod"):
        return
    # The umask can only be read by setting it; a strict one does no harm to other threads.
    umask = os.umask(0o077)
    os.umask(umask)
    descriptor = os.open(path, os.O_RDONLY | NO_FOLLOW | NO_WAIT)
    try:
        # FAT and some network shares have no modes, and refuse to change them.
        with contextlib.suppress(OSError):
            os.fchmod(descriptor, 0o666 & ~umask)
    finally:
        os.close(descriptor)


def content(path: Path, *, limit: int) -> bytes | None:
    """Read a regular file up to one byte more than the limit; None if that is not possible."""
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
    """Remove a file; ignore errors."""
    with contextlib.suppress(OSError):
        path.unlink()


def sweep(folder: Path, prefix: str, spare: tuple[str, ...] = ()) -> None:
    """Remove temporary files with a prefix after a crash, except names that begin with `spare`."""
    if not prefix.startswith("."):
        raise ValueError("the prefix of temporary files must begin with a dot")
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            is_ours = entry.name.startswith(prefix) and not entry.name.startswith(spare)
            if is_ours and entry.is_file(follow_symlinks=False):
                remove(Path(entry.path))


def sync_folder(path: Path) -> None:
    """Sync the names in a folder, if the file system can; `output_failed` for an I/O error."""
    if os.name == "nt":  # Windows has no such call; NTFS journals names
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


def reason(error: Exception) -> str:
    """Return the system's text for an error, beginning in lower case."""
    if isinstance(error, OSError) and error.errno is not None:
        message = os.strerror(error.errno)
        return message[:1].lower() + message[1:]
    return escape(str(error))


def cannot_write(path: Path, error: Exception, *, into: bool = False) -> NoReturn:
    """Raise `output_failed` for an error while writing a file, or `into` a folder."""
    number = error.errno if isinstance(error, OSError) else None
    raise OutputProblem(
        f"cannot write {'into ' if into else ''}{escape(str(path))}: {reason(error)}",
        hint=_HINTS.get(number or 0, ELSEWHERE),
    ) from None


def append_line(path: Path, line: str) -> None:
    """Append a line to a text file, which is created if missing (0644 within the umask).

    An incomplete last line of an interrupted command is ended first. If the line cannot be written
    and synced (`output_failed`), a part of it is removed again.
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
        raise OutputProblem(f"{escape(str(path))} is not a regular file", hint=ELSEWHERE)
    data = f"{line}\n".encode()
    if status.st_size > 0:
        os.lseek(descriptor, -1, os.SEEK_END)
        data = b"\n" * (os.read(descriptor, 1) != b"\n") + data
    try:
        written = os.write(descriptor, data)
        if written != len(data):
            written += os.write(descriptor, data[written:])  # raises the reason
        os.fsync(descriptor)
    except OSError:
        os.ftruncate(descriptor, status.st_size)
        raise


class Queue:
    """A place in the queue of the commands that wait for a folder: first come, first served.

    The system keeps the queue as a lock of the folder (flock). So it needs no file, and a process
    that ends in any way leaves it. Windows and some network disks have no such lock: there `enter`
    never waits.
    """

    def __init__(self, folder: Path | None, patience: timedelta) -> None:
        """Stay outside the queue for now.

        Args:
            folder: an existing folder, to which read permission is enough. None: no queue.
            patience: the longest time to wait in it.
        """
        self._folder = folder
        self._patience = patience
        self._descriptor: int | None = None

    def enter(self) -> bool:
        """Wait to be the first one in the queue; return False if that takes too long.

        Ctrl-C ends the wait. A second place of the same process waits for the first one, too.
        """
        if sys.platform == "win32" or self._folder is None:
            return True
        import fcntl  # noqa: PLC0415 - Windows lacks it

        try:
            descriptor = self._descriptor = os.open(self._folder, os.O_RDONLY)
        except OSError:
            return True  # reading or writing there reports the problem
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return self._wait(descriptor)
        except OSError:
            self.leave()
        return True

    def leave(self) -> None:
        """Let the next one be first; do nothing outside the queue."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is None or sys.platform == "win32":
            return
        import fcntl  # noqa: PLC0415 - Windows lacks it

        # Closing is not enough while a forked process has the descriptor, too.
        with contextlib.suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_UN)
        os.close(descriptor)

    def _wait(self, descriptor: int) -> bool:
        """Wait in a thread: the system's wait has no limit, and this one also obeys Ctrl-C."""
        import fcntl  # noqa: PLC0415 - Windows lacks it
        import threading  # noqa: PLC0415 - needed only under load

        ended = threading.Event()

        def wait() -> None:
            with contextlib.suppress(OSError):  # the disk cannot wait for a lock
                fcntl.flock(descriptor, fcntl.LOCK_EX)
            ended.set()

        thread, in_time = threading.Thread(target=wait, daemon=True), False
        try:
            thread.start()
            in_time = ended.wait(self._patience.total_seconds())
        finally:
            if not in_time:
                self.leave()  # this also ends the wait of the thread
        if in_time:
            thread.join()
        return in_time
