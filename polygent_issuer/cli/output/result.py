"""Results, and writing them to stdout and stderr as text, JSON (in ASCII) or bytes.

A command returns a `Result`. It becomes JSON or text only after Typer has returned, so that
a closed pipe and Ctrl-C have their own exits.
"""

import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from io import TextIOWrapper
from typing import TYPE_CHECKING, Any, Final, TextIO

from polygent_issuer.cli.output.blocks import GAP, at_home, rows, wrapped
from polygent_issuer.errors import ExitCode, OutputProblem
from polygent_issuer.text import Hint, escape, run

if TYPE_CHECKING:
    from polygent_issuer.cli.output.blocks import Block, Row, Style
    from polygent_issuer.errors import IssuerError
    from polygent_issuer.findings import Finding


STREAM_ERRORS: Final = (OSError, ValueError, AttributeError)
"""Raised by a stream that is full, gone or closed, or that never existed."""
_USUAL_WIDTH: Final = 80
_COLOURS: Final = {
    "plain": "",
    "title": "bold",
    "good": "green",
    "bad": "bold red",
    "warn": "yellow",
    "dim": "dim",
    "rule": "dim",
}
SCHEMA = "polygent-issue/1"


class StdoutError(OutputProblem):
    """Stdout is closed, full or gone, so the error goes to stderr under `--json`, too."""


class BrokenPipe(StdoutError):
    """The reader of stdout has gone (`| head -1`), so no error is printed."""


def stdout_failed(problem: Exception) -> StdoutError:
    """Return the error for a stdout that is closed, full or gone, and drop what it still holds."""
    discard(sys.stdout)
    reason = (getattr(problem, "strerror", None) or "it is closed").lower()
    kind = BrokenPipe if isinstance(problem, BrokenPipeError) else StdoutError
    return kind(
        f"stdout cannot be written: {reason}",
        hint=Hint("completed changes are kept: ", run("journal", "show")),
    )


def discard(stream: TextIO) -> None:
    """Drop what is still buffered, since the interpreter flushes once more when it ends."""
    with suppress(*STREAM_ERRORS):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def is_plain(stream: TextIO) -> bool:
    """Return whether this stream gets neither colour nor boxes."""
    environ = os.environ
    return not stream.isatty() or bool(environ.get("NO_COLOR")) or environ.get("TERM") == "dumb"


def width_of(stream: TextIO) -> int | None:
    """Return the columns of a terminal, or None for a pipe or file, where no line is wrapped."""
    if not stream.isatty():
        return None
    try:
        return int(os.environ.get("COLUMNS") or 0) or os.get_terminal_size(stream.fileno()).columns
    except (ValueError, OSError):
        return _USUAL_WIDTH


def note(label: str, message: str, *, style: "Style" = "warn") -> None:
    """Write a message for the person on stderr, after a label. Ignore a closed stderr."""
    try:
        text = Hint(f"{label}: ", message) if isinstance(message, Hint) else f"{label}: {message}"
        text = at_home(text)
        width = width_of(sys.stderr)
        lines = [escape(text)] if width is None else wrapped(text, width, hang=GAP)
        if is_plain(sys.stderr):
            sys.stderr.writelines(line + "\n" for line in lines)
        else:
            _draw_note(f"{label}:", lines, style, sys.stderr)
        sys.stderr.flush()
    except STREAM_ERRORS:
        discard(sys.stderr)


def write_blocks(blocks: "Iterable[Block]", stream: TextIO) -> None:
    """Write blocks to a stream: as wide as a terminal is, and with colour unless it is plain."""
    _escape_unencodable(stream)
    width = width_of(stream)
    if is_plain(stream):
        stream.writelines(line + "\n" for line in plain_lines(blocks, width))
        stream.flush()
    else:
        draw(rows(blocks, width, boxes=True), stream)


def draw(rows: "Iterable[Row]", stream: TextIO) -> None:
    """Write rows with colour. Rich neither wraps nor cuts them, nor parses them as markup."""
    from rich.console import Console
    from rich.text import Text

    console = Console(file=stream, markup=False, highlight=False, emoji=False)
    for row in rows:
        text = Text.assemble(*((part, _COLOURS[style]) for part, style in row))
        console.print(text, soft_wrap=True)


def _draw_note(label: str, lines: Sequence[str], style: "Style", stream: TextIO) -> None:
    """Write lines and colour the label at the beginning of the first one."""
    begin: Row = ((label, style), (lines[0][len(label) :], "plain"))
    draw([begin, *(((line, "plain"),) for line in lines[1:])], stream)


def write_json(members: Mapping[str, Any], *, in_line: bool = False) -> None:
    """Write a JSON object to stdout, indented or as one line of several."""
    text = f"{json_line(members)}\n" if in_line else json_document(members)
    sys.stdout.write(text)
    sys.stdout.flush()


