"""Before a batch: what it would do is held against a review, shown, and agreed to."""

import sys
from dataclasses import replace

from polygent_issuer.batch.review import Review, Seen
from polygent_issuer.cli import consent, output, prompts
from polygent_issuer.cli.context import Invocation
from polygent_issuer.cli.issue_flow import IssueOptions
from polygent_issuer.cli.many.batch import Batch
from polygent_issuer.cli.many.review_view import review_blocks, seen_blocks
from polygent_issuer.cli.many.reviewing import review_all
from polygent_issuer.errors import InputRefused
from polygent_issuer.findings import Consent

_SHOWN = 20
"""Items of a review that a terminal shows one by one before it asks."""


class DecisionsChanged(InputRefused):
    """What would be done is no longer what was reviewed."""

    code = "decisions_changed"


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

    review = review_all(invocation, batch, given, keep_few)
    if batch.expect not in (None, review.digest):
        raise DecisionsChanged(
            "what would be done is not what was reviewed: its digest is "
            f"{review.digest}; nothing was issued",
            hint="look at it with --dry-run, and give the digest that it prints",
        )
    if not invocation.interactive or not (review.ready or review.missing):
        return review, given  # nobody to ask, or nothing: the summary tells the rest
    blocks = [block for seen in few for block in seen_blocks(seen)]
    output.write_blocks([*blocks, *review_blocks(review)], sys.stderr)
    agreed = consent.obtain_for_many(review.missing, given)
    if agreed != given:
        # What was on the screen counts, though others may have written since.
        review = replace(review_all(invocation, batch, agreed, lambda _: None), shown=review.shown)
    if review.ready and not how.yes:
        prompts.go_ahead(f"go ahead with {review.ready:,}?", default=True)
    return review, agreed
