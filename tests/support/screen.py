"""A person at a real terminal, in colour: a pseudo-terminal with the installed command on it."""

import os
import re
import sys
from pathlib import Path
from typing import Any

import pexpect

WAIT = 60
"""Seconds for an answer; a machine under load is slow."""

_COVERAGE = "COVERAGE_PROCESS_CONFIG"


def at_terminal(home: Path, *argv: str, **environ: str) -> "pexpect.spawn[str]":
    """Run one command line for a home; the screen is 120 columns wide, or as COLUMNS says.

    Args:
        environ: more variables; TERM says that colour is welcome.
    """
    columns = int(environ.pop("COLUMNS", "120"))
    kept = {name: os.environ[name] for name in ("PATH", _COVERAGE) if name in os.environ}
    return pexpect.spawn(
        sys.executable,
        ["-m", "polygent_issuer", "--home", str(home), *argv],
        env={**kept, "TERM": "xterm-256color", "LANG": "C.UTF-8", **environ},
        encoding="utf-8",
        timeout=WAIT,
        dimensions=(50, columns),
    )


def finish(terminal: Any) -> tuple[int, str]:
    """Wait for the end: the exit code, and what was on the screen since the last answer."""
    terminal.expect(pexpect.EOF)
    terminal.close()
    assert terminal.exitstatus is not None, f"ended by signal {terminal.signalstatus}"
    return terminal.exitstatus, terminal.before


_STEP = re.compile(r"\x1b\[([0-9;?]*)([A-Za-z])|([\r\n])|([^\x1b\r\n]+)")


def left_on(stream: str) -> list[str]:
    """The lines that are left on a screen when everything was written that a terminal was sent.

    It follows what moves the cursor up or down and erases; a line longer than the screen is one.
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
