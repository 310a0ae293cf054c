"""Rows of `doctor`: selected by name, and fixed with their command."""

import os
import shlex
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from support.cli import Desk, Outcome

NOBODY = 65534
SERVER_ROWS = (
    "server",
    "tls",
    "encoding",
    "roles",
    "server-clock",
    "durability",
    "replication",
    "connections",
    "writer",
)
"""The rows about the server of a team's registry."""


def rows(outcome: Outcome, name: str) -> list[dict[str, Any]]:
    """Return the rows of a check."""
    matches = [row for row in outcome.json["rows"] if row["name"] == name]
    assert matches, name
    return matches


def row(outcome: Outcome, name: str) -> dict[str, Any]:
    """Return the only row of a check."""
    (match,) = rows(outcome, name)
    return match


def look(desk: Desk, name: str, *argv: str) -> dict[str, Any]:
    """Run `doctor` at a desk; return the only row of a check."""
    return row(desk.run("doctor", "--json", *argv), name)


def state(desk: Desk, name: str) -> str:
    """Run `doctor` at a desk; return the state of a check."""
    return str(look(desk, name)["state"])


def fix(desk: Desk, name: str, **values: str) -> None:
    """Run the command of a row, with values for placeholders such as FILE."""
    command = look(desk, name)["mend"]
    words = [values.get(word, word) for word in shlex.split(command)]
    if words[0] == "polygent-issue":
        desk.ok(*words[1:])
    else:
        subprocess.run(words, check=True)


@contextmanager
def as_nobody(folder: Path) -> Iterator[None]:
    """Become an ordinary user that owns a folder, unless the process is one already."""
    if os.geteuid() != 0:
        yield
        return
    for path in (folder, *folder.rglob("*")):
        os.chown(path, NOBODY, NOBODY)
    os.setresuid(NOBODY, NOBODY, 0)  # access(2) checks the real uid
    try:
        yield
    finally:
        os.setresuid(0, 0, 0)


@contextmanager
def mounted(folder: Path, size: str = "1m") -> Iterator[Path]:
    """Mount a small disk of memory on a folder."""
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size},mode=0700", "tmpfs", str(folder)]
    if subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("needs the right to mount: run as root, outside an unprivileged container")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)
