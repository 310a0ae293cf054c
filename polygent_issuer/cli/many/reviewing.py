"""Looking at all of a batch before anything is done; with `--dry-run` that is the end of it."""

from collections.abc import Callable

from polygent_issuer.batch.review import Review, Seen, look
from polygent_issuer.cli import streaming
from polygent_issuer.cli.context import Invocation
from polygent_issuer.cli.many.batch import Batch
from polygent_issuer.cli.many.progress import progress
from polygent_issuer.cli.many.report_file import ReportFile
from polygent_issuer.cli.many.review_view import seen_blocks, seen_json
from polygent_issuer.cli.many.reviewed import Reviewed
from polygent_issuer.findings import Consent


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
            streaming.write_json_line(seen_json(seen, invocation.settings))
        else:
            streaming.write_now(seen_blocks(seen))

    review = review_all(invocation, batch, given, show)
    return Reviewed(
        review=review,
        expectable=batch.expectable,
        report=None if report is None else report.finish(),
        unnamed=batch.unnamed(),
    )


def review_all(
    invocation: Invocation, batch: Batch, given: Consent, each: Callable[[Seen], None]
) -> Review:
    """Decide every item, and show each as it is decided.

    Args:
        given: what the operator accepted.
        each: is told of every item.
    """
    review = Review()
    with progress(invocation, "reviewing", batch.total) as one:
        for seen in look(invocation.registry, batch.jobs(given), resumed=batch.expect):
            review.add(seen)
            each(seen)
            one()
    return review
