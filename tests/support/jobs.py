"""Jobs that other processes import from here."""

import os
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

from polygent_issuer.errors import NotFound


@dataclass(frozen=True)
class Doubling:
    """Doubles each number; writes a dot to the file `noted` for each chunk."""

    noted: Path | None = None

    @contextmanager
    def begin(self) -> Iterator[Callable[[Sequence[int]], list[int]]]:
        """Yield the work function."""
        yield self.work

    def work(self, chunk: Sequence[int]) -> list[int]:
        """Return each number doubled."""
        if self.noted is not None:
            with self.noted.open("ab") as stream:
                stream.write(b".")
        return [2 * number for number in chunk]


@dataclass(frozen=True)
class Large(Doubling):
    """Returns more for each chunk than a pipe can hold."""

    def work(self, chunk: Sequence[int]) -> list[int]:
        """Return the doubled numbers many times."""
        return super().work(chunk) * 2_500


@dataclass(frozen=True)
class Faulty(Doubling):
    """Fails in the way `how` at the chunk with the number `at`."""

    at: int = 0
    how: str = "refuse"

    def work(self, chunk: Sequence[int]) -> list[int]:
        """Fail at the number, or return each number doubled."""
        if self.at in chunk:
            if self.how == "die":
                os.kill(os.getpid(), signal.SIGKILL)
            if self.how == "die writing":
                # The pool's pipe gets half of the next message.
                Connection._send = _half_of_it  # type: ignore[attr-defined]
            if self.how == "exit":
                os._exit(7)
            if self.how == "slip":
                return [{-1: 0}[number] for number in chunk]
            if self.how == "refuse":
                raise NotFound("no such thing", hint="look elsewhere")
        return super().work(chunk)


def _half_of_it(connection: Connection, buffer: bytes) -> None:
    os.write(connection.fileno(), buffer[: len(buffer) // 2])
    os.kill(os.getpid(), signal.SIGKILL)
