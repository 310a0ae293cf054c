"""Claims: of several processes, one does a piece of work, once."""

from threading import Lock

from .store import ProcessBound


class Claims(ProcessBound):
    """The claims of this process; nothing is stored. Threads may share it."""

    def __init__(self) -> None:
        """Begin without claims."""
        self._lock = Lock()
        self._claimed: set[str] = set()

    def claim(self, what: str) -> bool:
        """Return whether the caller may do it: no living process has claimed it."""
        with self._lock:
            new = what not in self._claimed
            self._claimed.add(what)
            return new

    def lost(self) -> frozenset[str]:
        """Return what was claimed by a process that ended before `done`."""
        return frozenset()

    def done(self, what: str) -> None:
        """Keep a claim for good: it is never lost."""
