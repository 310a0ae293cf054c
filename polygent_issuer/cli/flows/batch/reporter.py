"""Report each outcome of a batch: on stdout, in the report file, in the counts."""

from pathlib import Path

from polygent_issuer.batch.bundle import Bundle
from polygent_issuer.batch.outcomes import Done, Failed, Outcome
from polygent_issuer.cli.context import Invocation
from polygent_issuer.cli.flows.batch.counts import BatchCounts
from polygent_issuer.cli.flows.batch.items import outcome_blocks, outcome_json
from polygent_issuer.cli.flows.batch.report_file import ReportFile
from polygent_issuer.cli.flows.mail_drafts import Drafter
from polygent_issuer.cli.output import json_text, streams
from polygent_issuer.cli.output.plain_text import plain_lines
from polygent_issuer.errors import IssuerError


class BatchReporter:
    """Reports the outcomes of a batch, each when it is durable.

    Attributes:
        counts: what was done so far.
        bundle: the archive that the licenses go into.
    """

    def __init__(
        self,
        invocation: Invocation,
        drafter: Drafter,
        report: ReportFile | None,
        bundle: Bundle | None,
    ) -> None:
        """Begin with no outcome; those of an archive reach stdout with `finish_bundle`."""
        self.counts = BatchCounts()
        self.bundle = bundle
        self._invocation = invocation
        self._drafter = drafter
        self._report = report
        self._waiting: list[str] = []

    def add(self, outcome: Outcome) -> None:
        """Write the mail drafts of an outcome, then report it.

        Raises:
            OutputProblem: (`output_failed`) when stdout cannot be written.
        """
        if self.bundle is not None:
            self.bundle.note(outcome)
        drafts: dict[str, tuple[Path, ...]] = {}
        if isinstance(outcome, Done):
            try:
                drafts = self._drafter.write(each.proposal.license.jti for each in outcome.issued)
            except IssuerError as problem:  # the license is issued and reported all the same
                outcome = Failed(job=outcome.job, error=problem, issued=outcome.issued)
        self.counts.add(outcome)
        as_json = self._invocation.as_json
        self._invocation.in_lines |= as_json
        has_members = as_json or self._report is not None
        members = outcome_json(outcome, self._invocation.settings, drafts) if has_members else {}
        if self._report is not None:
            self._report.add(members)
        if self.bundle is not None:
            blocks = outcome_blocks(outcome, drafts)
            lines = [json_text.line(members)] if as_json else plain_lines(blocks)
            self._waiting += (f"{line}\n" for line in lines)
        elif as_json:
            streams.write_json_line(members)
        else:
            streams.write_now(outcome_blocks(outcome, drafts))

    def finish_bundle(self) -> None:
        """Complete the archive, if there is one, and report what is in it."""
        if self.bundle is None:
            return
        invocation = self._invocation
        self.bundle.finish(invocation.registry, now=invocation.now, actor=invocation.actor)
        streams.write_lines(self._waiting)

    def finish_report(self) -> Path | None:
        """Write the report file, if there is one.

        Raises:
            OutputExists, OutputProblem: as `ReportFile.finish`.
        """
        return None if self._report is None else self._report.finish()
