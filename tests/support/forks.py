"""Real processes that run one command each, started in milliseconds, with faults or together."""

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
from support.strace import Fault, attached, await_stop, has_struck

TESTS = Path(__file__).parents[1]
KILLED = -9
# The clock of a process of its own is not the desk's.
ANY_TIME = (
    *("--accept", "stale-machine-info", "--accept", "clock-behind", "--accept", "long-term"),
    *("--reason", "the desk has another clock"),
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """What a command has to do without.

    Attributes:
        file_size: the size in bytes beyond which it may write no file (`ulimit -f`).
        user: the uid and gid that it runs as; the present user must be root.
        stdout: where its stdout goes; a file that the test reads when not given.
    """

    file_size: int | None = None
    user: int | None = None
    stdout: str | None = None


_NONE = Limits()


class Forks:
    """The process that forks commands; `open_forks` starts it."""

    def __init__(self, process: "subprocess.Popen[str]", gate: int, folder: Path) -> None:
        """Take the running process, the writing end of its gate, and a folder for outputs."""
        self._process = process
        self._gate = gate
        self._folder = folder

    def warm_up(self, desk: Desk, *argv: str) -> None:
        """Run a command there in place, which must succeed, for the sake of what it imports."""
        code = self._ask(self._order("warm", desk, argv))
        assert code == 0, self._outcome(code)

    def run(
        self, desk: Desk, *argv: str, faults: Sequence[Fault] = (), limits: Limits = _NONE
    ) -> tuple[Outcome, bool]:
        """Run a command; how it ended, and whether the first of the faults came upon it."""
        pid = self._ask(self._order("start", desk, argv, limits))
        log = self._folder / "strace.log"
        with ExitStack() as tracing:
            if faults:
                tracing.enter_context(attached(pid, faults, log))
            os.write(self._gate, b"g")
            code = self._ask({"do": "wait"})[str(pid)]
        struck = bool(faults) and has_struck(faults[0], log)
        return self._outcome(code), struck

    def run_around(
        self, desk: Desk, *argv: str, stop: Fault, meanwhile: Callable[[], object]
    ) -> Outcome:
        """Run a command that is stopped at one of its calls while something else happens."""
        pid = self._ask(self._order("start", desk, argv))
        log = self._folder / "strace.log"
        with attached(pid, [stop], log):
            os.write(self._gate, b"g")
            try:
                await_stop(log)
                meanwhile()
            finally:
                os.kill(pid, signal.SIGCONT)
                code = self._ask({"do": "wait"})[str(pid)]
        return self._outcome(code)

    def together(self, commands: Sequence[tuple[Desk, Sequence[str]]]) -> list[Outcome]:
        """Run commands at once: none begins before all are ready."""
        pids = [
            self._ask(self._order("start", desk, argv, name=str(at)))
            for at, (desk, argv) in enumerate(commands)
        ]
        os.write(self._gate, b"g" * len(pids))
        codes = self._ask({"do": "wait"})
        return [self._outcome(codes[str(pid)], str(at)) for at, pid in enumerate(pids)]

    def _order(
        self, do: str, desk: Desk, argv: Sequence[str], limits: Limits = _NONE, name: str = ""
    ) -> dict[str, Any]:
        out, err = self._outputs(name)
        out.unlink(missing_ok=True)
        return {
            "do": do,
            "argv": ["--home", str(desk.home), *argv],
            "environ": desk._environ(),
            "now": desk.now.isoformat(),
            "folder": str(desk.folder),
            "out": limits.stdout or str(out),
            "err": str(err),
            "file_size": limits.file_size,
            "user": limits.user,
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


@contextmanager
def open_forks(folder: Path) -> Iterator[Forks]:
    """Start the process, and end it with the block.

    Args:
        folder: where outputs and logs of the commands go.
    """
    waiting, gate = os.pipe()
    environ = {**os.environ, "PYTHONPATH": str(TESTS), "PYTHONDONTWRITEBYTECODE": "1"}
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
            yield Forks(process, gate, folder)
        finally:
            os.close(gate)
