"""Adding a line to a file that somebody keeps: durable, or not there at all."""

import os
import stat
from pathlib import Path
from typing import Final

from polygent_issuer.errors import OutputProblem
from polygent_issuer.files import disk
from polygent_issuer.text import escape

_READABLE: Final = 0o644
_FLAGS: Final = (
    os.O_RDWR
    | os.O_APPEND
    | os.O_CREAT
    | disk.NO_WAIT  # a pipe is refused, not waited for
    | getattr(os, "O_BINARY", 0)
)


def append_line(path: Path, line: str) -> None:
    """Add one line to a text file, made if need be (0644 as far as the umask allows).

    A last line that an interrupted command left unfinished is ended first. What was there before
    is never changed.

    Args:
        path: a plain file; links are followed.
        line: without its line end.

    Raises:
        OutputProblem: (`output_failed`) when it cannot be written durably; half a line is taken
            back.
    """
    try:
        descriptor = os.open(path, _FLAGS, _READABLE)
        try:
            _append(descriptor, path, line)
        finally:
            os.close(descriptor)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        disk.cannot_write(path, error)
    disk.sync_folder(path.absolute().parent)


def _append(descriptor: int, path: Path, line: str) -> None:
    found = os.fstat(descriptor)
    if not stat.S_ISREG(found.st_mode):
        raise OutputProblem(f"{escape(str(path))} is not a plain file", hint=disk.ELSEWHERE)
    unfinished = found.st_size > 0 and _last_byte(descriptor, found.st_size) != b"\n"
    data = b"\n" * unfinished + f"{line}\n".encode()
    try:
        written = os.write(descriptor, data)
        if written != len(data):
            written += os.write(descriptor, data[written:])  # says why there is no more room
        os.fsync(descriptor)
    except OSError:
        os.ftruncate(descriptor, found.st_size)
        raise


def _last_byte(descriptor: int, size: int) -> bytes:
    os.lseek(descriptor, size - 1, os.SEEK_SET)
    return os.read(descriptor, 1)
