"""Commands as threads that stop at named points, so that a test can try every order of steps.

A command stops once before it decides, signs, commits, links a file and clears the outbox. A crash
ends it there: a `BaseException` unwinds it, and no temporary file is removed, since a killed
process removes none. Its open transaction is rolled back, as SQLite does after a crash.
"""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

from polygent_issuer.files import disk
from polygent_issuer.files.publication import Prepared
from polygent_issuer.registry.sqlite import SqliteConnection

_PATIENCE = 60.0
_local = threading.local()

Choice = tuple[str, int]
"""`run` or `crash`, and the number of the command."""


class Crashed(BaseException):
    """A command was killed."""


@dataclass
class Walk:
    """Running commands on one registry.

    Attributes:
        holder: the command that has the write lock.
    """

    walkers: "list[Walker]" = field(default_factory=list)
    holder: "Walker | None" = None

    def start(self, commands: Sequence[Callable[[], Any]]) -> None:
        """Start each command up to its first point."""
        self.walkers = [Walker(self, number, each) for number, each in enumerate(commands)]
        for walker in self.walkers:
            walker.begin()

    def choices(self, *, crash: bool) -> list[Choice]:
        """Return the possible next steps.

        To the others a waiting and a killed command differ only by the lock, so a command crashes
        only where no other can continue.
        """
        ready = [each.number for each in self.walkers if each.is_ready]
        runs = [("run", number) for number in ready]
        return [*runs, ("crash", ready[0])] if crash and len(ready) == 1 else runs

    def take(self, choice: Choice) -> None:
        """Take a step."""
        what, number = choice
        self.walkers[number].resume(crash=what == "crash")


class Walker:
    """One command.

    Attributes:
        point: the point where it waits; None after its end.
        ended: its result or exception.
    """

    def __init__(self, walk: Walk, number: int, command: Callable[[], Any]) -> None:
        self.walk = walk
        self.number = number
        self.point: str | None = "start"
        self.ended: Any = None
        self.crashed = False
        self.committed = False
        self._passed: set[str] = set()
        self._crash = False
        self._go, self._stopped = threading.Semaphore(0), threading.Semaphore(0)
        self._thread = threading.Thread(target=self._work, args=(command,), daemon=True)

    @property
    def is_ready(self) -> bool:
        """True if the command can continue: it has not ended, and does not wait for the lock.

        It also waits before a signature and the outbox, since others see nothing in between.
        """
        waits = self.walk.holder not in (None, self) and self.point in ("lock", "sign", "clear")
        return self.point is not None and not waits

    def begin(self) -> None:
        """Start the command."""
        self._thread.start()
        self._wait()

    def resume(self, *, crash: bool = False) -> None:
        """Continue to the next point, or crash here."""
        self._crash = crash
        self._go.release()
        self._wait()

    def stop(self, point: str) -> None:
        """Wait at a point, once, or each time for a lock; called in the command's thread."""
        if point in self._passed and point != "lock":
            return
        self._passed.add(point)
        self.point = point
        self._stopped.release()
        self._go.acquire()
        if self._crash:
            self.crashed = True
            raise Crashed

    def _wait(self) -> None:
        assert self._stopped.acquire(timeout=_PATIENCE), f"{self.number} did not stop"
        if self.point is None:
            self._thread.join()

    def _work(self, command: Callable[[], Any]) -> None:
        _local.walker = self
        try:
            self.ended = command()
        except BaseException as error:  # noqa: BLE001 - the test judges it
            self.ended = error
        self.point = None
        self._stopped.release()


def _walker() -> Walker | None:
    """Return the command of this thread; None elsewhere."""
    return getattr(_local, "walker", None)


def stop(point: str) -> None:
    """Stop the command of this thread at a point; elsewhere do nothing."""
    walker = _walker()
    if walker is not None:
        walker.stop(point)


def _beginning(
    genuine: Callable[[SqliteConnection, str], None],
) -> Callable[[SqliteConnection, str], None]:
    def begin(self: SqliteConnection, sql: str) -> None:
        walker = _walker()
        if walker is not None and sql == "BEGIN IMMEDIATE":
            if walker.committed:
                walker.stop("clear")
            while walker.walk.holder is not None:
                walker.stop("lock")
            walker.walk.holder = walker
        genuine(self, sql)

    return begin


def _committing(
    genuine: Callable[[SqliteConnection, str], Any],
) -> Callable[[SqliteConnection, str], Any]:
    def wait_for(self: SqliteConnection, sql: str) -> Any:
        walker = _walker()
        if walker is None or sql != "COMMIT":
            return genuine(self, sql)
        walker.stop("COMMIT")
        done = genuine(self, sql)
        walker.committed, walker.walk.holder = True, None
        return done

    return wait_for


def _rolling_back(
    genuine: Callable[[SqliteConnection], None],
) -> Callable[[SqliteConnection], None]:
    def roll_back(self: SqliteConnection) -> None:
        genuine(self)
        walker = _walker()
        if walker is not None and walker.walk.holder is walker:
            walker.walk.holder = None

    return roll_back


def _linking(genuine: Callable[[Prepared, str], Any]) -> Callable[[Prepared, str], Any]:
    def give_name(self: Prepared, name: str) -> Any:
        walker = _walker()
        if (
            walker is not None and walker.walk.holder is not walker
        ):  # else it delivers another command's file
            walker.stop("link")
        return genuine(self, name)

    return give_name


def _removing(genuine: Callable[[Any], None]) -> Callable[[Any], None]:
    def remove(path: Any) -> None:
        walker = _walker()
        if walker is None or not walker.crashed:
            genuine(path)

    return remove


@contextmanager
def stepping() -> Iterator[None]:
    """Make the commands of a walk stop at the COMMIT, the link and the outbox."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SqliteConnection, "begin", _beginning(SqliteConnection.begin))
        patch.setattr(SqliteConnection, "wait_for", _committing(SqliteConnection.wait_for))
        patch.setattr(SqliteConnection, "roll_back", _rolling_back(SqliteConnection.roll_back))
        patch.setattr(Prepared, "give_name", _linking(Prepared.give_name))
        patch.setattr(disk, "remove", _removing(disk.remove))
        yield


def every_order(walk: Callable[[Callable[[list[Choice]], Choice]], None]) -> int:
    """Walk once for each order of the steps and each crash; return the number of walks.

    Args:
        walk: gets a function that chooses among the possible steps.
    """
    waiting: list[tuple[Choice, ...]] = [()]
    count = 0
    while waiting:
        prefix = waiting.pop()
        taken: list[Choice] = []

        def choose(
            choices: list[Choice],
            taken: list[Choice] = taken,
            prefix: tuple[Choice, ...] = prefix,
        ) -> Choice:
            at = len(taken)
            if at < len(prefix):
                choice = prefix[at]
            else:
                choice, *others = choices
                waiting.extend((*taken, other) for other in others)
            taken.append(choice)
            return choice

        try:
            walk(choose)
        except AssertionError as error:
            error.add_note(f"after {taken}")
            raise
        count += 1
    return count
