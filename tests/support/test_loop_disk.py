"""A disk that is cut off leaves nothing behind."""

from pathlib import Path

import pytest

from support.loop_disk import LoopDisk


@pytest.mark.power
def test_nothing_stays_mounted(tmp_path: Path) -> None:
    """Whatever goes wrong while it is mounted; and where it is not, nothing does."""

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
