"""Streams that nobody reads any more: closed, full, gone, or never there."""

import os
import sys
from contextlib import suppress
from typing import Final, TextIO

from polygent_issuer.errors import OutputProblem
from polygent_issuer.hints import Hint, run

STREAM_ERRORS: Final = (OSError, ValueError, AttributeError)
"""What a stream raises that is full or gone, closed, or was never there."""


class StdoutError(OutputProblem):
    """Stdout is closed, full or gone, so this is said on stderr under `--json` too."""


class BrokenPipe(StdoutError):
    """Whoever read stdout has seen enough (`| head -1`): nobody needs to be told."""


def stdout_failed(problem: Exception) -> StdoutError:
    """The error for a stdout that is closed, full or gone; what it still holds is given up."""
    discard(sys.stdout)
    reason = (getattr(problem, "strerror", None) or "it is closed").lower()
    kind = BrokenPipe if isinstance(problem, BrokenPipeError) else StdoutError
    return kind(
        f"stdout cannot be written: {reason}",
        hint=Hint("what was done is kept: ", run("journal", "show")),
    )


def discard(stream: TextIO) -> None:
    """Let what is still buffered vanish: the interpreter flushes once more when it ends."""
    with suppress(*STREAM_ERRORS):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
