"""Loop disks are always unmounted."""

from pathlib import Path

import pytest

from support.loop_disk import LoopDisk


@pytest.mark.power
def test_a_loop_disk_is_unmounted_after_an_exception(tmp_path: Path) -> None:
    """A block with a disk unmounts it after an exception, and does nothing if it is not mounted."""

    def fail(disk: LoopDisk) -> None:
        with disk:
            disk.mount()
            raise KeyboardInterrupt

    disk = LoopDisk(tmp_path / "it")
    with pytest.raises(KeyboardInterrupt):
        fail(disk)
    assert not disk.place.is_mount()
    with disk:
        pass
