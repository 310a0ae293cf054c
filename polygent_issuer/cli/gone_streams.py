"""Streams that nobody reads any more: closed, full, gone, or never there."""

import os
import sys
from contextlib import suppress
from typing import Final, TextIO

from polygent_issuer.errors import OutputProblem
from polygent_issuer.hints import Hint, run

GONE: Final = (OSError, ValueError, AttributeError)
"""What a stream raises that is full or gone, closed, or was never there."""


class StdoutFailed(OutputProblem):
    """Stdout is closed, full or gone, so this is said on stderr under `--json` too."""


class ReaderGone(StdoutFailed):
    """Whoever read stdout has seen enough (`| head -1`): nobody needs to be told."""


def stdout_failed(problem: Exception) -> StdoutFailed:
    """The error for a stdout that is closed, full or gone; what it still holds is given up."""
    silence(sys.stdout)
    reason = (getattr(problem, "strerror", None) or "it is closed").lower()
    kind = ReaderGone if isinstance(problem, BrokenPipeError) else StdoutFailed
    return kind(
        f"stdout cannot be written: {reason}",
        hint=Hint("what was done is kept: ", run("journal", "show")),
    )


def silence(stream: TextIO) -> None:
    """Let what is still buffered vanish: the interpreter flushes once more when it ends."""
    with suppress(*GONE):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
