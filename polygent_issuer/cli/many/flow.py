"""What the commands of many licenses share: review, ask, unlock, issue in groups, report."""

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from polygent_issuer.batch.bundle import Bundle
from polygent_issuer.batch.outcomes import Done, Failed, Outcome
from polygent_issuer.batch.review import Review
from polygent_issuer.batch.run import Run
from polygent_issuer.cli import output
from polygent_issuer.cli.context import Invocation
from polygent_issuer.cli.drafts import Drafter, drafter
from polygent_issuer.cli.issue_flow import IssueOptions, tell_default_issuer
from polygent_issuer.cli.many.agreement import Batch, agree, dry_run
from polygent_issuer.cli.many.interruption import Interruption
from polygent_issuer.cli.many.progress import progress
from polygent_issuer.cli.many.report_file import ReportFile
from polygent_issuer.cli.many.summary import Summary
from polygent_issuer.cli.many.view import Tally, outcome_blocks, outcome_json
from polygent_issuer.cli.options import OptionGroup
from polygent_issuer.errors import IssuerError, OutputProblem, UsageProblem
from polygent_issuer.findings import Consent
from polygent_issuer.issuing.destination import Destination, resolve
from polygent_issuer.issuing.signing_key import choose_key
from polygent_issuer.signer import Signer


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
    bundle = _bundle(invocation, told.bundle, how.output)
    destination = _folder(invocation, how.output) if bundle is None else bundle.destination
    if how.key is not None or batch.default_key:
        _require_key(invocation, how.key)
    with ExitStack() as closing:
        report = None
        if told.report is not None:
            report = closing.enter_context(ReportFile(told.report))
        if how.dry_run:
            return dry_run(invocation, batch, given, report)
        if bundle is not None:
            bundle.recover(invocation.registry, now=invocation.now, actor=invocation.actor)
            batch = _into(bundle, batch)
        review, signers = None, None
        if batch.expect is not None or invocation.interactive:
            review, given = agree(invocation, batch, how, given)
            # A bar would stand in the way of the question for a passphrase.
            signers = batch.unlock() if review.ready else {}
        going = _Going(
            invocation=invocation, batch=batch, bundle=bundle, report=report, drafter=drafts
        )
        return going.run(given, destination, review, signers)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Going:
    """A batch that is being carried out, and told of."""

    invocation: Invocation
    batch: Batch
    bundle: Bundle | None
    report: ReportFile | None
    drafter: Drafter

    def run(
        self,
        given: Consent,
        destination: Destination,
        review: Review | None,
        signers: Mapping[str, Signer] | None,
    ) -> output.Result:
        """Issue, telling each outcome when it is durable.

        Raises:
            IssuerError: what stopped it, after the summary of what was done.
        """
        invocation, batch, tally = self.invocation, self.batch, Tally()
        problem = None
        with Interruption() as interruption, progress(invocation, batch.what, batch.total) as one:
            run = Run(
                invocation.registry,
                unlock=batch.unlock if signers is None else lambda: signers,
                destination=destination,
                now=invocation.now,
                actor=invocation.actor,
                stopped=lambda: interruption.came,
                with_reason=not invocation.interactive,
                review=batch.expect,
            )
            shown = None if review is None else review.shown
            try:
                for outcome in run.outcomes(batch.jobs(given), shown):
                    self._tell(outcome, tally)
                    one()
                if self.bundle is not None and not interruption.came:
                    self.bundle.finish(
                        invocation.registry, now=invocation.now, actor=invocation.actor
                    )
            except IssuerError as error:
                problem = error
        kept = None
        try:
            kept = None if self.report is None else self.report.finish()
        except OutputProblem as error:
            problem = problem or error
        summary = Summary(
            tally=tally,
            settings=invocation.settings,
            report=kept,
            interrupted=interruption.came,
            stopped=problem is not None,
            unnamed=batch.unnamed() if problem is None else (),
        )
        if problem is not None:
            invocation.in_lines = True
            output.write_result(summary, as_json=invocation.as_json, quiet=invocation.quiet)
            raise problem
        return summary

    def _tell(self, outcome: Outcome, tally: Tally) -> None:
        """Tell an outcome that is durable, once its mail drafts are written, too."""
        drafts: dict[str, tuple[Path, ...]] = {}
        if isinstance(outcome, Done):
            try:
                drafts = self.drafter.write(each.proposal.license.jti for each in outcome.issued)
            except IssuerError as problem:  # whatever it is, the license is issued and told of
                outcome = Failed(job=outcome.job, error=problem, issued=outcome.issued)
        tally.add(outcome)
        members = partial(outcome_json, outcome, self.invocation.settings, drafts)
        if self.invocation.as_json:
            self.invocation.in_lines = True
            output.write_json_line(members())
        else:
            output.write_now(outcome_blocks(outcome, drafts))
        if self.report is not None:
            self.report.add(members())


def _bundle(invocation: Invocation, option: Path | None, output: str | None) -> Bundle | None:
    """The archive that was asked for, which can be made.

    Raises:
        UsageProblem: (`usage`) for an archive and a folder at once.
        OutputProblem: as `Bundle.check`.
    """
    if option is None:
        return None
    if output is not None:
        raise UsageProblem("--bundle and --output are two places", hint="give one of them")
    window = invocation.settings.upload_window_or_assumed
    bundle = Bundle(option.expanduser().absolute(), window=window)
    bundle.check()
    return bundle


def _require_key(invocation: Invocation, named: str | None) -> None:
    """The key for all, named or active, stands in the way of all when there is none."""
    with invocation.registry.reading() as db:
        choose_key(db, named)


def _into(bundle: Bundle, batch: Batch) -> Batch:
    """The same batch, which signs nothing that the archive could not take."""

    def unlock() -> Mapping[str, Signer]:
        bundle.require_free()
        return batch.unlock()

    return replace(batch, unlock=unlock)


def _folder(invocation: Invocation, option: str | None) -> Destination:
    """The folder of a batch.

    Raises:
        UsageProblem: (`usage`) for a single file, or stdout.
        OutputProblem: (`output_failed`) when it is not there or takes no files.
    """
    destination = resolve(option, invocation.settings.output, output.write_bytes)
    if destination.folder is None or destination.name is not None:
        raise UsageProblem("a batch makes many files", hint="--output FOLDER, which must exist")
    destination.check(())
    return destination
