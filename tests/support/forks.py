"""Real processes, forked in milliseconds, that run a command with faults or in parallel."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from support.cli import Desk, Outcome
from support.strace import Fault, attached, await_stop, called, has_struck
from support.tools import require_tool, unmeasured

TESTS = Path(__file__).parents[1]
KILLED = -9
NOBODY = 65534
# A separate process does not have the desk's clock.
ANY_TIME = (
    *("--accept", "stale-machine-info", "--accept", "clock-behind", "--accept", "long-term"),
    *("--reason", "the desk has another clock"),
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """Limits of a command.

    Attributes:
        file_size: the maximum size of a file in bytes (`ulimit -f`).
        user: the uid and gid of the command; the present user must be root.
        stdout: the path of its stdout; by default a file that the test reads.
    """

    file_size: int | None = None
    user: int | None = None
    stdout: str | None = None


NO_LIMITS = Limits()


class Forks:
    """The process that forks commands; `open_forks` starts it."""

    def __init__(
        self, process: "subprocess.Popen[str]", gate: int, folder: Path, *, clocked: bool
    ) -> None:
        """Store the running process, the writing end of its gate, and a folder for outputs."""
        self._process = process
        self._gate = gate
        self._folder = folder
        self._clocked = clocked

    def warm_up(self, desk: Desk, *argv: str) -> None:
        """Run a command in the process itself, which must succeed, to import its modules."""
        code = self._ask(self._order("warm", desk, argv))
        assert code == 0, self._outcome(code)

    def run(
        self,
        desk: Desk,
        *argv: str,
        faults: Sequence[Fault] = (),
        limits: Limits = NO_LIMITS,
        first_id: int | None = None,
        group: int | None = None,
    ) -> tuple[Outcome, bool]:
        """Run a command; return its outcome, and whether the first fault occurred.

        Args:
            desk: the desk of the command.
            argv: the command line.
            faults: faults at its system calls.
            limits: its limits.
            first_id: the number of its first new ID; by default IDs are random.
            group: the number of items in a commit of a batch; by default as usual.
        """
        order = self._order("start", desk, argv, limits=limits, group=group)
        order["first_id"] = first_id
        pid = self._ask(order)
        log = self._folder / "strace.log"
        with ExitStack() as tracing:
            if faults:
                tracing.enter_context(attached(pid, faults, log))
            os.write(self._gate, b"g")
            code = self._ask({"do": "wait"})[str(pid)]
        struck = bool(faults) and has_struck(faults[0], log)
        return self._outcome(code), struck

    def run_around(
        self,
        desk: Desk,
        *argv: str,
        stop: Fault,
        meanwhile: Callable[[], object],
        always: Sequence[Fault] = (),
        group: int | None = None,
    ) -> Outcome:
        """Run a command that is stopped at one of its calls while `meanwhile` runs.

        Args:
            desk: the desk of the command.
            argv: the command line.
            stop: the signal that stops it, and the call.
            meanwhile: is called while it is stopped.
            always: further faults.
            group: the number of items in a commit of a batch; by default as usual.
        """
        pid = self._ask(self._order("start", desk, argv, group=group))
        log = self._folder / "strace.log"
        with attached(pid, [stop, *always], log):
            os.write(self._gate, b"g")
            try:
                await_stop(log)
                meanwhile()
            finally:
                os.kill(pid, signal.SIGCONT)
                code = self._ask({"do": "wait"})[str(pid)]
        return self._outcome(code)

    def stdout(self) -> bytes:
        """Return the stdout of the running or the last command."""
        out, _ = self._outputs("")
        return out.read_bytes()

    def calls(self, kind: str) -> int:
        """Return the number of calls of a kind that the last command with faults made."""
        return called(kind, self._folder / "strace.log")

    def together(
        self, commands: Sequence[tuple[Desk, Sequence[str]]], group: int | None = None
    ) -> list[Outcome]:
        """Run commands in parallel; none begins before all are ready."""
        return self.shifts([(desk, [argv]) for desk, argv in commands], group)

    def shifts(
        self, people: Sequence[tuple[Desk, Sequence[Sequence[str]]]], group: int | None = None
    ) -> list[Outcome]:
        """Run several series of commands in parallel; a series ends when a command fails."""
        pids = [
            self._ask(self._order("start", desk, *series, name=str(at), group=group))
            for at, (desk, series) in enumerate(people)
        ]
        os.write(self._gate, b"g" * len(pids))
        codes = self._ask({"do": "wait"})
        return [self._outcome(codes[str(pid)], str(at)) for at, pid in enumerate(pids)]

    def _order(
        self,
        do: str,
        desk: Desk,
        *series: Sequence[str],
        limits: Limits = NO_LIMITS,
        name: str = "",
        group: int | None = None,
    ) -> dict[str, Any]:
        out, err = self._outputs(name)
        out.unlink(missing_ok=True)
        return {
            "do": do,
            "series": [["--home", str(desk.home), *argv] for argv in series],
            "environ": desk._environ(),
            "now": desk.now.isoformat(),
            "clock": _clock(desk) if self._clocked else None,
            "folder": str(desk.folder),
            "out": limits.stdout or str(out),
            "err": str(err),
            "file_size": limits.file_size,
            "user": limits.user,
            "group": group,
        }

    def _ask(self, order: dict[str, Any]) -> Any:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())

    def _outcome(self, code: int, name: str = "") -> Outcome:
        out, err = self._outputs(name)
        written = out.read_bytes() if out.exists() else b""
        return Outcome(code=code, out=written, err=err.read_text(errors="replace"))

    def _outputs(self, name: str) -> tuple[Path, Path]:
        return self._folder / f"out{name}", self._folder / f"err{name}"


def _clock(desk: Desk) -> dict[str, str]:
    """Return variables that give a process the desk's clock and time zone."""
    return {"FAKETIME": f"{desk.now.timestamp():.0f}", "TZ": desk.environ.get("TZ", "UTC")}


def faketime_environ() -> dict[str, str]:
    """Return an environment in which `FAKETIME` sets a fixed clock."""
    find = [require_tool("faketime", "faketime"), "-f", "+0d", "sh", "-c", "echo $LD_PRELOAD"]
    library = subprocess.run(find, check=True, capture_output=True, text=True).stdout.strip()
    return {
        "LD_PRELOAD": library,
        "FAKETIME_FMT": "%s",
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }


@contextmanager
def open_forks(folder: Path, *, clocked: bool = False) -> Iterator[Forks]:
    """Start the process; it ends with the block.

    Args:
        folder: the folder for outputs and logs of the commands.
        clocked: whether the commands use the system's clock, which faketime sets to the desk's,
            in the time zone of the desk's environment.
    """
    waiting, gate = os.pipe()
    # A fork ends without an exit of Python, so nothing that coverage measured would be kept.
    environ = {**unmeasured(), "PYTHONPATH": str(TESTS), "PYTHONDONTWRITEBYTECODE": "1"}
    if clocked:
        environ |= faketime_environ() | {"FAKETIME": "0"}
    with subprocess.Popen(
        [sys.executable, "-m", "support.command_forks", str(waiting)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        pass_fds=[waiting],
        env=environ,
    ) as process:
        os.close(waiting)
        try:
            yield Forks(process, gate, folder, clocked=clocked)
        finally:
            os.close(gate)
