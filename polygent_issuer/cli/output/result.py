"""What commands give back, and how it reaches stdout and stderr.

A command returns a frozen `Result`. It becomes JSON or text only after Typer has returned, so that
a closed pipe and Ctrl-C have their own exits. Text is made of three kinds of block; on a terminal
rich draws them, elsewhere they are plain lines and rich is never imported. Foreign characters are
escaped here, once, and never read as markup.
"""

import sys
from collections.abc import Iterable, Mapping
from io import TextIOWrapper
from typing import TYPE_CHECKING, Any, TextIO

from polygent_issuer.cli.output.broken_pipe import STREAM_ERRORS, stdout_failed
from polygent_issuer.cli.output.plain_text import is_plain, plain_lines
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
        """The members of the JSON object beside `schema`; an iterator is an array, streamed."""
        raise NotImplementedError

    def blocks(self) -> "Iterable[Block]":
        """The lines, fields and tables of the text."""
        raise NotImplementedError


def write_blocks(blocks: "Iterable[Block]", stream: TextIO) -> None:
    """Write blocks to a stream, with colour where a person at a terminal wants it.

    What the stream's encoding lacks is escaped: a pipe on Windows has no arrow.
    """
    if isinstance(stream, TextIOWrapper):
        stream.reconfigure(errors="backslashreplace")
    if not is_plain(stream):
        from polygent_issuer.cli.output.rich_text import draw

        draw(blocks, stream)
        return
    stream.writelines(line + "\n" for line in plain_lines(blocks))
    stream.flush()


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
        elif result.text_to_stderr:
            if not quiet:
                write_blocks(result.blocks(), sys.stderr)
        else:
            write_blocks(result.blocks(), sys.stdout)
    except STREAM_ERRORS as problem:
        raise stdout_failed(problem) from None


def write_json(members: Mapping[str, Any], *, in_line: bool = False) -> None:
    """One JSON object on stdout, on one line beside others, or indented and alone."""
    from polygent_issuer.cli.output import json_text

    if in_line:
        sys.stdout.writelines((json_text.line(members), "\n"))
    else:
        sys.stdout.writelines(json_text.document(members))
    sys.stdout.flush()
