"""The last line of a batch and of its dry run: counts, what failed, what is next, the exit code."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from polygent_issuer.batch.bundle import Bundle
from polygent_issuer.batch.outcomes import Failed, Kept, Outcome
from polygent_issuer.batch.preview import Preview
from polygent_issuer.cli.output.model import Block, Line, Table
from polygent_issuer.cli.output.proposal import upload_before
from polygent_issuer.cli.output.result import Result
from polygent_issuer.errors import ExitCode
from polygent_issuer.home.settings import Settings
from polygent_issuer.issuing.proposal import Action, Proposal
from polygent_issuer.text import list_first

MOST_FAILURES: Final = 50
"""Rows of the table of what failed; `--report` has all of them."""

DONE: Final = {Action.SIGN: "issued", Action.RENEW: "renewed", Action.REISSUE: "reissued"}
"""The word for each action when it is done."""

DECISIONS: Final = {Action.SIGN: "issue", Action.RENEW: "renew", Action.REISSUE: "reissue"}
"""The word for each action in a preview."""

WORDS: Final = (*DONE.values(), "kept", "failed")
"""What is counted."""

MOST_MISSING_CUSTOMERS: Final = 20
"""Customers without an item that are named; `--json` has all of them."""


@dataclass(kw_only=True, slots=True)
class BatchCounts:
    """Counts what was acknowledged.

    Attributes:
        done: licenses by `issued`, `renewed`, `reissued`; items by `kept` and `failed`.
        failures: the first of them, for the table.
        last: the last license that was issued.
    """

    done: Counter[str] = field(default_factory=Counter)
    last: Proposal | None = None
    failures: list[Failed] = field(default_factory=list)

    def add(self, outcome: Outcome) -> None:
        """Count one more."""
        if isinstance(outcome, Kept):
            self.done["kept"] += 1
            return
        for each in outcome.issued:
            self.done[DONE[each.proposal.action]] += 1
            self.last = each.proposal
        if isinstance(outcome, Failed):
            self.done["failed"] += 1
            if len(self.failures) < MOST_FAILURES:
                self.failures.append(outcome)

    @property
    def issued(self) -> int:
        """How many licenses were issued."""
        return sum(self.done[word] for word in DONE.values())

    @property
    def exit_code(self) -> ExitCode:
        """20 as soon as one failed."""
        return ExitCode.BATCH if self.done["failed"] else ExitCode.DONE

    def text(self, *, complete: bool = True) -> str:
        """Return `renewed 3, kept 2, failed 1`; `nothing to do` for none, at the end of all."""
        words = [f"{word} {self.done[word]:,}" for word in WORDS if self.done[word]]
        if not self.issued and not self.done["failed"]:
            words.insert(0, "nothing to do" if complete else "nothing was issued")
        return ", ".join(words)

    def failure_blocks(self) -> Iterable[Block]:
        """Yield a table of what failed and why; below it each hint once and whole."""
        if not self.failures:
            return
        rows = tuple((each.job.place, each.error.message) for each in self.failures)
        yield Table(("failed", "why"), rows)
        if (rest := self.done["failed"] - len(self.failures)) > 0:
            yield Line(f"and {rest:,} more: --report FILE lists them all", "warn")
        hinted: dict[str, list[str]] = {}
        for each in self.failures:
            if each.error.hint:
                hinted.setdefault(each.error.hint, []).append(each.job.place)
        for hint, places in hinted.items():
            yield Line(f"hint for {_first_of(places)}: {hint}")


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

    in_lines = True

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
        yield from _missing_customers(self.missing_customers)
        if self.counts.last is not None:
            yield Line(f"upload before {upload_before(self.counts.last.license, self.settings)}")
        if self.bundle is not None and self.bundle.written:
            count = "1 license" if self.bundle.written == 1 else f"{self.bundle.written:,} licenses"
            yield Line(f"archive: {self.bundle.target}, {count}", "good")
        if self.report is not None:
            yield Line(f"report: {self.report}", "dim")
        if not self.complete:
            ended = "interrupted" if self.interrupted else "broken off"
            yield Line(f"{ended}; the same command does the rest", "warn")
        elif self.counts.issued:
            yield Line("to be mailed: polygent-issue license list --unsent", "dim")


@dataclass(frozen=True, kw_only=True, slots=True)
class PreviewResult(Result):
    """The last line of a dry run; nothing was issued.

    Attributes:
        takes_digest: whether the command has `--expect`.
        report: the file with each item.
        missing_customers: whom no item names.
    """

    preview: Preview
    takes_digest: bool = False
    report: Path | None = None
    missing_customers: tuple[str, ...] = ()

    in_lines = True

    @property
    def exit_code(self) -> ExitCode:
        """20 when an item is refused, as it would fail."""
        return ExitCode.BATCH if self.preview.actions["refused"] else ExitCode.DONE

    def to_json(self) -> Mapping[str, Any]:
        """`summary`, with the digest where one is taken."""
        counts = {**_decisions(self.preview), "missing": dict(self.preview.missing)}
        digest = {"digest": self.preview.digest} if self.takes_digest else {}
        unnamed = list(self.missing_customers)
        return {"summary": {"dry_run": True, **counts, **digest, "unnamed": unnamed}}

    def blocks(self) -> Iterable[Block]:
        """Counts, what is missing, the digest."""
        yield from total_blocks(self.preview)
        yield from _missing_customers(self.missing_customers)
        if self.report is not None:
            yield Line(f"report: {self.report}", "dim")
        if self.takes_digest:
            yield Line(f"digest {self.preview.digest}")
            if self.preview.issues:
                yield Line("to do exactly this: --expect DIGEST in place of --dry-run", "dim")
        yield Line("dry run: nothing was issued", "dim")


def total_blocks(total: Preview) -> Iterable[Block]:
    """Yield how much would be done, and what stands in its way."""
    words = [f"{word} {count:,}" for word, count in _decisions(total).items()]
    if not total.issues and not total.actions["refused"]:
        words.insert(0, "nothing to do")
    yield Line(", ".join(words), "title")
    for code, count in sorted(total.missing.items()):
        yield Line(f"{code} stops {count:,} of them: --accept {code} --reason TEXT", "warn")


def _decisions(total: Preview) -> dict[str, int]:
    """Return how many of each there are, in the order of a summary, zeros left out."""
    counts = {word: total.actions[action] for action, word in DECISIONS.items()}
    counts |= {word: total.actions[word] for word in ("keep", "refused")}
    return {word: count for word, count in counts.items() if count}


def _missing_customers(slugs: tuple[str, ...]) -> Iterable[Block]:
    if slugs:
        first = list_first(slugs, most=MOST_MISSING_CUSTOMERS)
        yield Line(f"not in the file, so left as they are: {first}")


def _first_of(places: list[str]) -> str:
    more = len(places) - 1
    return f"{places[0]} and {more:,} more" if more else places[0]
