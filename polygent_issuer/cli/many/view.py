"""How a batch looks: a line for each item as it is acknowledged, a summary, what failed and why."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from polygent_issuer import dates
from polygent_issuer.batch.outcomes import Done, Failed, Kept, Outcome
from polygent_issuer.batch.review import Review, Seen
from polygent_issuer.cli.blocks import Block, Line, Table
from polygent_issuer.cli.drafts import draft_lines
from polygent_issuer.cli.issue_view import proposal_json
from polygent_issuer.errors import ExitCode, IssuerError
from polygent_issuer.findings import Finding
from polygent_issuer.issuing.proposal import Action, Proposal
from polygent_issuer.settings import Settings

Drafts = Mapping[str, tuple[Path, ...]]

MOST_FAILURES = 50
"""Rows of the table of what failed; `--report` has all of them."""

MOST_UNNAMED = 20
"""Customers beside the file that are told by name; `--json` has all of them."""

_WORDS = {Action.SIGN: "issue", Action.RENEW: "renew", Action.REISSUE: "reissue"}
_DONE = {Action.SIGN: "issued", Action.RENEW: "renewed", Action.REISSUE: "reissued"}

WORDS = (*_DONE.values(), "kept", "failed")
"""What is counted."""


@dataclass(kw_only=True, slots=True)
class Tally:
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
            self.done[_DONE[each.proposal.action]] += 1
            self.last = each.proposal
        if isinstance(outcome, Failed):
            self.done["failed"] += 1
            if len(self.failures) < MOST_FAILURES:
                self.failures.append(outcome)

    @property
    def items(self) -> int:
        """How many licenses or items there were."""
        return self.done.total()

    @property
    def issued(self) -> int:
        """How many licenses were issued."""
        return sum(self.done[word] for word in _DONE.values())

    @property
    def exit_code(self) -> ExitCode:
        """20 as soon as one failed."""
        return ExitCode.BATCH if self.done["failed"] else ExitCode.DONE

    def told(self, *, complete: bool = True) -> str:
        """`renewed 3, kept 2, failed 1`; `nothing to do` for none, at the end of all."""
        words = [f"{word} {self.done[word]:,}" for word in WORDS if self.done[word]]
        if not self.issued and not self.done["failed"]:
            words.insert(0, "nothing to do" if complete else "nothing was issued")
        return ", ".join(words)

    def failures_table(self) -> Iterable[Block]:
        """What failed, why, and what puts it right."""
        if not self.failures:
            return
        rows = tuple((each.job.place, told(each.error)) for each in self.failures)
        yield Table(("failed", "why"), rows)
        if (rest := self.done["failed"] - len(self.failures)) > 0:
            yield Line(f"and {rest:,} more: --report FILE lists them all", "warn")


def told(error: IssuerError) -> str:
    """An error in one cell."""
    return f"{error.message}; hint: {error.hint}" if error.hint else error.message


def outcome_blocks(outcome: Outcome, drafts: Drafts) -> Iterable[Block]:
    """One line for each license that was issued, or for an item with something to be told.

    Args:
        drafts: the mail drafts, by the ID of the license.
    """
    if isinstance(outcome, Kept):
        if outcome.decision.note is not None:
            yield Line(f"kept {outcome.job.place}: {outcome.decision.note}", "dim")
        return
    for each in outcome.issued:
        word = _DONE[each.proposal.action]
        where = f"; {each.path}" if each.path is not None else ""
        yield Line(f"{word} {outcome.job.place}: {change(each.proposal)}{where}", "good")
        yield from draft_lines(drafts.get(each.proposal.license.jti, ()))
    if isinstance(outcome, Done) and outcome.note is not None:
        yield Line(outcome.note, "dim", 1)


def outcome_json(outcome: Outcome, settings: Settings, drafts: Drafts) -> dict[str, Any]:
    """The same for programs: `outcome` is `done`, `kept` or `failed`."""
    said: dict[str, Any] = {"outcome": _name(outcome), "item": outcome.job.place}
    if isinstance(outcome, Kept):
        return {**said, "licenses": [], "note": outcome.decision.note}
    said["licenses"] = [
        {
            **proposal_json(each.proposal, settings),
            "file": None if each.path is None else str(each.path),
            "drafts": [str(path) for path in drafts.get(each.proposal.license.jti, ())],
            "accepted": list(outcome.job.consent.used(each.proposal.findings)),
        }
        for each in outcome.issued
    ]
    if isinstance(outcome, Failed):
        said["error"] = error_json(outcome.error)
    return said


def error_json(error: IssuerError) -> dict[str, Any]:
    """An item's error for programs."""
    return {"code": error.code, "message": error.message, "hint": error.hint}


