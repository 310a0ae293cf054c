"""Faults at system calls of a running process, injected by strace."""

import os
import re
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from support.tools import require_tool

# Which of these the C library uses depends on the architecture; ? excuses a missing one.
RENAME = "?rename,?renameat,renameat2"
UNLINK = "?unlink,unlinkat"
LINK = "?link,linkat"
STOP_SECONDS = 20.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Fault:
    """A fault that replaces a system call.

    Attributes:
        calls: comma-separated names of system calls, counted together.
        what: in strace's syntax: `signal=KILL`, `error=EIO`.
        number: the number of the call, from 1; by default every call.
    """

    calls: str
    what: str
    number: int | None = None

    def __str__(self) -> str:
        """Return the fault as a value of strace's option."""
        when = "" if self.number is None else f":when={self.number}"
        return f"{self.calls}:{self.what}{when}"

    @property
    def signal(self) -> str | None:
        """The name of the signal, if the fault is one."""
        kind, _, name = self.what.partition("=")
        return name if kind == "signal" else None


def options(faults: Sequence[Fault], log: Path) -> list[str]:
    """Return a strace command line without the process: faults, and a log of these calls."""
    command = [require_tool("strace", "strace"), "-f", "-o", str(log)]
    command += ["-e", "trace=" + ",".join(fault.calls for fault in faults)]
    return [*command, *(f"--inject={fault}" for fault in faults)]


@contextmanager
def attached(pid: int, faults: Sequence[Fault], log: Path) -> Iterator[None]:
    """Inject faults into a process, which must wait for the block and end in it."""
    command = [*options(faults, log), "-p", str(pid)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, env=_plain()) as strace:
        assert strace.stderr is not None
        line = strace.stderr.readline()
        assert b"attached" in line, line.decode()
        try:
            yield
        finally:
            strace.stderr.read()
            strace.wait()


def has_struck(fault: Fault, log: Path) -> bool:
    """Return whether a fault occurred, according to strace's log."""
    text = log.read_text(errors="replace")
    if fault.signal is not None:
        return f"+++ killed by SIG{fault.signal} +++" in text or f"--- SIG{fault.signal} {{" in text
    names = "|".join(name.removeprefix("?") for name in fault.calls.split(","))
    return re.search(rf"(?m)^\d+ +(?:{names})\(.*\(INJECTED\)$", text) is not None


def called(calls: str, log: Path) -> int:
    """Return the number of calls of a kind in strace's log."""
    names = "|".join(name.removeprefix("?") for name in calls.split(","))
    return len(re.findall(rf"(?m)^\d+ +(?:{names})\(", log.read_text(errors="replace")))


def await_stop(log: Path) -> None:
    """Wait until the signal of a fault has stopped the process."""
    end = time.monotonic() + STOP_SECONDS
    while "--- stopped by SIGSTOP ---" not in log.read_text(errors="replace"):
        assert time.monotonic() < end, "the process was not stopped"
        time.sleep(0.002)


def _plain() -> dict[str, str]:
    return {"PATH": os.environ["PATH"], "LC_ALL": "C"}
