"""Small disks that a test can fill or make read-only."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from support.tools import require_tool


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
def memory_folder() -> Iterator[Path]:
    """Create a folder on Linux's disk in memory, which is another one than that of the desk."""
    with TemporaryDirectory(dir="/dev/shm") as folder:
        yield Path(folder)
