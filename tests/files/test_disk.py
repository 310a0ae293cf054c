"""Lines that are appended to a file, and the queue of a folder.

A line is durable and whole, and earlier lines stay. The queue serves the first first, and a process
that ends leaves it.
"""

import errno
import fcntl
import os
import signal
import stat
import subprocess
import sys
import threading
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from support.waiting import eventually

from polygent_issuer.errors import OutputProblem
from polygent_issuer.files import disk
from polygent_issuer.files.disk import Queue


def test_lines_are_appended(tmp_path: Path) -> None:
    """Lines are appended to a file that others can read at most."""
    path = tmp_path / "heads"
    before = os.umask(0)
    try:
        disk.append_line(path, "one")
        disk.append_line(path, "zwei ü")
    finally:
        os.umask(before)
    assert path.read_bytes() == "one\nzwei ü\n".encode()
    assert stat.S_IMODE(path.stat().st_mode) == 0o644


def test_an_unfinished_line_is_ended_first(tmp_path: Path) -> None:
    """A line after an incomplete one begins on a new line."""
    path = tmp_path / "heads"
    path.write_bytes(b"whole\nhal")
    disk.append_line(path, "next")
    assert path.read_bytes() == b"whole\nhal\nnext\n"


def test_a_link_is_followed(tmp_path: Path) -> None:
    """If the file is a link, the line is appended to its target."""
    (tmp_path / "link").symlink_to(tmp_path / "real")
    disk.append_line(tmp_path / "link", "one")
    assert (tmp_path / "real").read_bytes() == b"one\n"


def test_a_line_is_appended_to_a_regular_file_only(tmp_path: Path) -> None:
    """A pipe, a device, a folder, a missing folder and a NUL are refused with a hint."""
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    for path in (
        tmp_path / "pipe",
        Path("/dev/full"),
        Path("/dev/null"),
        tmp_path / "folder",
        tmp_path / "missing" / "heads",
        tmp_path / "a\0b",
    ):
        with pytest.raises(OutputProblem) as caught:
            disk.append_line(path, "one")
        assert caught.value.hint


def test_a_part_of_a_line_is_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If the disk is full in the middle of the line, the file is not changed."""
    path = tmp_path / "heads"
    path.write_bytes(b"old\n")
    write = os.write

    def stingy(descriptor: int, data: bytes) -> int:
        if len(data) <= 3:
            raise OSError(28, "No space left on device")
        return write(descriptor, data[:-3])

    monkeypatch.setattr(os, "write", stingy)
    with pytest.raises(OutputProblem, match="no space"):
        disk.append_line(path, "new line")
    assert path.read_bytes() == b"old\n"


LONG = timedelta(minutes=1)
NOW = timedelta(0)

# Waits in the queue of the folder, and reports when it has its turn.
WAITER = """
import sys
from datetime import timedelta
from pathlib import Path
from polygent_issuer.files.disk import Queue

queue = Queue(Path(sys.argv[1]), timedelta(minutes=1))
try:
    print(queue.enter(), flush=True)
    sys.stdin.read()
except KeyboardInterrupt:
    print("interrupted", flush=True)
"""


def waiter(folder: Path) -> subprocess.Popen[str]:
    """Start another process that enters the folder's queue."""
    command = [sys.executable, "-c", WAITER, str(folder)]
    return subprocess.Popen(command, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE)


def waiting(folder: Path) -> int:
    """Return how many wait in the folder's queue, as the kernel lists them."""
    inode = f":{folder.stat().st_ino} "
    lines = Path("/proc/locks").read_text(encoding="ascii").splitlines()
    return sum(" -> FLOCK " in line and inode in line for line in lines)


def is_free(folder: Path) -> bool:
    """Return whether the queue is empty."""
    queue = Queue(folder, NOW)
    try:
        return queue.enter()
    finally:
        queue.leave()


def test_first_come_first_served(tmp_path: Path) -> None:
    """Each waits until those before it have left, in the order of their arrival."""
    first, order = Queue(tmp_path, LONG), list[int]()
    assert first.enter()

    def work(number: int) -> Callable[[], None]:
        def wait() -> None:
            queue = Queue(tmp_path, LONG)
            assert queue.enter()
            order.append(number)
            queue.leave()

        return wait

    threads = [threading.Thread(target=work(number)) for number in range(5)]
    for number, thread in enumerate(threads):
        thread.start()
        assert eventually(lambda number=number: waiting(tmp_path) == number + 1)  # type: ignore[misc]
    assert order == []
    first.leave()
    for thread in threads:
        thread.join(60)
    assert order == [0, 1, 2, 3, 4]
    assert is_free(tmp_path)


def test_whoever_gives_up_is_not_in_the_queue(tmp_path: Path) -> None:
    """After its patience a place is given up, also if the turn would come later."""
    first, second = Queue(tmp_path, LONG), Queue(tmp_path, timedelta(milliseconds=10))
    assert first.enter()
    assert not second.enter()
    first.leave()
    assert eventually(lambda: waiting(tmp_path) == 0)
    assert eventually(lambda: is_free(tmp_path))


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_a_killed_process_leaves_the_queue(tmp_path: Path, how: signal.Signals) -> None:
    """The next one has its turn at once."""
    with waiter(tmp_path) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "True\n"
        assert not is_free(tmp_path)
        other.send_signal(how)
        other.wait(60)
        assert is_free(tmp_path)


def test_ctrl_c_ends_the_wait(tmp_path: Path) -> None:
    """A command that waits for its turn can be interrupted, and leaves the queue."""
    queue = Queue(tmp_path, LONG)
    assert queue.enter()
    with waiter(tmp_path) as other:
        assert eventually(lambda: waiting(tmp_path) == 1)
        other.send_signal(signal.SIGINT)
        assert other.communicate(timeout=60)[0] == "interrupted\n"
    assert waiting(tmp_path) == 0
    queue.leave()
    assert is_free(tmp_path)


def test_a_forked_process_does_not_keep_the_turn(tmp_path: Path) -> None:
    """A turn ends although a process that was forked meanwhile still runs."""
    queue = Queue(tmp_path, LONG)
    assert queue.enter()
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(writer)
        os.read(reader, 1)
        os._exit(0)
    queue.leave()
    try:
        assert is_free(tmp_path)
    finally:
        os.close(writer)
        os.close(reader)
        os.waitpid(child, 0)


def test_places_without_a_queue_do_not_wait(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A missing folder, none at all, or a disk without locks (simulated here) has no queue."""
    for folder in (tmp_path / "missing", None):
        assert Queue(folder, NOW).enter()

    def refuse(_folder: int, _operation: int) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", refuse)
    first, second = Queue(tmp_path, NOW), Queue(tmp_path, NOW)
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - only the number
    assert first.enter()
    assert second.enter()
    assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208 - as above
