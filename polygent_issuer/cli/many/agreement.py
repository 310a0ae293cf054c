"""Before a batch: what it would do, shown, held against a review, and agreed to."""

import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace

from polygent_issuer.batch.outcomes import Job
from polygent_issuer.batch.review import Review, Seen, look
from polygent_issuer.cli import consent, output, prompts
from polygent_issuer.cli.context import Invocation
from polygent_issuer.cli.issue_flow import IssueOptions
from polygent_issuer.cli.many.progress import progress
from polygent_issuer.cli.many.report_file import ReportFile
from polygent_issuer.cli.many.review_view import review_blocks, seen_blocks, seen_json
from polygent_issuer.cli.many.summary import Reviewed
from polygent_issuer.errors import InputRefused
from polygent_issuer.findings import Consent
from polygent_issuer.signer import Signer

_SHOWN = 20
"""Items of a review that a terminal shows one by one before it asks."""


class DecisionsChanged(InputRefused):
    """What would be done is no longer what was reviewed."""

    code = "decisions_changed"


@dataclass(frozen=True, kw_only=True, slots=True)
class Batch:
    """What is to be done.

    Attributes:
        what: in a word, for the progress bar.
        jobs: the items, anew for each pass, with what was consented to.
        unlock: gives the signer of each key that may have to sign; prompts happen there.
        total: how many items there are, when that is known.
        expect: the digest that the review must have.
        expectable: whether the command takes such a digest.
        default_key: whether an item may have to be signed with the key for all.
        unnamed: the customers of whom no item tells.
    """

    what: str
    jobs: Callable[[Consent], Iterable[Job]]
    unlock: Callable[[], Mapping[str, Signer]]
    total: int | None = None
    expect: str | None = None
    expectable: bool = False
    default_key: bool = True
    unnamed: Callable[[], tuple[str, ...]] = tuple


def dry_run(
    invocation: Invocation, batch: Batch, given: Consent, report: ReportFile | None
) -> Reviewed:
    """Show what would be done for each item, and issue nothing.

    Raises:
        OutputExists, OutputProblem: when the report cannot be written.
    """

    def show(seen: Seen) -> None:
        if report is not None:
            report.add(seen_json(seen, invocation.settings))
        if invocation.as_json:
            invocation.in_lines = True
            output.write_json_line(seen_json(seen, invocation.settings))
        else:
            output.write_now(seen_blocks(seen))

    review = _review(invocation, batch, given, show)
    return Reviewed(
        review=review,
        expectable=batch.expectable,
        report=None if report is None else report.finish(),
        unnamed=batch.unnamed(),
    )


def agree(
    invocation: Invocation, batch: Batch, how: IssueOptions, given: Consent
) -> tuple[Review, Consent]:
    """Review it, hold that against what was expected, and on a terminal ask.

    Raises:
        DecisionsChanged: (`decisions_changed`) when it is not what was reviewed.
        Declined: (`declined`) for a no.
    """
    few: list[Seen] = []

    def keep_few(seen: Seen) -> None:
        told = seen.decision.proposals or seen.error or seen.decision.note
        if len(few) < _SHOWN and told:
            few.append(seen)

    review = _review(invocation, batch, given, keep_few)
    if batch.expect not in (None, review.digest):
        raise DecisionsChanged(
            "what would be done is not what was reviewed: its digest is "
            f"{review.digest}; nothing was issued",
            hint="look at it with --dry-run, and give the digest that it prints",
        )
    if not invocation.interactive:
        return review, given
    blocks = [block for seen in few for block in seen_blocks(seen)]
    output.write_blocks([*blocks, *review_blocks(review)], sys.stderr)
    agreed = consent.obtain_for_many(review.missing, given)
    if agreed != given:
        # What was on the screen counts, though others may have written since.
        review = replace(_review(invocation, batch, agreed, lambda _: None), shown=review.shown)
    if review.ready and not how.yes:
        prompts.go_ahead(f"go ahead with {review.ready:,}?", default=True)
    return review, agreed


def _review(
    invocation: Invocation, batch: Batch, given: Consent, each: Callable[[Seen], None]
) -> Review:
    review = Review()
    with progress(invocation, "reviewing", batch.total) as one:
        for seen in look(invocation.registry, batch.jobs(given), resumed=batch.expect):
            review.add(seen)
            each(seen)
            one()
    return review
