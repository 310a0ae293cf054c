"""`polygent-issue journal verify`: does the journal stand, and the registry as it says?"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any

import typer

from polygent_issuer.cli.blocks import Block, Fields, Line
from polygent_issuer.cli.context import Invocation
from polygent_issuer.cli.output import Result
from polygent_issuer.errors import ExitCode
from polygent_issuer.registry import journal
from polygent_issuer.registry.journal import JournalCheck


@dataclass(frozen=True, kw_only=True, slots=True)
class Verification(Result):
    """What was found.

    Attributes:
        against: the older head that was given; `None` without one.
    """

    check: JournalCheck
    against: str | None

    @property
    def exit_code(self) -> ExitCode:
        """7 when anything was found."""
        return ExitCode.REGISTRY if self.check.problems else ExitCode.DONE

    @property
    def head(self) -> str:
        """The head as `--against` takes it later."""
        return f"{self.check.size}:{self.check.head}"

    def to_json(self) -> Mapping[str, Any]:
        """`intact`, the size and the head, `problems` in words."""
        return {
            "intact": not self.check.problems,
            "size": self.check.size,
            "head": self.head,
            "against": self.against,
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
        yield Fields((("rows", str(self.check.size)), ("head", self.head)))
        if self.check.problems:
            yield Line("keep a copy of it as it is, and restore the last good backup", "plain")
        elif self.against is None:
            yield Line("what was cut off the end shows only against a head that was kept", "dim")
            yield Line("elsewhere: polygent-issue journal verify --against HEAD", "dim")


def verify(
    invocation: Invocation,
    against: Annotated[
        str | None,
        typer.Option("--against", metavar="HEAD", help="A head that was noted earlier."),
    ] = None,
) -> Verification:
    """Find edits of the journal and of the registry that it vouches for.

    Prints how many rows there are and the head, to be kept elsewhere: given with --against later,
    it finds rows that were cut off and a restored older copy.
    """
    with invocation.registry.reading() as db:
        return Verification(check=journal.verify(db, against=against), against=against)
