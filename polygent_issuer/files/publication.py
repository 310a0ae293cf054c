"""Atomic publication: write a temporary file, then give it its final name; never overwrite.

Many files of one folder are synced together: two syncs for all of them instead of three for each.
Each file is synced separately unless a sync of the whole file system is known to report all errors.
"""

import errno
import hashlib
import os
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from polygent_issuer.errors import OutputExists, OutputProblem
from polygent_issuer.files import disk
from polygent_issuer.text import escape, for_shell

if TYPE_CHECKING:
    import ctypes

# Error numbers of file systems without hard links: FAT, network shares, FUSE, some containers.
_NO_LINKS: Final = frozenset(
    {errno.EPERM, errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK, errno.EINVAL}
)
NEVER_OVERWRITTEN: Final = "choose another path; key files are never overwritten"
"""The hint for a private file whose name is taken."""
# The first Linux whose syncfs(2) reports every failed write.
_REPORTING_LINUX: Final = (5, 8)
# Magic numbers of statfs(2): ext2 to ext4, XFS, Btrfs, F2FS, tmpfs. Overlayfs does not report
# errors of the layer below, FUSE does not pass the call on, and other file systems are untested.
_KNOWN_FILE_SYSTEMS: Final = frozenset({0xEF53, 0x58465342, 0x9123683E, 0xF2F52010, 0x01021994})
_STATFS_BYTES: Final = 256  # more than any system's struct statfs


@dataclass(frozen=True, kw_only=True, slots=True)
class Prepared:
    """A complete, synced temporary file without its final name."""

    temp: Path
    private: bool = False
    data: bytes = field(repr=False)

    def publish(self, name: str) -> Path:
        """Give the file its final name, and sync that; return the path.

        An existing file of this name with the same bytes counts as published, because a crash may
        have interrupted the publication. This does not apply to private files, whose mode matters,
        too. The temporary file is removed in any case. A license file gets the mode that the umask
        allows, because it will be mailed. A private file stays 0600.

        Raises:
            OutputExists: (`output_exists`) when another file has the name.
            OutputProblem: (`output_failed`) when the file cannot be linked, or the name cannot be
                synced; in the second case the file may exist, and can be published again.
        """
        target = self.give_name(name)
        disk.sync_folder(target.parent)
        return target

    def give_name(self, name: str) -> Path:
        """Give the file its final name as `publish` does, but leave the sync to the caller."""
        folder = self.temp.parent
        target = folder / name
        try:
            if target.parent != folder or target.name != name:
                raise OutputProblem(f"not a file name: {escape(name)}", hint=disk.ELSEWHERE)
            if not self.private:
                disk.open_to_readers(self.temp)
            self._link(target)
        except (OSError, ValueError) as error:  # ValueError: a NUL in the name
            disk.cannot_write(target, error)
        finally:
            self.discard()
        return target

    def discard(self) -> None:
        """Remove the temporary file; ignore errors."""
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
        """Without hard links: reserve the name with an empty file, then rename over it."""
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
        hint = NEVER_OVERWRITTEN if self.private else f"remove it or {disk.ELSEWHERE}"
        if present == b"":
            hint = f"it is empty, perhaps left by an interrupted command: {hint}"
        raise OutputExists(f"{escape(str(target))} already exists", hint=hint)


def prepare(
    data: bytes, folder: Path, *, temp_name: str, private: bool = False, sync: bool = True
) -> Prepared:
    """Write a new temporary file (0600) in the folder of the publication.

    Without `sync` the caller syncs several files at once. An error is `output_failed`.
    """
    try:
        temp = disk.write_temporary(folder / temp_name, data, sync=sync)
    except (OSError, ValueError) as error:
        disk.cannot_write(folder, error, into=True)
    return Prepared(temp=temp, data=data, private=private)


