"""A disk in a file, whose power can be cut: what is not synced is only in memory, and is lost.

It is mounted with `commit=300`, so that the file system writes its journal only when somebody
syncs. The loop device hands each write on to the file, so a copy of the file has what the disk was
given and nothing of what waits in the page cache of the mounted file system.
"""

import os
import shutil
import subprocess
from pathlib import Path
from typing import Self

SIZE = 24 * 1024 * 1024


class LoopDisk:
    """An ext4 file system in a file, and where it is mounted."""

    def __init__(self, folder: Path) -> None:
        """Make the folder and the file system in it, not yet mounted; needs root."""
        folder.mkdir()
        self.place = folder / "disk"
        self.place.mkdir()
        self._image, self._fresh, self._cut = (folder / f"{n}.img" for n in ("now", "fresh", "cut"))
        self._image.touch()
        os.truncate(self._image, SIZE)
        subprocess.run(["mkfs.ext4", "-q", str(self._image)], check=True)

    def mount(self) -> None:
        """Mount it as it is."""
        subprocess.run(
            ["mount", "-o", "loop,commit=300", str(self._image), str(self.place)], check=True
        )

    def __enter__(self) -> Self:
        """However the block ends, nothing stays mounted."""
        return self

    def __exit__(self, *_: object) -> None:
        """Let go of it, if it is mounted."""
        if self.place.is_mount():
            self.unmount()

    def unmount(self) -> None:
        """Let go of it; everything is written."""
        subprocess.run(["umount", str(self.place)], check=True)

    def keep(self) -> None:
        """Unmount it, and remember it as it is."""
        self.unmount()
        shutil.copyfile(self._image, self._fresh)

    def put_back(self) -> None:
        """Mount it as it was remembered."""
        shutil.copyfile(self._fresh, self._image)
        self.mount()

    def cut(self) -> None:
        """Note what the disk holds at this moment, while somebody writes to it."""
        shutil.copyfile(self._image, self._cut)

    def restart(self) -> None:
        """Mount it as it was at the cut, where it was: its journal is replayed."""
        self.unmount()
        shutil.copyfile(self._cut, self._image)
        self.mount()

    def sync_another_file(self) -> None:
        """Sync a file of somebody else, which makes names last whose content nobody has synced."""
        other = os.open(self.place / "other", os.O_CREAT | os.O_WRONLY, 0o600)
        os.write(other, b"x")
        os.fsync(other)
        os.close(other)
