"""A queue of the commands that wait for something in a folder: first come, first served."""

import os
import sys
from contextlib import suppress
from datetime import timedelta
from pathlib import Path


class Queue:
    """One place in the queue of a folder.

    The system keeps the queue as a lock of the folder (flock). So it needs no file, and a process
    that ends in any way leaves it. Windows and some network disks have no such lock: there `enter`
    never waits.
    """

    def __init__(self, folder: Path | None, patience: timedelta) -> None:
        """Stay outside the queue for now.

        Args:
            folder: an existing folder, to which read permission is enough. None: no queue.
            patience: the longest time to wait in it.
        """
        self._folder = folder
        self._patience = patience
        self._descriptor: int | None = None

    def enter(self) -> bool:
        """Wait to be the first one in the queue; return False if that takes too long.

        Ctrl-C ends the wait. A second place of the same process waits for the first one, too.
        """
        if sys.platform == "win32" or self._folder is None:
            return True
        import fcntl  # noqa: PLC0415 - Windows lacks it

        try:
            descriptor = self._descriptor = os.open(self._folder, os.O_RDONLY)
        except OSError:
            return True  # reading or writing there reports the problem
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return self._wait(descriptor)
        except OSError:
            self.leave()
        return True

    def leave(self) -> None:
        """Let the next one be first; do nothing outside the queue."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is None or sys.platform == "win32":
            return
        import fcntl  # noqa: PLC0415 - Windows lacks it

        # Closing is not enough while a forked process has the descriptor, too.
        with suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_UN)
        os.close(descriptor)

    def _wait(self, descriptor: int) -> bool:
        """Wait in a thread: the system's wait has no limit, and this one also obeys Ctrl-C."""
        import fcntl  # noqa: PLC0415 - Windows lacks it
        import threading  # noqa: PLC0415 - needed only under load

        ended = threading.Event()

        def wait() -> None:
            with suppress(OSError):  # the disk cannot wait for a lock
                fcntl.flock(descriptor, fcntl.LOCK_EX)
            ended.set()

        thread, in_time = threading.Thread(target=wait, daemon=True), False
        try:
            thread.start()
            in_time = ended.wait(self._patience.total_seconds())
        finally:
            if not in_time:
                self.leave()  # this also ends the wait of the thread
        if in_time:
            thread.join()
        return in_time