def prepare_with(
    fill: Callable[[Path], object], target: Path, *, temp_name: str | None = None
) -> Prepared:
    """Create a private temporary file (0600) in the target's folder, call `fill` with it, sync it.

    The file is removed if `fill` raises. A file that cannot be written is `output_failed`.
    """
    name = temp_name or _temp_name(target)
    prepared = prepare(b"", target.parent, temp_name=name, private=True)
    try:
        fill(prepared.temp)
        disk.sync_file(prepared.temp)
    except BaseException as error:
        prepared.discard()
        if isinstance(error, OSError | ValueError):
            disk.cannot_write(target.parent, error, into=True)
        raise
    return prepared


def publish(data: bytes, target: Path, *, private: bool = False) -> Path:
    """Write a file under its final name, completely or not at all: `prepare` and `publish`."""
    temp_name = _temp_name(target)
    return prepare(data, target.parent, temp_name=temp_name, private=private).publish(target.name)


def write_private(data: bytes, path: Path) -> Path:
    """Write a key file or a backup as `publish` does, with mode 0600 from its first byte."""
    return publish(data, path, private=True)


@dataclass(frozen=True, kw_only=True, slots=True)
class Replacement:
    """A complete, synced temporary file (`temp`) that will replace the file `target`."""

    temp: Path
    target: Path

    def rename(self) -> None:
        """Replace the file atomically; the caller then syncs the folder of `target`.

        After an error (`output_failed`) the old file stays, and the temporary one is removed.
        """
        try:
            self.temp.replace(self.target)
        except BaseException as error:
            self.discard()
            if isinstance(error, OSError):
                disk.cannot_write(self.target, error)
            raise

    def discard(self) -> None:
        """Remove the temporary file; ignore errors."""
        disk.remove(self.temp)


def prepare_replacement(data: bytes, path: Path, mode: int = disk.PRIVATE) -> Replacement:
    """Write the new content of an existing file to a temporary file in its folder, and sync it.

    A symbolic link stays a link, and its target will be replaced. An error is `output_failed`.
    """
    try:
        real = _resolved(path)
        temp = disk.write_temporary(real.with_name(_temp_name(real)), data, mode=mode)
    except (OSError, ValueError, RuntimeError) as error:  # RuntimeError: a loop, before 3.13
        disk.cannot_write(path, error)
    return Replacement(temp=temp, target=real)


def replace(data: bytes, path: Path, mode: int = disk.PRIVATE) -> None:
    """Replace the content of an existing file (settings) atomically, as `prepare_replacement`."""
    replacement = prepare_replacement(data, path, mode)
    replacement.rename()
    disk.sync_folder(replacement.target.parent)


def sweep_replacements(path: Path) -> None:
    """Remove temporary files of interrupted replacements of a file; call it under its lock."""
    try:
        real = _resolved(path)
    except (OSError, ValueError, RuntimeError):
        return  # writing it reports the problem
    disk.sweep(real.parent, _temp_prefix(real))


def require_folder(folder: Path, elsewhere: str) -> None:
    """Check that files can be written into a folder; else `output_failed`, hint `elsewhere`."""
    place = str(folder)
    if not disk.is_folder(folder):
        raise OutputProblem(
            f"the folder {escape(place)} does not exist", hint=f"mkdir -p {for_shell(place)}"
        )
    if not os.access(place, os.W_OK | os.X_OK):
        raise OutputProblem(f"no permission to write into {escape(place)}", hint=elsewhere)


def require_free(target: Path, elsewhere: str) -> None:
    """Check that a path is free for a new file; else `output_exists` or `output_failed`."""
    try:
        target.lstat()
    except FileNotFoundError:
        return
    except OSError as problem:
        place, reason = escape(str(target)), (problem.strerror or "").lower()
        raise OutputProblem(f"cannot write {place}: {reason}", hint=elsewhere) from None
    raise OutputExists(
        f"{escape(str(target))} already exists; files are never overwritten", hint=elsewhere
    )


