"""Programs with a pseudo-terminal of their own, without the waits that pexpect adds."""

import json
import os
import socket
import subprocess
import sys
import termios
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pexpect
import ptyprocess

from support.waiting import eventually

SECONDS = 60
"""How long output may take on a slow machine."""
TESTS = Path(__file__).parents[1]


def spawn(
    program: str, arguments: list[str], *, of: Any = pexpect.spawn, **options: Any
) -> "pexpect.spawn[str]":
    """Start a program at a terminal.

    Typing and closing do not sleep first: tests wait for a prompt and for the end.
    """
    child = of(program, arguments, **{"encoding": "utf-8", "timeout": SECONDS, **options})
    child.delaybeforesend = None
    child.ptyproc.delayafterclose = 0
    return child


def spawn_tool(
    *argv: str, env: Mapping[str, str], dimensions: tuple[int, int], cwd: Path | None = None
) -> "pexpect.spawn[str]":
    """Start the tool at a terminal in milliseconds: it is forked; a key is sealed in one round.

    With variables for Python it has a Python of its own.
    """
    options = {"env": dict(env), "dimensions": dimensions, "cwd": str(cwd or Path.cwd())}
    if any(name.startswith("PYTHON") for name in env):
        child = spawn(sys.executable, ["-m", "polygent_issuer", *argv], **options)
        child.modes = termios.tcgetattr(child.fileno())
        return child
    return spawn(sys.executable, list(argv), of=_Tool, **options)


def press_ctrl_c(child: "pexpect.spawn[str]") -> None:
    """Interrupt a program that asked, once it waits for the answer.

    A signal between Python's last look for one and the call that reads interrupts nothing. A person
    is too slow for that, and a test on a busy machine is not.
    """
    stat = Path(f"/proc/{child.pid}/stat")
    assert eventually(lambda: stat.read_text().rpartition(")")[2].split()[0] == "S")
    child.sendintr()


def end(child: "pexpect.spawn[str]") -> int:
    """Wait for the end of a program whose output is read; return its exit code."""
    child.wait()
    child.close()
    assert child.exitstatus is not None, f"ended by signal {child.signalstatus}"
    return int(child.exitstatus)


def stop_forking() -> None:
    """End the process that forks, if there is one, before the coverage is combined."""
    if _forking.cache_info().currsize:
        orders, process = _forking()
        orders.close()
        process.wait()
        _forking.cache_clear()


class _Tool(pexpect.spawn):  # type: ignore[misc]
    """The tool in a fork, for pexpect.

    Attributes:
        modes: those of the terminal before the start.
    """

    modes: list[Any]

    def _spawnpty(self, args: list[bytes], **given: Any) -> "_Fork":
        ours, terminal = os.openpty()
        termios.tcsetwinsize(ours, given["dimensions"])
        self.modes = termios.tcgetattr(ours)
        argv = [os.fsdecode(arg) for arg in args[1:]]
        order = {"argv": argv, "environ": given["env"], "folder": given["cwd"]}
        pid, _ = _ask(order, terminal)
        os.close(terminal)
        return _Fork(pid, ours)


class _Fork(ptyprocess.PtyProcess):  # type: ignore[misc]
    """A process whose parent is the one that forks."""

    def isalive(self) -> bool:
        """Return whether it runs; pexpect has it wait after the end of output."""
        if not self.terminated:
            pid, status = _ask({"wait": self.pid, "flags": 0 if self.flag_eof else os.WNOHANG})
            if pid:
                self._keep(status)
        return not self.terminated

    def wait(self) -> int | None:
        """Wait for the end; return the exit code."""
        if not self.terminated:
            _, status = _ask({"wait": self.pid, "flags": 0})
            self._keep(status)
        return self.exitstatus

    def _keep(self, status: int) -> None:
        code = os.waitstatus_to_exitcode(status)
        self.status, self.terminated = status, True
        self.exitstatus = code if code >= 0 else None
        self.signalstatus = -code if code < 0 else None


def _ask(order: Mapping[str, Any], *descriptors: int) -> list[int]:
    orders, _ = _forking()
    socket.send_fds(orders, [json.dumps(order).encode()], descriptors)
    answer: list[int] = json.loads(orders.recv(1024))
    return answer


@cache
def _forking() -> tuple[socket.socket, "subprocess.Popen[bytes]"]:
    """Start the process that forks, once."""
    orders, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    process = subprocess.Popen(
        [sys.executable, "-m", "support.terminal_forks", str(theirs.fileno())],
        stdin=subprocess.DEVNULL,
        pass_fds=[theirs.fileno()],
        env={**os.environ, "PYTHONPATH": str(TESTS)},
    )
    theirs.close()
    return orders, process
