"""Lines that wait in an unnamed temporary file until a batch has ended: memory stays small."""

import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from typing import NoReturn, Self

from polygent_issuer.errors import OutputProblem
from polygent_issuer.files import disk


class Spool:
    """Lines that wait, while it is entered.

    Attributes:
        torn: whether one of them is missing.
    """

    def __init__(self, what: str) -> None:
        """Hold none yet.

        Args:
            what: waits, for messages: `the report`.
        """
        self.torn = False
        self._what = what
        self._closing = ExitStack()

    def add(self, line: str) -> None:
        """Let one more line wait.

        Raises:
            OutputProblem: (`output_failed`) when no more can.
        """
        try:
            self._file.write(line + "\n")
        except OSError as error:
            self.torn = True
            self._cannot_wait(error)

    def lines(self) -> Iterator[str]:
        """All of them, with their ends.

        Raises:
            OutputProblem: (`output_failed`) when they did not all reach the file.
        """
        try:
            self._file.seek(0)
        except OSError as error:
            self.torn = True
            self._cannot_wait(error)
        return iter(self._file)

    def __enter__(self) -> Self:
        """Begin to take lines.

        Raises:
            OutputProblem: (`output_failed`) when there is no place for them.
        """
        try:
            file = tempfile.TemporaryFile("w+", encoding="utf-8", newline="\n")
        except OSError as error:
            self._cannot_wait(error)
        self._file = self._closing.enter_context(file)
        return self

    def __exit__(self, *_: object) -> None:
        """Let go of what waits."""
        with suppress(OSError):  # what could not be written still cannot
            self._closing.close()

    def _cannot_wait(self, error: OSError) -> NoReturn:
        raise OutputProblem(
            f"{self._what} cannot wait for its end in a temporary file: {disk.why(error)}",
            hint="make room, or name another folder for such files in TMPDIR",
        ) from None
