"""Small disks that a test can fill or make read-only."""

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory, gettempdir

import pytest

from support.tools import require_tool

# Linux's disk in memory, and the bytes that must be free on it.
_MEMORY = Path("/dev/shm")  # noqa: S108  # each use makes a folder of its own in it
_ENOUGH = 2 << 30


def disk_in_memory() -> Path | None:
    """Return the disk in memory, if there is one with enough space for the files of the tests."""
    return _MEMORY if _MEMORY.is_dir() and shutil.disk_usage(_MEMORY).free > _ENOUGH else None


@contextmanager
def mounted(folder: Path, *, size: str) -> Iterator[Path]:
    """Mount a new disk of this size (`64k`, `1m`); without the right to mount the test skips."""
    folder.mkdir()
    mount = [require_tool("mount", "mount"), "-t", "tmpfs", "-o", f"size={size}"]
    if subprocess.run([*mount, "tmpfs", str(folder)], check=False, capture_output=True).returncode:
        pytest.skip("needs the right to mount: run as root, outside an unprivileged container")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


@contextmanager
def folder_on_another_disk(folder: Path) -> Iterator[Path]:
    """Create a folder that is not on the disk of this one: in memory, or in `/tmp`."""
    disk = folder.stat().st_dev
    [parent, *_] = [each for each in (_MEMORY, Path(gettempdir())) if each.stat().st_dev != disk]
    with TemporaryDirectory(dir=parent) as other:
        yield Path(other)
