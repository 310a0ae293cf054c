"""The tool at a real terminal."""

import os
import termios
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import pexpect

from support.cli import Desk
from support.pty import SECONDS, end, press_ctrl_c, spawn_tool


class Terminal:
    """A running command, and the person before its screen."""

    def __init__(self, child: "pexpect.spawn[str]") -> None:
        self._child = child
        self.screen = ""

    def sees(self, text: str) -> None:
        """Wait until this text is on the screen."""
        self._child.expect_exact(text)
        self._keep()

    def types(self, line: str) -> None:
        """Type a line and return."""
        self._child.sendline(line)

    def types_secretly(self, line: str) -> None:
        """Type a line once the terminal no longer echoes."""
        assert self._child.waitnoecho(timeout=SECONDS)
        self.types(line)

    def presses_ctrl_c(self, *, unseen: bool = False) -> None:
        """Interrupt it at a prompt; `unseen` once the terminal no longer echoes."""
        assert not unseen or self._child.waitnoecho(timeout=SECONDS)
        press_ctrl_c(self._child)

    def ends(self) -> int:
        """Wait for the end, which leaves the terminal as it was; the exit code."""
        self._child.expect(pexpect.EOF)
        self._keep()
        assert termios.tcgetattr(self._child.fileno()) == self._child.modes
        return end(self._child)

    def _keep(self) -> None:
        after = self._child.after
        self.screen += str(self._child.before) + (after if isinstance(after, str) else "")


@contextmanager
def terminal(
    desk: Desk, *argv: str, environ: Mapping[str, str] | None = None
) -> Iterator[Terminal]:
    """Run a command for a desk at a terminal of its own.

    Args:
        desk: whose home and folder it is; no passphrase comes from its environment.
        argv: the command, without `--home`.
        environ: more variables. Of the person running the tests only PATH is taken along.
    """
    person = {"PATH": os.environ["PATH"], "HOME": str(desk.folder), "TERM": "dumb"}
    child = spawn_tool(
        *("--home", str(desk.home), *argv),
        cwd=desk.folder,
        dimensions=(24, 200),
        env={**person, **(environ or {})},
    )
    try:
        yield Terminal(child)
    finally:
        child.close(force=True)