def _name(outcome: Outcome) -> str:
    return type(outcome).__name__.lower()


def seen_blocks(seen: Seen) -> Iterable[Block]:
    """What would be done for one item: a line, and its findings."""
    if seen.error is not None:
        yield Line(f"refused {seen.job.place}: {told(seen.error)}", "bad")
    elif not seen.decision.proposals and seen.decision.note is not None:
        yield Line(f"keep {seen.job.place}: {seen.decision.note}", "dim")
    for proposal in seen.decision.proposals:
        yield Line(f"{_WORDS[proposal.action]} {seen.job.place}: {change(proposal)}")
        for note in proposal.notes:
            yield Line(note, "dim", 1)
        missing = {finding.code for finding in seen.missing}
        for finding in proposal.findings:
            state = _state(seen, finding) if finding.code in missing else " (accepted)"
            yield Line(f"{finding.code}{state}: {finding.message}", "warn", 1)


def _state(seen: Seen, finding: Finding) -> str:
    """What the item itself says of a finding that nobody accepted yet."""
    if finding.code not in seen.job.own.accepted:
        return ""
    return " (the row accepts it, which counts with --expect or --accept-from-file)"


def seen_json(seen: Seen, settings: Settings) -> dict[str, Any]:
    """The same for programs: `decision` is `issue`, `renew`, `reissue`, `keep` or `refused`."""
    if seen.error is not None:
        error = error_json(seen.error)
        return {"item": seen.job.place, "decision": "refused", "licenses": [], "error": error}
    words = [_WORDS[proposal.action] for proposal in seen.decision.proposals]
    return {
        "item": seen.job.place,
        "decision": words[0] if words else "keep",
        "licenses": [proposal_json(each, settings) for each in seen.decision.proposals],
        "missing": sorted({str(finding.code) for finding in seen.missing}),
        "note": seen.decision.note,
    }


def change(proposal: Proposal) -> str:
    """Old → new in one line: the last full day, then what else changes."""
    new = dates.last_full_day(proposal.license.expires_at).isoformat()
    olds = [dates.last_full_day(old.expires_at).isoformat() for old in proposal.replaced]
    day = f"until {new}" if max(olds, default=new) == new else f"{max(olds)} → {new}"
    if not olds:
        return f"{proposal.license.tier}, {day}"
    terms = (f"{term.name} {term.old} → {term.new}" for term in proposal.differences)
    return ", ".join((day, *terms))


def review_blocks(review: Review) -> Iterable[Block]:
    """How much would be done, and what stands in its way."""
    words = (f"{_word(name)} {count:,}" for name, count in review.actions.items())
    yield Line(", ".join(words) or "nothing to do", "title")
    for code, count in sorted(review.missing.items()):
        yield Line(f"{code} stops {count:,} of them: --accept {code} --reason TEXT", "warn")


def review_json(review: Review) -> Mapping[str, Any]:
    """The same for programs."""
    counts = {_word(name): count for name, count in review.actions.items()}
    return {**counts, "missing": dict(review.missing)}


def unnamed_blocks(slugs: tuple[str, ...]) -> Iterable[Block]:
    """The customers of whom no item tells, the first of them by name."""
    if not slugs:
        return
    more = f" and {len(slugs) - MOST_UNNAMED:,} more" if len(slugs) > MOST_UNNAMED else ""
    yield Line(f"not in the file, so left as they are: {', '.join(slugs[:MOST_UNNAMED])}{more}")


def _word(name: str) -> str:
    return _WORDS[Action(name)] if name in set(Action) else name
