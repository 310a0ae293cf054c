"""Wait for what another process or thread does."""

from collections.abc import Callable
from time import monotonic, sleep


def eventually(holds: Callable[[], bool], *, deadline: float = 60.0) -> bool:
    """Return whether a condition becomes true before the deadline, in seconds."""
    end = monotonic() + deadline
    while not holds():
        if monotonic() > end:
            return False
        sleep(0.01)
    return True
