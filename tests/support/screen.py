"""A person at a real terminal, in colour: a pseudo-terminal with the installed command on it."""

import os
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
