"""What the commands of many licenses share: review, ask, unlock, issue in groups, report."""

from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from polygent_issuer.cli import output
from polygent_issuer.cli.context import Invocation
from polygent_issuer.cli.drafts import drafter
from polygent_issuer.cli.issue_flow import IssueOptions, tell_default_issuer
from polygent_issuer.cli.many import places
from polygent_issuer.cli.many.agreement import agree
from polygent_issuer.cli.many.batch import Batch
from polygent_issuer.cli.many.going import Going
from polygent_issuer.cli.many.report_file import ReportFile
from polygent_issuer.cli.many.reviewing import dry_run
from polygent_issuer.cli.many.spool import Spool
from polygent_issuer.cli.many.telling import Telling
from polygent_issuer.cli.options import OptionGroup
from polygent_issuer.findings import Consent
from polygent_issuer.issuing.signing_key import choose_key


@dataclass(frozen=True, kw_only=True, slots=True)
class BatchOptions(OptionGroup):
    """Where the licenses of a batch go, and how it tells of itself."""

    bundle: Annotated[
        Path | None,
        typer.Option("--bundle", metavar="FILE", help="All in one archive, FILE.zip."),
    ] = None
    report: Annotated[
        Path | None,
        typer.Option("--report", metavar="FILE", help="What became of each: .csv or .json."),
    ] = None


def carry_out_many(
    invocation: Invocation, batch: Batch, how: IssueOptions, told: BatchOptions, given: Consent
) -> output.Result:
    """Issue what each item needs; one that fails leaves the others alone.

    Raises:
        IssuerError: what stands in the way of all; what was acknowledged is kept.
    """
    tell_default_issuer(invocation)
    drafts = drafter(invocation, how.eml)
    bundle = places.archive(invocation, told.bundle, how.output)
    destination = places.folder(invocation, how.output) if bundle is None else bundle.destination
    if how.key is not None or batch.default_key:
        _require_key(invocation, how.key)
    with ExitStack() as closing:
        report, withheld = None, None
        if told.report is not None:
            report = closing.enter_context(ReportFile(told.report))
        if how.dry_run:
            return dry_run(invocation, batch, given, report)
        if bundle is not None:
            bundle.recover(invocation.registry, now=invocation.now, actor=invocation.actor)
            batch = places.into(bundle, batch)
            withheld = closing.enter_context(Spool("what is told of each item"))
        review, signers = None, None
        if batch.expect is not None or invocation.interactive:
            review, given = agree(invocation, batch, how, given)
            # A bar would stand in the way of the question for a passphrase.
            signers = batch.unlock() if review.ready else {}
        going = Going(
            invocation=invocation,
            batch=batch,
            destination=destination,
            bundle=bundle,
            report=report,
            telling=Telling(invocation, drafts, report, withheld),
            given=given,
            review=review,
            signers=signers,
        )
        return going.to_the_end()


def _require_key(invocation: Invocation, named: str | None) -> None:
    """The key for all, named or active, stands in the way of all when there is none."""
    with invocation.registry.reading() as db:
        choose_key(db, named)
