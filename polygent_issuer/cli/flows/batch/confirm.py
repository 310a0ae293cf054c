"""Before a batch: compare the preview with the digest that was given, show it, and ask."""

import sys
from dataclasses import replace

from polygent_issuer.batch.preview import Preview, PreviewItem
from polygent_issuer.cli import prompts
from polygent_issuer.cli.consent import obtain_for_many
from polygent_issuer.cli.context import Invocation
from polygent_issuer.cli.flows.batch.batch import Batch
from polygent_issuer.cli.flows.batch.items import preview_blocks
from polygent_issuer.cli.flows.batch.preview import preview_all, total_blocks
from polygent_issuer.cli.options.issue import IssueOptions
from polygent_issuer.cli.output import result
from polygent_issuer.errors import InputRefused
from polygent_issuer.findings import Consent

_MOST_SHOWN = 20
"""Items of a preview that a terminal shows one by one before it asks."""


class DecisionsChanged(InputRefused):
    """What would be done is no longer what was previewed."""

    code = "decisions_changed"


def confirm_preview(
    invocation: Invocation, batch: Batch, how: IssueOptions, consent: Consent
) -> tuple[Preview, Consent]:
    """Preview the batch, compare it with the digest that was expected, and on a terminal ask.

    Raises:
        DecisionsChanged: (`decisions_changed`) when it is not what was previewed.
        Declined: (`declined`) for a no.
    """
    first: list[PreviewItem] = []

    def collect(item: PreviewItem) -> None:
        visible = item.decision.proposals or item.error or item.decision.note
        if len(first) < _MOST_SHOWN and visible:
            first.append(item)

    preview = preview_all(invocation, batch, consent, collect)
    if batch.expect not in (None, preview.digest):
        raise DecisionsChanged(
            "what would be done is not what was reviewed: its digest is "
            f"{preview.digest}; nothing was issued",
            hint="look at it with --dry-run, and give the digest that it prints",
        )
    if not invocation.interactive or not (preview.ready or preview.missing):
        return preview, consent  # nobody to ask, or nothing: the result reports the rest
    blocks = [block for item in first for block in preview_blocks(item)]
    result.write_blocks([*blocks, *total_blocks(preview)], sys.stderr)
    agreed = obtain_for_many(preview.missing, consent)
    if agreed != consent:
        # What was on the screen counts, though others may have written since.
        again = preview_all(invocation, batch, agreed, lambda _: None)
        preview = replace(again, shown=preview.shown)
    if preview.ready and not how.yes:
        prompts.go_ahead(f"go ahead with {preview.ready:,}?", default=True)
    return preview, agreed
