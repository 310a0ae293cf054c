"""What a batch gives back when it has ended: what was done, and how it exits."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from polygent_issuer.batch.bundle import Bundle
from polygent_issuer.cli.blocks import Block, Line
from polygent_issuer.cli.many.last_line import LastLine
from polygent_issuer.cli.many.review_view import unnamed_blocks
from polygent_issuer.cli.many.tally import WORDS, Tally
from polygent_issuer.cli.proposal_view import upload_before
from polygent_issuer.errors import ExitCode
from polygent_issuer.settings import Settings


@dataclass(frozen=True, kw_only=True, slots=True)
class Summary(LastLine):
    """What was done.

    Attributes:
        report: the file that tells of each item.
        bundle: the archive, if any is made.
        interrupted: Ctrl-C ended it early.
        stopped: a problem did, which is told after this.
        unnamed: the customers of whom no item tells.
    """

    tally: Tally
    settings: Settings
    report: Path | None = None
    bundle: Bundle | None = None
    interrupted: bool = False
    stopped: bool = False
    unnamed: tuple[str, ...] = ()

    @property
    def exit_code(self) -> ExitCode:
        """130 when interrupted, else 20 when an item failed."""
        return ExitCode.INTERRUPTED if self.interrupted else self.tally.exit_code

    @property
    def complete(self) -> bool:
        """Whether it came to its end."""
        return not (self.interrupted or self.stopped)

    def to_json(self) -> Mapping[str, Any]:
        """`summary`: counts, and whether it came to its end."""
        counts = {word: self.tally.done[word] for word in WORDS}
        ended = {"dry_run": False, "complete": self.complete}
        made = None
        if self.bundle is not None and self.bundle.written:
            made = {"file": str(self.bundle.target), "licenses": self.bundle.written}
        unnamed = list(self.unnamed)
        return {"summary": {**ended, **counts, "archive": made, "unnamed": unnamed}}

    def blocks(self) -> Iterable[Block]:
        """What failed, the counts, and what is next."""
        yield from self.tally.failures_blocks()
        yield Line(self.tally.told(complete=self.complete), "title")
        yield from unnamed_blocks(self.unnamed)
        if self.tally.last is not None:
            yield Line(f"upload before {upload_before(self.tally.last.license, self.settings)}")
        if self.bundle is not None and self.bundle.written:
            held = "1 license" if self.bundle.written == 1 else f"{self.bundle.written:,} licenses"
            yield Line(f"archive: {self.bundle.target}, {held}", "good")
        if self.report is not None:
            yield Line(f"report: {self.report}", "dim")
        if not self.complete:
            ended = "interrupted" if self.interrupted else "broken off"
            yield Line(f"{ended}; the same command does the rest", "warn")
        elif self.tally.issued:
            yield Line("to be mailed: polygent-issue license list --unsent", "dim")
