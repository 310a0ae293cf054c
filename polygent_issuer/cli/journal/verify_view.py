"""How the outcome of `journal verify` looks."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from polygent_issuer.cli.blocks import Block, Fields, Line
from polygent_issuer.cli.output import Result
from polygent_issuer.errors import ExitCode
from polygent_issuer.registry.journal import JournalCheck
from polygent_issuer.registry.noted_heads import head_text


@dataclass(frozen=True, kw_only=True, slots=True)
class Verification(Result):
    """What was found.

    Attributes:
        against: what was given to compare with; `None` without it.
        checked: how many noted heads that were.
        noted: the file that the head was added to.
    """

    check: JournalCheck
    against: str | None
    checked: int
    noted: Path | None

    @property
    def exit_code(self) -> ExitCode:
        """7 when anything was found."""
        return ExitCode.REGISTRY if self.check.problems else ExitCode.DONE

    @property
    def head(self) -> str:
        """The head as `--against` takes it later."""
        return head_text(self.check.size, self.check.head)

    def to_json(self) -> Mapping[str, Any]:
        """`intact`, the size and the head, `problems` in words."""
        return {
            "intact": not self.check.problems,
            "size": self.check.size,
            "head": self.head,
            "against": self.against,
            "heads_checked": self.checked,
            "noted": None if self.noted is None else str(self.noted),
            "problems": list(self.check.problems),
        }

    def blocks(self) -> Iterable[Block]:
        """The verdict, each problem, and the head to note."""
        if self.check.problems:
            yield Line("the registry is not as this tool left it", "bad")
            for problem in self.check.problems:
                yield Line(problem, "bad", 1)
        else:
            yield Line("journal and registry are intact", "good")
        found = self.checked and not self.check.problems
        checked = str(self.checked) if found else None
        noted = None if self.noted is None else str(self.noted)
        rows = (("rows", str(self.check.size)), ("head", self.head))
        yield Fields((*rows, ("noted heads in it", checked), ("noted in", noted)))
        yield from self._advice()

    def _advice(self) -> Iterable[Block]:
        if self.check.problems:
            yield Line("keep a copy of it as it is, and restore the last good backup:")
            yield Line("polygent-issue registry restore BACKUP")
        elif self.against is None and self.noted is None:
            yield Line("what was cut off the end shows only against a head that was kept", "dim")
            yield Line("elsewhere: polygent-issue journal verify --note FILE, and later", "dim")
            yield Line("polygent-issue journal verify --against FILE", "dim")
