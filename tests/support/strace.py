"""Faults of the system at one call of a process that is under way: strace injects them."""

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
    """What happens at a call instead of the call.

    Attributes:
        calls: names of system calls with commas between them, counted together.
        what: as strace has it: `signal=KILL`, `error=EIO`.
        number: which of them, from 1; every one when not given.
    """

    calls: str
    what: str
    number: int | None = None

    def __str__(self) -> str:
        """As strace's option takes it."""
        when = "" if self.number is None else f":when={self.number}"
        return f"{self.calls}:{self.what}{when}"

    @property
    def signal(self) -> str | None:
        """The name of the signal that comes, if it is one."""
        kind, _, name = self.what.partition("=")
        return name if kind == "signal" else None


def options(faults: Sequence[Fault], log: Path) -> list[str]:
    """A strace command line up to the process: faults, and a log of the calls that can meet one."""
    command = [require_tool("strace", "strace"), "-f", "-o", str(log)]
    command += ["-e", "trace=" + ",".join(fault.calls for fault in faults)]
    return [*command, *(f"--inject={fault}" for fault in faults)]


@contextmanager
def attached(pid: int, faults: Sequence[Fault], log: Path) -> Iterator[None]:
    """Let faults come upon a process, which has to wait until the block begins and end in it."""
    command = [*options(faults, log), "-p", str(pid)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, env=_plain()) as strace:
        assert strace.stderr is not None
        said = strace.stderr.readline()
        assert b"attached" in said, said.decode()
        try:
            yield
        finally:
            said = strace.stderr.read()
            strace.wait()


def has_struck(fault: Fault, log: Path) -> bool:
    """Whether a fault came upon the process, as the log of strace tells."""
    told = log.read_text(errors="replace")
    if fault.signal is not None:
        return f"+++ killed by SIG{fault.signal} +++" in told or f"--- SIG{fault.signal} {{" in told
    names = "|".join(name.removeprefix("?") for name in fault.calls.split(","))
    return re.search(rf"(?m)^\d+ +(?:{names})\(.*\(INJECTED\)$", told) is not None


def called(calls: str, log: Path) -> int:
    """How many calls of a kind the log of strace tells of."""
    names = "|".join(name.removeprefix("?") for name in calls.split(","))
    return len(re.findall(rf"(?m)^\d+ +(?:{names})\(", log.read_text(errors="replace")))


def await_stop(log: Path) -> None:
    """Wait until the process has been stopped by the signal of a fault."""
    end = time.monotonic() + STOP_SECONDS
    while "--- stopped by SIGSTOP ---" not in log.read_text(errors="replace"):
        assert time.monotonic() < end, "the process was not stopped"
        time.sleep(0.002)


def _plain() -> dict[str, str]:
    return {"PATH": os.environ["PATH"], "LC_ALL": "C"}
