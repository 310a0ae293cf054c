"""Publication: a complete temporary file first, its final name last, nothing overwritten.

Many files of one folder are made durable together: two syncs for all of them, not three for each.
Where no sync of the whole file system is known to report every error, each is synced by itself.
"""

import ctypes
import errno
import hashlib
import os
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache, partial
from pathlib import Path
from typing import Final

from polygent_issuer.errors import OutputExists, OutputProblem
from polygent_issuer.files import disk
from polygent_issuer.text import escape, for_shell

# How file systems say that they have no hard links: FAT, network shares, FUSE, some containers.
_NO_LINKS: Final = frozenset(
    {errno.EPERM, errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK, errno.EINVAL}
)
KEPT: Final = "choose another place: a key file is never written over"
"""The hint wherever the name of a private file is taken."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Prepared:
    """A temporary file, complete and synced, that awaits its name."""

    temp: Path
    private: bool = False
    data: bytes = field(repr=False)

    def publish(self, name: str) -> Path:
        """Give the file its final name and make that last; returns where it is.

        A file of this name with the same bytes counts as published (a crash may have interrupted
        us), except for private files, whose mode matters too. Either way no temporary file is left.
        A license file gets the mode that the umask allows, since it is to be mailed; a private one
        stays 0600.

        Raises:
            OutputExists: (`output_exists`) when the name is taken by anything else.
            OutputProblem: (`output_failed`) when the name cannot be given or made durable; in
                the second case the file may be there, and publishing it again is right.
        """
        target = self.give_name(name)
        disk.sync_folder(target.parent)
        return target

    def give_name(self, name: str) -> Path:
        """As `publish`, but the name is not durable before the folder is synced."""
        folder = self.temp.parent
        target = folder / name
        try:
            if target.parent != folder or target.name != name:
                raise OutputProblem(f"not the name of a file: {escape(name)}", hint=disk.ELSEWHERE)
            if not self.private:
                disk.open_to_readers(self.temp)
            self._link(target)
        except (OSError, ValueError) as error:  # ValueError: a NUL in the name
            disk.cannot_write(target, error)
        finally:
            self.discard()
        return target

    def discard(self) -> None:
        """Remove the temporary file, if it is there and can be removed."""
        disk.remove(self.temp)

    def _link(self, target: Path) -> None:
        try:
            _link(self.temp, target)
        except FileExistsError:
            self._accept_existing(target)
        except OSError as error:
            if error.errno not in _NO_LINKS:
                raise
            self._take_name(target)

    def _take_name(self, target: Path) -> None:
        """Without hard links: hold the name with an empty file, then move over that."""
        try:
            disk.write_new(target, b"")
        except FileExistsError:
            self._accept_existing(target)
            return
        try:
            self.temp.replace(target)
        except BaseException:
            if disk.content(target, limit=0) == b"":  # another process may have filled it
                disk.remove(target)
            raise

    def _accept_existing(self, target: Path) -> None:
        present = disk.content(target, limit=len(self.data))
        if present == self.data and not self.private:
            return
        hint = KEPT if self.private else f"remove it or {disk.ELSEWHERE}"
        if present == b"":
            hint = f"it is empty, so an interrupted command may have left it: {hint}"
        raise OutputExists(f"{escape(str(target))} exists already", hint=hint)


def prepare(
    data: bytes, folder: Path, *, temp_name: str, private: bool = False, sync: bool = True
) -> Prepared:
    """Write a new temporary file (0600) in the folder where it shall be published.

    Without `sync` the caller makes it durable, together with others. What fails is `output_failed`.
    """
    try:
        temp = disk.write_temporary(folder / temp_name, data, sync=sync)
    except (OSError, ValueError) as error:
        disk.cannot_write(folder, error, into=True)
    return Prepared(temp=temp, data=data, private=private)


def prepare_with(
    fill: Callable[[Path], object], target: Path, *, temp_name: str | None = None
) -> Prepared:
    """Let somebody fill a private temporary file (0600) beside its target, and sync it.

    Nothing is left when `fill` raises; what cannot be written is `output_failed`.
    """
    name = temp_name or _temp_name(target)
    prepared = prepare(b"", target.parent, temp_name=name, private=True)
    try:
        fill(prepared.temp)
        disk.sync_file(prepared.temp)
    except (OSError, ValueError) as error:
        prepared.discard()
        disk.cannot_write(target.parent, error, into=True)
    except BaseException:
        prepared.discard()
        raise
    return prepared


def publish(data: bytes, target: Path, *, private: bool = False) -> Path:
    """Write a file under its final name, whole or not at all: `prepare` and `Prepared.publish`."""
    temp_name = _temp_name(target)
    return prepare(data, target.parent, temp_name=temp_name, private=private).publish(target.name)


def write_private(data: bytes, path: Path) -> Path:
    """Write a key file or a backup as `publish` does: 0600 from its first byte."""
    return publish(data, path, private=True)


def replace(data: bytes, path: Path, mode: int = disk.PRIVATE) -> None:
    """Put new content in the place of a file that is ours (settings), or the old is kept.

    A symbolic link stays one: what it names is replaced. What fails is `output_failed`.
    """
    try:
        real = _resolved(path)
        temp = disk.write_temporary(real.with_name(_temp_name(real)), data, mode=mode)
        try:
            temp.replace(real)
        except BaseException:
            disk.remove(temp)
            raise
        disk.sync_folder(real.parent)
    except (OSError, ValueError, RuntimeError) as error:  # RuntimeError: a loop, before 3.13
        disk.cannot_write(path, error)


def require_folder(folder: Path, elsewhere: str) -> None:
    """Check that files can be written there; else `output_failed`, with `elsewhere` as its hint."""
    place = str(folder)
    if not disk.is_folder(folder):
        raise OutputProblem(
            f"there is no folder {escape(place)}", hint=f"mkdir -p {for_shell(place)}"
        )
    if not os.access(place, os.W_OK | os.X_OK):
        raise OutputProblem(f"no right to write into {escape(place)}", hint=elsewhere)


def require_free(target: Path, elsewhere: str) -> None:
    """Check that a file can get a name that is free; else `output_exists` or `output_failed`."""
    place = escape(str(target))
    try:
        target.lstat()
    except FileNotFoundError:
        return
    except OSError as problem:
        reason = (problem.strerror or "").lower()
        raise OutputProblem(f"no file can be at {place}: {reason}", hint=elsewhere) from None
    raise OutputExists(f"{place} exists already, and nothing is overwritten", hint=elsewhere)


def set_aside(path: Path, kept: Path) -> Callable[[], object]:
    """Give a file a second name, so that it stays when something else takes its first.

    Where there are no hard links it is moved, and for a moment nothing has the first name. What
    undoes it is returned.
    """
    try:
        _link(path, kept)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        path.rename(kept)
        return partial(kept.replace, path)
    return partial(disk.remove, kept)


def _resolved(path: Path) -> Path:
    real = path.resolve()
    if real.is_symlink():  # a loop of links, which Python 3.13 no longer refuses by itself
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
    return real


def _link(path: Path, name: Path) -> None:
    os.link(path, name, follow_symlinks=os.link not in os.supports_follow_symlinks)


def _temp_name(target: Path) -> str:
    """Name a temporary file shortly: a target of 255 bytes leaves room for no suffix."""
    digest = hashlib.sha256(os.fsencode(target.name)).hexdigest()[:16]
    return f".polygent-{digest}-{os.getpid()}.tmp"


# Before it, Linux forgot a failed write before syncfs(2) could tell of it.
_REPORTING: Final = (5, 8)
# The magic numbers of statfs(2): ext2 to ext4, XFS, Btrfs, F2FS, tmpfs. Of overlayfs the layer
# below keeps the error to itself, FUSE does not pass the call on, and of others nobody has looked.
_KNOWN: Final = frozenset({0xEF53, 0x58465342, 0x9123683E, 0xF2F52010, 0x01021994})
_STATFS_BYTES: Final = 256  # more than any system's struct statfs


class BatchPublication:
    """Files of one folder that are prepared one by one, synced at once, published one by one."""

    def __init__(self, folder: Path, prefix: str) -> None:
        """Take files for a folder; the names of temporary files begin with the prefix."""
        self._folder = folder
        self._prefix = prefix
        self._prepared: dict[str, Prepared] = {}
        self._descriptor: int | None = None

    def prepare(self, data: bytes, name: str) -> None:
        """Write a temporary file that is to get this name, as `prepare` does, not yet durable."""
        if not self._prepared:
            self._descriptor = _watch(self._folder)
        temp_name = f"{self._prefix}{len(self._prepared)}-{os.getpid()}.tmp"
        self._prepared[name] = prepare(data, self._folder, temp_name=temp_name, sync=False)

    def sync(self) -> None:
        """Make every prepared file durable; after a fault of the disk (`output_failed`) none is."""
        try:
            if self._descriptor is not None:
                _sync_all(self._descriptor)
            else:
                for each in self._prepared.values():
                    disk.sync_file(each.temp)
        except OSError as error:
            disk.cannot_write(self._folder, error, into=True)
        finally:
            self._close()

    def publish(self) -> dict[str, OutputProblem]:
        """Give each its name; return why which did not get theirs.

        Names that cannot be made durable are `output_failed`.
        """
        unpublished = {}
        for name, each in self._prepared.items():
            try:
                each.give_name(name)
            except OutputProblem as problem:
                unpublished[name] = problem
        if self._prepared:
            self._prepared.clear()
            disk.sync_folder(self._folder)
        return unpublished

    def discard(self) -> None:
        """Remove what has not got its name."""
        for each in self._prepared.values():
            each.discard()
        self._prepared.clear()
        self._close()

    def _close(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def _watch(folder: Path) -> int | None:
    """Open a folder for `_sync_all`; None where that would not report every error.

    Open before the first write: of a fault that another program's sync is told of meanwhile, only
    who had opened something before it is told as well (errseq in Linux).
    """
    if _syncfs() is None:
        return None
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except (OSError, ValueError):  # one that we may write but not read; others fail at the write
        return None
    if _file_system(descriptor) in _KNOWN:
        return descriptor
    os.close(descriptor)
    return None


def _sync_all(descriptor: int) -> None:
    """Sync the whole file system of an open folder; OSError for a fault that it reports."""
    call = _syncfs()
    if call is not None and call(descriptor) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def _file_system(descriptor: int) -> int | None:
    """The magic number of the file system of an open folder, which is the first of its statfs."""
    status = ctypes.create_string_buffer(_STATFS_BYTES)
    if ctypes.CDLL(None).fstatfs(descriptor, status) != 0:
        return None
    return ctypes.c_ulong.from_buffer(status).value


@cache
def _syncfs() -> "ctypes._NamedFuncPointer | None":
    """syncfs(2), where it tells of every failed write."""
    if sys.platform != "linux":
        return None
    release = re.match(r"(\d+)\.(\d+)", os.uname().release)
    if release is None or (int(release[1]), int(release[2])) < _REPORTING:
        return None
    return getattr(ctypes.CDLL(None, use_errno=True), "syncfs", None)
