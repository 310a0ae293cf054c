"""A pseudo-terminal with colour that runs the tool."""

import os
import re
from pathlib import Path
from typing import Any

import pexpect

from support.pty import end, spawn_tool


def at_terminal(home: Path, *argv: str, **environ: str) -> "pexpect.spawn[str]":
    """Run a command line for a home; the screen has 120 columns, or COLUMNS.

    Args:
        environ: more variables; TERM allows colour.
    """
    columns = int(environ.pop("COLUMNS", "120"))
    person = {"PATH": os.environ["PATH"], "TERM": "xterm-256color", "LANG": "C.UTF-8"}
    return spawn_tool(
        *("--home", str(home), *argv), env={**person, **environ}, dimensions=(50, columns)
    )


def finish(terminal: Any) -> tuple[int, str]:
    """Wait for the end; return the exit code, and the output since the last match."""
    terminal.expect(pexpect.EOF)
    output = terminal.before
    return end(terminal), output


_STEP = re.compile(r"\x1b\[([0-9;?]*)([A-Za-z])|([\r\n])|([^\x1b\r\n]+)")


def left_on(stream: str) -> list[str]:
    """Return the lines on a screen after all output.

    It interprets cursor movements up and down and erasures; lines do not wrap.
    """
    lines, row, column = [""], 0, 0
    for step in _STEP.finditer(stream):
        number, command, control, text = step.groups()
        if command == "A":
            row = max(0, row - int(number or 1))
        elif command == "K":
            lines[row] = "" if number == "2" else lines[row][:column]
        elif control == "\r":
            column = 0
        elif control == "\n":
            row += 1
            lines += [""] * (row + 1 - len(lines))
        elif text:
            before = lines[row].ljust(column)
            lines[row] = before[:column] + text + before[column + len(text) :]
            column += len(text)
    return [line.rstrip() for line in lines]