def write_blocks_now(blocks: "Iterable[Block]") -> None:
    """Write blocks to stdout."""
    with _stdout():
        write_blocks(blocks, sys.stdout)


def write_json_now(members: Mapping[str, Any]) -> None:
    """Write an item of a batch to stdout, as JSON on one line."""
    with _stdout():
        write_json(members, in_line=True)


def write_lines(lines: Iterable[str]) -> None:
    """Write lines with their ends to stdout."""
    with _stdout():
        _escape_unencodable(sys.stdout)
        sys.stdout.writelines(lines)
        sys.stdout.flush()


def write_bytes(data: bytes) -> None:
    """Write the bytes of a document to stdout (`-o -`)."""
    with _stdout():
        sys.stdout.buffer.write(data)
        sys.stdout.flush()


def plain_lines(blocks: "Iterable[Block]", width: int | None = None) -> Iterable[str]:
    """Yield blocks as lines of text without colour, with foreign characters escaped."""
    for row in rows(blocks, width):
        yield "".join(text for text, _ in row)


def _escape_unencodable(stream: TextIO) -> None:
    """Escape characters that the encoding lacks: a pipe on Windows has no arrow."""
    if isinstance(stream, TextIOWrapper):
        stream.reconfigure(errors="backslashreplace")


@contextmanager
def _stdout() -> Iterator[None]:
    try:
        yield
    except STREAM_ERRORS as problem:
        raise stdout_failed(problem) from None


@dataclass(frozen=True, slots=True)
class Report:
    """The result of most commands: JSON for programs, text for people.

    Attributes:
        members: those of the JSON object without `schema`; an iterator becomes an array.
        text: lines, fields and tables.
        exit_code: that of the process.
        text_to_stderr: stdout has the bytes of a document (`-o -`).
        in_lines: the JSON is one of several lines.
        is_idle: it needs no action, so that `--quiet` prints no text.
    """

    members: Mapping[str, Any]
    text: "Iterable[Block]"
    exit_code: ExitCode = ExitCode.DONE
    text_to_stderr: bool = False
    in_lines: bool = False
    is_idle: bool = False


@dataclass(frozen=True, slots=True)
class OwnFormat:
    """A result with a format of its own (CSV, Markdown, JSON lines).

    Attributes:
        write: writes it to a stream, and returns the exit code of the process.
        in_lines: it is JSON lines.
    """

    write: Callable[[TextIO], ExitCode]
    in_lines: bool = False


Result = Report | OwnFormat


def json_lines(items: Iterable[Mapping[str, Any]]) -> OwnFormat:
    """Return a list with an object of JSON on each line, for programs that read lines."""

    def write(stream: TextIO) -> ExitCode:
        stream.writelines(f"{json_line(item)}\n" for item in items)
        stream.flush()
        return ExitCode.DONE

    return OwnFormat(write, in_lines=True)


def write_result(result: Result, *, as_json: bool, quiet: bool) -> ExitCode:
    """Write the result of a command; `StdoutError` when stdout cannot be written."""
    with _stdout():
        if isinstance(result, OwnFormat):
            sys.stdout.flush()  # one that was never there fails here
            return result.write(sys.stdout)
        if as_json:
            write_json(result.members, in_line=result.in_lines)
        elif not result.text_to_stderr and not (quiet and result.is_idle):
            write_blocks(result.text, sys.stdout)
        elif result.text_to_stderr and not quiet:
            write_blocks(result.text, sys.stderr)
    return result.exit_code


def json_document(members: Mapping[str, Any]) -> str:
    """Return an indented object and a final newline; a member that is an iterator is an array."""
    import json

    arrays = {name: list(value) for name, value in members.items() if isinstance(value, Iterator)}
    return json.dumps({"schema": SCHEMA, **members, **arrays}, indent=2) + "\n"


def json_line(members: Mapping[str, Any]) -> str:
    """Return an object on one line, without its end."""
    import json

    return json.dumps({"schema": SCHEMA, **members})


def hint_json(hint: str | None, name: str = "hint") -> dict[str, Any]:
    """Return a hint as it is printed, and `argv`, the words of its command, if it has one."""
    printed = hint and at_home(hint)
    argv = printed.argv if isinstance(printed, Hint) else None
    return {name: printed} if argv is None else {name: printed, "argv": list(argv)}


def finding_json(finding: "Finding") -> dict[str, Any]:
    """Return a finding as JSON."""
    return {"code": str(finding.code), "message": finding.message, **hint_json(finding.hint)}


def error_json(error: "IssuerError") -> dict[str, Any]:
    """Return an error as JSON."""
    return {"code": error.code, "message": error.message, **hint_json(error.hint)}
