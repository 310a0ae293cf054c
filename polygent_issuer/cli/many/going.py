"""A batch that is being carried out."""

from collections.abc import Mapping
from dataclasses import dataclass

from polygent_issuer.batch.bundle import Bundle
from polygent_issuer.batch.review import Review
from polygent_issuer.batch.run import Run
from polygent_issuer.cli import output
from polygent_issuer.cli.context import Invocation
from polygent_issuer.cli.many.batch import Batch
from polygent_issuer.cli.many.interruption import Interruption
from polygent_issuer.cli.many.progress import progress
from polygent_issuer.cli.many.report_file import ReportFile
from polygent_issuer.cli.many.summary import Summary
from polygent_issuer.cli.many.telling import Telling
from polygent_issuer.errors import IssuerError, OutputProblem
from polygent_issuer.findings import Consent
from polygent_issuer.issuing.destination import Destination
from polygent_issuer.signer import Signer


@dataclass(frozen=True, kw_only=True, slots=True)
class Going:
    """What a batch goes by.

    Attributes:
        given: what the operator accepted.
        review: what was shown, if anything was.
        signers: the keys, where they were unlocked beforehand.
    """

    invocation: Invocation
    batch: Batch
    destination: Destination
    bundle: Bundle | None
    report: ReportFile | None
    telling: Telling
    given: Consent
    review: Review | None
    signers: Mapping[str, Signer] | None

    def to_the_end(self) -> output.Result:
        """Issue, telling each outcome when it is durable.

        Raises:
            IssuerError: what stopped it, after the summary of what was done.
        """
        problem = None
        with Interruption() as interruption:
            try:
                self._issue(interruption)
            except IssuerError as error:
                problem = error
        kept = None
        try:
            kept = None if self.report is None else self.report.finish()
        except OutputProblem as error:
            problem = problem or error
        summary = Summary(
            tally=self.telling.tally,
            settings=self.invocation.settings,
            report=kept,
            bundle=self.bundle,
            interrupted=interruption.came,
            stopped=problem is not None,
            unnamed=self.batch.unnamed() if problem is None else (),
        )
        if problem is not None:
            self.invocation.in_lines = True
            output.write_result(
                summary, as_json=self.invocation.as_json, quiet=self.invocation.quiet
            )
            raise problem
        return summary

    def _issue(self, interruption: Interruption) -> None:
        invocation = self.invocation
        run = Run(
            invocation.registry,
            unlock=lambda: self.batch.unlock() if self.signers is None else self.signers,
            destination=self.destination,
            now=invocation.now,
            actor=invocation.actor,
            stopped=lambda: interruption.came,
            with_reason=not invocation.interactive,
            review=self.batch.expect,
        )
        shown = None if self.review is None else self.review.shown
        with progress(invocation, self.batch.what, self.batch.total) as one:
            for outcome in run.outcomes(self.batch.jobs(self.given), shown):
                if self.bundle is not None:
                    self.bundle.note(outcome)
                self.telling.tell(outcome)
                one()
        if self.bundle is not None and not interruption.came:
            self.bundle.finish(invocation.registry, now=invocation.now, actor=invocation.actor)
            self.telling.release()