def set_aside(path: Path, kept: Path) -> Callable[[], object]:
    """Give a file a second name, so that it stays when its first name is given to another file.

    Without hard links the file is renamed, so the first name is free for a moment. Return a
    function that undoes this.
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
    if real.is_symlink():  # a loop of links, which `resolve` does not refuse since Python 3.13
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
    return real


def _link(path: Path, name: Path) -> None:
    os.link(path, name, follow_symlinks=os.link not in os.supports_follow_symlinks)


def _temp_name(target: Path) -> str:
    return f"{_temp_prefix(target)}{os.getpid()}.tmp"


def _temp_prefix(target: Path) -> str:
    """Return a short prefix: a target name of 255 bytes leaves no room for a suffix."""
    digest = hashlib.sha256(os.fsencode(target.name)).hexdigest()[:16]
    return f".polygent-{digest}-"


class BatchPublication:
    """Files of one folder that are prepared one at a time, synced together, and then published."""

    def __init__(self, folder: Path, prefix: str) -> None:
        """Prepare files for a folder; their temporary names begin with the prefix."""
        self._folder = folder
        self._prefix = prefix
        self._prepared: dict[str, Prepared] = {}
        self._descriptor: int | None = None

    def prepare(self, data: bytes, name: str) -> None:
        """Write a temporary file for this name, as `prepare` does, without a sync."""
        if not self._prepared:
            self._descriptor = _watch(self._folder)
        temp_name = f"{self._prefix}{len(self._prepared)}-{os.getpid()}.tmp"
        self._prepared[name] = prepare(data, self._folder, temp_name=temp_name, sync=False)

    def sync(self) -> None:
        """Sync every prepared file; after an I/O error (`output_failed`) none counts as synced."""
        try:
            if self._descriptor is not None:
                _sync_all(self._descriptor)
            else:
                for prepared in self._prepared.values():
                    disk.sync_file(prepared.temp)
        except OSError as error:
            disk.cannot_write(self._folder, error, into=True)
        finally:
            self._close()

    def publish(self) -> dict[str, OutputProblem]:
        """Give each file its name; return the error of each file that did not get its name.

        If the names cannot be synced, the error is `output_failed`.
        """
        unpublished = {}
        for name, prepared in self._prepared.items():
            try:
                prepared.give_name(name)
            except OutputProblem as problem:
                unpublished[name] = problem
        if self._prepared:
            self._prepared.clear()
            disk.sync_folder(self._folder)
        return unpublished

    def discard(self) -> None:
        """Remove the files without a final name."""
        for prepared in self._prepared.values():
            prepared.discard()
        self._prepared.clear()
        self._close()

    def _close(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def _watch(folder: Path) -> int | None:
    """Open a folder for `_sync_all`; None if that would not report every error.

    The folder is opened before the first write. If a sync of another program reports an error,
    Linux reports it to other descriptors only if they were opened before the error (errseq).
    """
    if _syncfs() is None:
        return None
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except (OSError, ValueError):  # no read permission; all other errors appear at the write
        return None
    if _file_system(descriptor) in _KNOWN_FILE_SYSTEMS:
        return descriptor
    os.close(descriptor)
    return None


def _sync_all(descriptor: int) -> None:
    """Sync the whole file system of an open folder; OSError for an error that it reports."""
    import ctypes  # noqa: PLC0415  # 5 ms, which only a batch needs

    call = _syncfs()
    if call is not None and call(descriptor) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def _file_system(descriptor: int) -> int | None:
    """Return the magic number of the file system of an open folder, the first field of statfs."""
    import ctypes  # noqa: PLC0415  # 5 ms, which only a batch needs

    status = ctypes.create_string_buffer(_STATFS_BYTES)
    if ctypes.CDLL(None).fstatfs(descriptor, status) != 0:
        return None
    return ctypes.c_ulong.from_buffer(status).value


@cache
def _syncfs() -> "ctypes._NamedFuncPointer | None":
    """Return syncfs(2) if it reports every failed write."""
    import ctypes  # noqa: PLC0415  # 5 ms, which only a batch needs

    if sys.platform != "linux":
        return None
    release = re.match(r"(\d+)\.(\d+)", os.uname().release)
    if release is None or (int(release[1]), int(release[2])) < _REPORTING_LINUX:
        return None
    return getattr(ctypes.CDLL(None, use_errno=True), "syncfs", None)
