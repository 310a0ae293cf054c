"""Telling of each item as it is acknowledged: on stdout, in the report, in the tally."""

from functools import partial
from pathlib import Path

from polygent_issuer.batch.outcomes import Done, Failed, Outcome
from polygent_issuer.cli import json_text, streaming
from polygent_issuer.cli.context import Invocation
from polygent_issuer.cli.drafts import Drafter
from polygent_issuer.cli.many.outcome_view import outcome_blocks, outcome_json
from polygent_issuer.cli.many.report_file import ReportFile
from polygent_issuer.cli.many.spool import Spool
from polygent_issuer.cli.many.tally import Tally
from polygent_issuer.cli.plain_text import plain_lines
from polygent_issuer.errors import IssuerError


class Telling:
    """Tells what became of the items of a batch.

    Attributes:
        tally: what was done so far.
    """

    def __init__(
        self,
        invocation: Invocation,
        drafter: Drafter,
        report: ReportFile | None,
        withheld: Spool | None,
    ) -> None:
        """With nothing told yet.

        Args:
            withheld: holds back what stdout is told, until `release`.
        """
        self.tally = Tally()
        self._invocation = invocation
        self._drafter = drafter
        self._report = report
        self._withheld = withheld

    def release(self) -> None:
        """Tell what was held back: what it speaks of is durable now."""
        if self._withheld is not None:
            streaming.write_lines(self._withheld.lines())

    def tell(self, outcome: Outcome) -> None:
        """Tell an outcome that is durable, once its mail drafts are written, too."""
        drafts: dict[str, tuple[Path, ...]] = {}
        if isinstance(outcome, Done):
            try:
                drafts = self._drafter.write(each.proposal.license.jti for each in outcome.issued)
            except IssuerError as problem:  # whatever it is, the license is issued and told of
                outcome = Failed(job=outcome.job, error=problem, issued=outcome.issued)
        self.tally.add(outcome)
        members = partial(outcome_json, outcome, self._invocation.settings, drafts)
        blocks = partial(outcome_blocks, outcome, drafts)
        self._invocation.in_lines |= self._invocation.as_json
        if self._withheld is not None:
            as_json = self._invocation.as_json
            lines = [json_text.line(members())] if as_json else plain_lines(blocks())
            for line in lines:
                self._withheld.add(line)
        elif self._invocation.as_json:
            streaming.write_json_line(members())
        else:
            streaming.write_now(blocks())
        if self._report is not None:
            self._report.add(members())
