"""A disk in a file whose power can be cut, so that data that is not synced is lost.

It is mounted with `commit=300`, so that the file system writes its journal only at a sync. The loop
device passes each write on to the file. A copy of the file therefore has what reached the disk, and
nothing that is still in the page cache of the mounted file system.
"""

import os
import shutil
import subprocess
from pathlib import Path
from typing import Self

SIZE = 24 * 1024 * 1024


class LoopDisk:
    """An ext4 file system in a file, and its mount point."""

    def __init__(self, folder: Path) -> None:
        """Create the folder and an unmounted file system in it; needs root."""
        folder.mkdir()
        self.place = folder / "disk"
        self.place.mkdir()
        self._image, self._fresh, self._cut = (folder / f"{n}.img" for n in ("now", "fresh", "cut"))
        self._image.touch()
        os.truncate(self._image, SIZE)
        subprocess.run(["mkfs.ext4", "-q", str(self._image)], check=True)

    def mount(self) -> None:
        """Mount the file system as it is."""
        subprocess.run(
            ["mount", "-o", "loop,commit=300", str(self._image), str(self.place)], check=True
        )

    def __enter__(self) -> Self:
        """Return itself; the end of the block unmounts it."""
        return self

    def __exit__(self, *_: object) -> None:
        """Unmount it, if it is mounted."""
        if self.place.is_mount():
            self.unmount()

    def unmount(self) -> None:
        """Unmount it, which writes everything."""
        subprocess.run(["umount", str(self.place)], check=True)

    def keep(self) -> None:
        """Unmount it, and save its state."""
        self.unmount()
        shutil.copyfile(self._image, self._fresh)

    def put_back(self) -> None:
        """Mount the saved state."""
        shutil.copyfile(self._fresh, self._image)
        self.mount()

    def cut(self) -> None:
        """Copy the present content of the disk, while a command writes to it."""
        shutil.copyfile(self._image, self._cut)

    def restart(self) -> None:
        """Mount the disk as it was at the cut; its journal is replayed."""
        self.unmount()
        shutil.copyfile(self._cut, self._image)
        self.mount()

    def sync_another_file(self) -> None:
        """Sync another file, which makes names durable whose content is not synced."""
        other = os.open(self.place / "other", os.O_CREAT | os.O_WRONLY, 0o600)
        os.write(other, b"x")
        os.fsync(other)
        os.close(other)
