"""Many files of one folder, made durable together: two syncs for all of them, not three for each.

As with one file (`publication`), complete temporary files come first and final names last, and
nothing is overwritten. Where no sync of the whole file system is known to report every error, each
file is synced by itself.
"""

import ctypes
import os
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

from polygent_issuer.errors import OutputProblem
from polygent_issuer.files import disk
from polygent_issuer.files.publication import Prepared

# Before it, Linux forgot a failed write before syncfs(2) could tell of it.
_REPORTING: Final = (5, 8)
# The magic numbers of statfs(2): ext2 to ext4, XFS, Btrfs, F2FS, tmpfs. Of overlayfs the layer
# below keeps the error to itself, FUSE does not pass the call on, and of others nobody has looked.
_KNOWN: Final = frozenset({0xEF53, 0x58465342, 0x9123683E, 0xF2F52010, 0x01021994})
_STATFS_BYTES: Final = 256  # more than any system's struct statfs


@dataclass(frozen=True, kw_only=True, slots=True)
class Unpublished:
    """A prepared file that did not get its name, and why."""

    name: str
    problem: OutputProblem


class Together:
    """Files that are prepared one by one, synced at once, and published one by one."""

    def __init__(self, folder: Path, prefix: str) -> None:
        """Take files for a folder.

        Args:
            folder: where they shall be.
            prefix: how the names of temporary files begin; what a crash leaves is swept by it.
        """
        self._folder = folder
        self._prefix = prefix
        self._prepared: dict[str, Prepared] = {}
        self._descriptor: int | None = None

    def prepare(self, data: bytes, name: str) -> None:
        """Write a temporary file, not yet durable.

        Args:
            data: its bytes.
            name: the final name.

        Raises:
            OutputProblem: (`output_failed`) when it cannot be written.
        """
        temp = self._folder / f"{self._prefix}{len(self._prepared)}-{os.getpid()}.tmp"
        try:
            if not self._prepared:
                self._descriptor = _watch(self._folder)
            temp = disk.write_temporary(temp, data, sync=False)
        except (OSError, ValueError) as error:
            disk.cannot_write(self._folder, error, into=True)
        self._prepared[name] = Prepared(folder=self._folder, temp=temp, data=data)

    def sync(self) -> None:
        """Make every prepared file durable.

        Raises:
            OutputProblem: (`output_failed`) when the disk reports a fault; none counts then.
        """
        if not self._prepared:
            return
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

    def publish(self) -> Iterator[Unpublished]:
        """Give each its name, and make the names durable; tells which did not get theirs.

        Raises:
            OutputProblem: (`output_failed`) when the names cannot be made durable.
        """
        for name, each in self._prepared.items():
            try:
                each.give_name(name)
            except OutputProblem as problem:
                yield Unpublished(name=name, problem=problem)
        if self._prepared:
            self._prepared.clear()
            disk.sync_folder(self._folder)

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

    Raises:
        OSError: whatever the system says.
    """
    if _syncfs() is None:
        return None
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except PermissionError:  # one that we may write but not read
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
    found = ctypes.create_string_buffer(_STATFS_BYTES)
    if ctypes.CDLL(None).fstatfs(descriptor, found) != 0:
        return None
    return ctypes.c_ulong.from_buffer(found).value


@cache
def _syncfs() -> "ctypes._NamedFuncPointer | None":
    """syncfs(2), where it tells of every failed write."""
    if sys.platform != "linux":
        return None
    release = re.match(r"(\d+)\.(\d+)", os.uname().release)
    if release is None or (int(release[1]), int(release[2])) < _REPORTING:
        return None
    return getattr(ctypes.CDLL(None, use_errno=True), "syncfs", None)
