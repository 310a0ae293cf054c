"""How the walk through the main job looks."""

import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from polygent_issuer.cli.blocks import Block, Line
from polygent_issuer.cli.output import Result
from polygent_issuer.errors import ExitCode


@dataclass(frozen=True, kw_only=True, slots=True)
class Step:
    """One command of the demo as one would type it, and how it ended."""

    title: str
    command: tuple[str, ...]
    code: int
    wanted: int
    text: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Demo(Result):
    """Every step, and where the files are."""

    folder: Path
    steps: tuple[Step, ...]

    @property
    def exit_code(self) -> ExitCode:
        """0 when every step ended as it should."""
        good = all(step.code == step.wanted for step in self.steps)
        return ExitCode.DONE if good else ExitCode.BUG

    def to_json(self) -> Mapping[str, Any]:
        """`steps` with their commands and exit codes."""
        return {
            "folder": str(self.folder),
            "steps": [
                {"command": list(step.command), "exit_code": step.code, "expected": step.wanted}
                for step in self.steps
            ],
        }

    def blocks(self) -> Iterable[Block]:
        """Each command, what it printed, and how it ended when not with 0."""
        yield Line(f"$ cd {shlex.quote(str(self.folder))}; export POLYGENT_ISSUER_HOME=$PWD/home")
        for step in self.steps:
            yield Line()
            yield Line(f"# {step.title}", "title")
            yield Line(f"$ polygent-issue {shlex.join(step.command)}", "good")
            for line in step.text.splitlines():
                yield Line(line, indent=1)
            if step.code != step.wanted:
                yield Line(f"exit {step.code}, but {step.wanted} was expected", "bad")
            elif step.code:
                yield Line(f"exit {step.code}, as it should be", "dim", 1)
        yield Line()
        yield Line(f"the files are in {self.folder}; nothing else was touched", "good")
