"""What commands give back, and how it reaches stdout and stderr.

A command returns a frozen `Result`. It becomes JSON or text only after Typer has returned, so that
a closed pipe and Ctrl-C have their own exits. Text is made of three kinds of block; on a terminal
rich draws them, elsewhere they are plain lines and rich is never imported. Foreign characters are
escaped here, once, and never read as markup.
"""

import json
import os
import sys
from collections.abc import Iterable, Mapping
from contextlib import suppress
from io import TextIOWrapper
from typing import Any, TextIO

from polygent_issuer.cli.blocks import Block, Style
from polygent_issuer.cli.json_text import document
from polygent_issuer.cli.plain_text import is_plain, plain_lines
from polygent_issuer.errors import ExitCode, IssuerError, OutputProblem
from polygent_issuer.findings import ConsentNeeded
from polygent_issuer.text import shown

SCHEMA = "polygent-issue/1"
# What a stream raises that is full or gone, closed, or was never there.
_GONE = (OSError, ValueError, AttributeError)


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

    def blocks(self) -> Iterable[Block]:
        """The lines, fields and tables of the text."""
        raise NotImplementedError


class StdoutFailed(OutputProblem):
    """Stdout is closed, full or gone, so this is said on stderr under `--json` too."""


class ReaderGone(StdoutFailed):
    """Whoever read stdout has seen enough (`| head -1`): nobody needs to be told."""


def write_blocks(blocks: Iterable[Block], stream: TextIO) -> None:
    """Write blocks to a stream, with colour where a person at a terminal wants it.

    What the stream's encoding lacks is escaped: a pipe on Windows has no arrow.
    """
    if isinstance(stream, TextIOWrapper):
        stream.reconfigure(errors="backslashreplace")
    if not is_plain(stream):
        from polygent_issuer.cli.colour import draw

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
    except _GONE as problem:
        raise stdout_failed(problem) from None


def write_json(members: Mapping[str, Any], *, in_line: bool = False) -> None:
    """One JSON object on stdout: `schema` first, ASCII only, so nothing can steer a terminal."""
    if in_line:
        sys.stdout.writelines((json_line(members), "\n"))
    else:
        sys.stdout.writelines(document({"schema": SCHEMA, **members}))
    sys.stdout.flush()


def json_line(members: Mapping[str, Any]) -> str:
    """The same on one line, without its end."""
    return json.dumps({"schema": SCHEMA, **members})


def write_lines(lines: Iterable[str]) -> None:
    """Lines with their ends, made before, on stdout at once.

    Raises:
        OutputProblem: (`output_failed`) when stdout cannot be written.
    """
    try:
        if isinstance(sys.stdout, TextIOWrapper):
            sys.stdout.reconfigure(errors="backslashreplace")
        sys.stdout.writelines(lines)
        sys.stdout.flush()
    except _GONE as problem:
        raise stdout_failed(problem) from None


def write_json_line(members: Mapping[str, Any]) -> None:
    """One JSON object on one line of stdout, at once: an item of a batch, its summary, an error.

    Raises:
        OutputProblem: (`output_failed`) when stdout cannot be written.
    """
    try:
        write_json(members, in_line=True)
    except _GONE as problem:
        raise stdout_failed(problem) from None


def write_now(blocks: Iterable[Block]) -> None:
    """Blocks on stdout, while the command goes on.

    Raises:
        OutputProblem: (`output_failed`) when stdout cannot be written.
    """
    try:
        write_blocks(blocks, sys.stdout)
    except _GONE as problem:
        raise stdout_failed(problem) from None


def write_bytes(data: bytes) -> None:
    """Bytes that were asked for on stdout (`-o -`), as they are.

    Raises:
        OutputProblem: (`output_failed`) when stdout cannot be written.
    """
    try:
        sys.stdout.buffer.write(data)
        sys.stdout.flush()
    except _GONE as problem:
        raise stdout_failed(problem) from None


def stdout_failed(problem: Exception) -> StdoutFailed:
    """The error for a stdout that is closed, full or gone; what it still holds is given up."""
    _silence(sys.stdout)
    reason = (getattr(problem, "strerror", None) or "it is closed").lower()
    kind = ReaderGone if isinstance(problem, BrokenPipeError) else StdoutFailed
    return kind(
        f"stdout cannot be written: {reason}",
        hint="what was done is kept: polygent-issue journal show",
    )


def write_error(error: IssuerError, *, as_json: bool, in_line: bool = False) -> None:
    """Say an error: JSON on stdout (one line of it after others), or text on stderr."""
    if isinstance(error, ReaderGone):
        return
    if as_json and not isinstance(error, StdoutFailed):
        try:
            write_json({"error": _error_json(error)}, in_line=in_line)
        except _GONE:
            _silence(sys.stdout)
        else:
            return
    note("error", error.message, style="bad")
    if error.hint:
        note("hint", error.hint)


def _error_json(error: IssuerError) -> dict[str, Any]:
    members: dict[str, Any] = {
        "code": error.code,
        "message": error.message,
        "hint": error.hint,
        "exit_code": int(error.exit_code),
    }
    if isinstance(error, ConsentNeeded):
        members["findings"] = [
            {"code": str(finding.code), "message": finding.message, "hint": finding.hint}
            for finding in error.findings
        ]
    return members


def note(label: str, message: str, *, style: Style = "warn") -> None:
    """A line for the person on stderr; lost without complaint when stderr is."""
    try:
        if is_plain(sys.stderr):
            sys.stderr.write(f"{label}: {shown(message)}\n")
        else:
            from polygent_issuer.cli.colour import draw_note

            draw_note(label, message, style, sys.stderr)
        sys.stderr.flush()
    except _GONE:
        _silence(sys.stderr)


def _silence(stream: TextIO) -> None:
    """Let what is still buffered vanish: the interpreter flushes once more when it ends."""
    with suppress(*_GONE):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
