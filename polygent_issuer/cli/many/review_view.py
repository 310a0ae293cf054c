"""How a review looks: what would be done for each item, how much it is, what stands in its way."""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from polygent_issuer.batch.review import Review, Seen
from polygent_issuer.cli.blocks import Block, Line
from polygent_issuer.cli.issue_json import proposal_json
from polygent_issuer.cli.many.item_view import change, error_blocks, error_json
from polygent_issuer.findings import Finding
from polygent_issuer.issuing.proposal import Action
from polygent_issuer.settings import Settings
from polygent_issuer.text import list_first

MOST_UNNAMED: Final = 20
"""Customers beside the file that are told by name; `--json` has all of them."""

_WORDS: Final = {Action.SIGN: "issue", Action.RENEW: "renew", Action.REISSUE: "reissue"}


def seen_blocks(seen: Seen) -> Iterable[Block]:
    """What would be done for one item: a line, and its findings."""
    if seen.error is not None:
        yield from error_blocks("refused", seen.job.place, seen.error)
    elif not seen.decision.proposals and seen.decision.note is not None:
        yield Line(f"keep {seen.job.place}: {seen.decision.note}", "dim")
    for proposal in seen.decision.proposals:
        yield Line(f"{_WORDS[proposal.action]} {seen.job.place}: {change(proposal)}")
        for note in proposal.notes:
            yield Line(note, "dim", 1)
        for finding in proposal.findings:
            yield from _finding_blocks(seen, finding)


def _finding_blocks(seen: Seen, finding: Finding) -> Iterable[Block]:
    """A finding, and what the item itself says of it while nobody has accepted it."""
    missing = finding.code in {each.code for each in seen.missing}
    accepted = "" if missing else " (accepted)"
    yield Line(f"{finding.code}{accepted}: {finding.message}", "warn", 1)
    if missing and finding.code in seen.job.own.accepted:
        counts = "which counts with --expect or --accept-from-file"
        yield Line(f"the row accepts it, {counts}", "dim", 2)


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


def review_blocks(review: Review) -> Iterable[Block]:
    """How much would be done, and what stands in its way."""
    words = [f"{word} {count:,}" for word, count in _counts(review).items()]
    if not review.issues and not review.actions["refused"]:
        words.insert(0, "nothing to do")
    yield Line(", ".join(words), "title")
    for code, count in sorted(review.missing.items()):
        yield Line(f"{code} stops {count:,} of them: --accept {code} --reason TEXT", "warn")


def review_json(review: Review) -> Mapping[str, Any]:
    """The same for programs."""
    return {**_counts(review), "missing": dict(review.missing)}


def unnamed_blocks(slugs: tuple[str, ...]) -> Iterable[Block]:
    """The customers of whom no item tells, the first of them by name."""
    if not slugs:
        return
    yield Line(f"not in the file, so left as they are: {list_first(slugs, most=MOST_UNNAMED)}")


def _counts(review: Review) -> dict[str, int]:
    """How many of each, in the order of a summary; without what there is none of."""
    told = {word: review.actions[action] for action, word in _WORDS.items()}
    told |= {word: review.actions[word] for word in ("keep", "refused")}
    return {word: count for word, count in told.items() if count}
