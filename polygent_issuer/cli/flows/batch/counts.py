"""Counts of a batch: what was done so far, the first failures, the last license."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from polygent_issuer.batch.outcomes import Failed, Kept, Outcome
from polygent_issuer.cli.output.model import Block, Line, Table
from polygent_issuer.errors import ExitCode
from polygent_issuer.issuing.proposal import Action, Proposal

MOST_FAILURES: Final = 50
"""Rows of the table of what failed; `--report` has all of them."""

DONE: Final = {Action.SIGN: "issued", Action.RENEW: "renewed", Action.REISSUE: "reissued"}
"""The word for each action when it is done."""

WORDS: Final = (*DONE.values(), "kept", "failed")
"""What is counted."""


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


def _first_of(places: list[str]) -> str:
    more = len(places) - 1
    return f"{places[0]} and {more:,} more" if more else places[0]
