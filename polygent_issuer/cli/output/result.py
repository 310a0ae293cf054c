"""What commands return, and how it reaches stdout and stderr.

A command returns a frozen `Result`. It becomes JSON or text only after Typer has returned, so that
a closed pipe and Ctrl-C have their own exits.
"""

import sys
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, TextIO

from polygent_issuer.cli.output.streams import (
    STREAM_ERRORS,
    stdout_failed,
    write_blocks,
    write_json,
)
from polygent_issuer.errors import ExitCode

if TYPE_CHECKING:
    from polygent_issuer.cli.output.model import Block


class Result:
    """What a command did: `to_json` for programs, `blocks` for people."""

    __slots__ = ()

    @property
    def exit_code(self) -> ExitCode:
        """How the process ends."""
        return ExitCode.DONE

    @property
    def text_to_stderr(self) -> bool:
        """Whether stdout was used for the bytes that were asked for (`-o -`)."""
        return False

    @property
    def writes_itself(self) -> bool:
        """Whether it has a form of its own (CSV, a document), and `write` puts it on stdout."""
        return False

    @property
    def in_lines(self) -> bool:
        """Whether its JSON is the last of several lines, or are several lines itself."""
        return False

    def write(self, stream: TextIO) -> None:
        """Write that form."""
        raise NotImplementedError

    def to_json(self) -> Mapping[str, Any]:
        """Return the members of the JSON object beside `schema`; an iterator is an array."""
        raise NotImplementedError

    def blocks(self) -> "Iterable[Block]":
        """Yield the lines, fields and tables of the text."""
        raise NotImplementedError


def write_result(result: Result, *, as_json: bool, quiet: bool) -> None:
    """Write a finished command's result.

    Raises:
        OutputProblem: (`output_failed`) when stdout cannot be written.
    """
    try:
        if result.writes_itself:
            sys.stdout.flush()  # one that was never there fails here
            result.write(sys.stdout)
        elif as_json:
            write_json(result.to_json(), in_line=result.in_lines)
        elif not result.text_to_stderr:
            write_blocks(result.blocks(), sys.stdout)
        elif not quiet:
            write_blocks(result.blocks(), sys.stderr)
    except STREAM_ERRORS as problem:
        raise stdout_failed(problem) from None
