"""The result of a batch: what was done, what is next, and the exit code."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from polygent_issuer.batch.bundle import Bundle
from polygent_issuer.cli.flows.batch.counts import WORDS, BatchCounts
from polygent_issuer.cli.flows.batch.preview import missing_customers_blocks
from polygent_issuer.cli.output.model import Block, Line
from polygent_issuer.cli.output.proposal import upload_before
from polygent_issuer.cli.output.result import Result
from polygent_issuer.errors import ExitCode
from polygent_issuer.home.settings import Settings


@dataclass(frozen=True, kw_only=True, slots=True)
class BatchResult(Result):
    """The last line of a batch.

    Attributes:
        report: the file with each item.
        bundle: the archive, if any is made.
        interrupted: Ctrl-C ended it early.
        stopped: a problem did, which is reported after this.
        missing_customers: whom no item names.
    """

    counts: BatchCounts
    settings: Settings
    report: Path | None = None
    bundle: Bundle | None = None
    interrupted: bool = False
    stopped: bool = False
    missing_customers: tuple[str, ...] = ()

    @property
    def in_lines(self) -> bool:
        """True: under `--json` one line, like those of the items."""
        return True

    @property
    def exit_code(self) -> ExitCode:
        """130 when interrupted, else 20 when an item failed."""
        return ExitCode.INTERRUPTED if self.interrupted else self.counts.exit_code

    @property
    def complete(self) -> bool:
        """Whether it came to its end."""
        return not (self.interrupted or self.stopped)

    def to_json(self) -> Mapping[str, Any]:
        """`summary`: counts, and whether it came to its end."""
        counts = {word: self.counts.done[word] for word in WORDS}
        ended = {"dry_run": False, "complete": self.complete}
        made = None
        if self.bundle is not None and self.bundle.written:
            made = {"file": str(self.bundle.target), "licenses": self.bundle.written}
        more = {"archive": made, "unnamed": list(self.missing_customers)}
        return {"summary": {**ended, **counts, **more}}

    def blocks(self) -> Iterable[Block]:
        """What failed, the counts, and what is next."""
        yield from self.counts.failure_blocks()
        yield Line(self.counts.text(complete=self.complete), "title")
        yield from missing_customers_blocks(self.missing_customers)
        if self.counts.last is not None:
            yield Line(f"upload before {upload_before(self.counts.last.license, self.settings)}")
        if self.bundle is not None and self.bundle.written:
            held = "1 license" if self.bundle.written == 1 else f"{self.bundle.written:,} licenses"
            yield Line(f"archive: {self.bundle.target}, {held}", "good")
        if self.report is not None:
            yield Line(f"report: {self.report}", "dim")
        if not self.complete:
            ended = "interrupted" if self.interrupted else "broken off"
            yield Line(f"{ended}; the same command does the rest", "warn")
        elif self.counts.issued:
            yield Line("to be mailed: polygent-issue license list --unsent", "dim")
