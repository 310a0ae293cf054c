"""A pseudo-terminal with colour that runs the installed command."""

import os
import re
import sys
from pathlib import Path
from typing import Any

import pexpect

from support.pty import end, spawn

_COVERAGE = "COVERAGE_PROCESS_CONFIG"


def at_terminal(home: Path, *argv: str, **environ: str) -> "pexpect.spawn[str]":
    """Run a command line for a home; the screen has 120 columns, or COLUMNS.

    Args:
        environ: more variables; TERM allows colour.
    """
    columns = int(environ.pop("COLUMNS", "120"))
    inherited = {name: os.environ[name] for name in ("PATH", _COVERAGE) if name in os.environ}
    return spawn(
        sys.executable,
        ["-m", "polygent_issuer", "--home", str(home), *argv],
        env={**inherited, "TERM": "xterm-256color", "LANG": "C.UTF-8", **environ},
        dimensions=(50, columns),
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
