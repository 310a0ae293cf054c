"""How the verdicts on license files look."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from polygent_issuer import advice, dates
from polygent_issuer.cli import mending
from polygent_issuer.cli.blocks import Block, Fields, Line, Style
from polygent_issuer.cli.output import Result
from polygent_issuer.cli.verdicts import EXAMPLE_KEY, UploadWindow, heading, worst_exit
from polygent_issuer.cli.verify_json import answer_json
from polygent_issuer.errors import ExitCode
from polygent_issuer.issuing.judging import Judged, alert_days
from polygent_issuer.verifier import CheckRow, License, Outcome

_MARKS: dict[Outcome, tuple[str, Style]] = {
    Outcome.PASSED: ("ok", "good"),
    Outcome.FAILED: ("FAILED", "bad"),
    Outcome.NOT_CHECKED: ("not checked", "dim"),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdicts(Result):
    """A report for each license.

    Attributes:
        window: how long after its issue a server takes a file.
    """

    answers: tuple[Judged, ...]
    now: datetime
    window: UploadWindow

    @property
    def exit_code(self) -> ExitCode:
        """As `worst_exit`."""
        return worst_exit(each.verdict for each in self.answers)

    def to_json(self) -> Mapping[str, Any]:
        """`files`, each with its checks in FORMAT §5's order."""
        return {
            "at": dates.instant(self.now),
            "files": [answer_json(each, self.window) for each in self.answers],
        }

    def blocks(self) -> Iterable[Block]:
        """For each file: the verdict, whose it is, the checks, what to do, the timeline."""
        for number, each in enumerate(self.answers):
            if number:
                yield Line()
            yield from self._file_blocks(each)

    def _file_blocks(self, judged: Judged) -> Iterable[Block]:
        failure = judged.report.failure
        style: Style = "good" if failure is None else "bad"
        yield Line(heading(judged.name, judged.verdict, failure), style)
        if judged.example_key:
            yield Line(EXAMPLE_KEY, "bad", 1)
        if judged.license is not None:
            yield _whose(judged, judged.license)
        yield from self._rows(judged)
        if judged.license is not None:
            yield self._timeline(judged.license)

    def _rows(self, judged: Judged) -> Iterable[Block]:
        for row in judged.report.rows:
            mark, style = _MARKS[row.outcome]
            failed = row.outcome is Outcome.FAILED
            told = f"{row.code}: {row.message}" if failed else row.message
            yield Line(f"{mark:<11}  {told}", style, 1)
            if failed:
                yield from _advice(judged, row)
                if not judged.report.authentic:
                    yield Line("not checked  the rest: nothing in it can be believed", "dim", 1)
                    return

    def _timeline(self, held: License) -> Fields:
        deadline = self.window.deadline(held)
        assumed = " (assumed)" if self.window.assumed else ""
        late = "" if self.now <= deadline else ", which has passed"
        days = [moment.date().isoformat() for moment in alert_days(held)]
        return Fields(
            (
                ("accepted", f"from {dates.instant(held.issued_at)}"),
                ("until", dates.describe_expiry(held.expires_at)),
                ("upload before", f"{dates.instant(deadline)}{assumed}{late}"),
                ("admins are warned on", ", ".join(days) or None),
            )
        )


def _whose(judged: Judged, held: License) -> Fields:
    kept = judged.kept
    status = None
    if kept is not None and not kept.is_current:
        status = f"{kept.status}" + (f" by {kept.replaced_by[:8]}" if kept.replaced_by else "")
    return Fields(
        (
            ("license", held.jti),
            ("customer", f"{held.customer} ({held.sub})"),
            ("tier", str(held.tier)),
            ("in the registry", status),
        )
    )


def _advice(judged: Judged, row: CheckRow) -> Iterable[Line]:
    given = advice.for_check(row.code)
    if row.hint and not judged.report.authentic:
        yield Line(f"why: {row.hint}", "plain", 2)
    yield Line(f"the customer sees: {given.sees}", "plain", 2)
    yield Line(f"do: {mending.words(judged, row)}", "plain", 2)
    yield Line(f"with: {mending.command(judged, row)}", "plain", 2)
