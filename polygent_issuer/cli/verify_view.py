"""How the verdicts on license files look."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from polygent_issuer import advice, dates
from polygent_issuer.cli import mending
from polygent_issuer.cli.blocks import Block, Fields, Line, Style
from polygent_issuer.cli.output import Result
from polygent_issuer.errors import ExitCode
from polygent_issuer.issuing.judging import Judged, Unread, alert_days
from polygent_issuer.verifier import CheckRow, License, Outcome

_MARKS: dict[Outcome, tuple[str, Style]] = {
    Outcome.PASSED: ("ok", "good"),
    Outcome.FAILED: ("FAILED", "bad"),
    Outcome.NOT_CHECKED: ("not checked", "dim"),
}

EXAMPLE_KEY = "signed with the EXAMPLE key, whose private half is public: it proves nothing"
"""What is said of a file that only the example key makes authentic."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdicts(Result):
    """A report for each file, or why there is none.

    Attributes:
        window: how long after its issue a server takes a file.
        window_assumed: nobody has told that yet.
    """

    answers: tuple[Judged | Unread, ...]
    now: datetime
    window: timedelta
    window_assumed: bool

    @property
    def exit_code(self) -> ExitCode:
        """10 if any is not authentic, else 3 if any is unread, else 11 if any is not accepted."""
        judged = [each for each in self.answers if isinstance(each, Judged)]
        if not all(each.report.authentic for each in judged):
            return ExitCode.NOT_AUTHENTIC
        if len(judged) < len(self.answers):
            return ExitCode.INPUT
        accepted = all(each.report.accepted for each in judged)
        return ExitCode.DONE if accepted else ExitCode.NOT_ACCEPTED

    def to_json(self) -> Mapping[str, Any]:
        """`files`, each with its checks in FORMAT §5's order."""
        return {
            "at": dates.instant(self.now),
            "files": [
                _unread_json(each) if isinstance(each, Unread) else self._file_json(each)
                for each in self.answers
            ],
        }

    def blocks(self) -> Iterable[Block]:
        """For each file: the verdict, whose it is, the checks, what to do, the timeline."""
        for number, each in enumerate(self.answers):
            if number:
                yield Line()
            if isinstance(each, Unread):
                reason = each.error.message.rpartition(": ")[2]
                yield Line(f"{each.name}: cannot be read: {reason}", "bad")
            else:
                yield from self._file_blocks(each)

    def _file_json(self, judged: Judged) -> dict[str, Any]:
        held = judged.license
        return {
            "file": judged.name,
            "authentic": judged.report.authentic,
            "accepted": judged.report.accepted,
            "failure": judged.report.failure.code if judged.report.failure else None,
            "example_key": judged.example_key,
            "compromised_key": None if judged.leaked is None else judged.leaked.to_json(),
            "claims": None if held is None else dict(held.to_claims()),
            "fingerprint_from": judged.fingerprint_from,
            "status": str(judged.kept.status) if judged.kept else None,
            "checks": [_check_json(judged, row) for row in judged.report.rows],
            "timeline": None if held is None else self._timeline_json(held),
            "error": None,
        }

    def _timeline_json(self, held: License) -> dict[str, Any]:
        return {
            "accepted_from": dates.instant(held.issued_at),
            "accepted_until": dates.instant(held.expires_at),
            "last_full_day": dates.last_full_day(held.expires_at).isoformat(),
            "upload_before": dates.instant(dates.upload_deadline(held.issued_at, self.window)),
            "upload_window_assumed": self.window_assumed,
            "alerts": [dates.instant(moment) for moment in alert_days(held)],
        }

    def _file_blocks(self, judged: Judged) -> Iterable[Block]:
        failure = judged.report.failure
        if failure is None:
            yield Line(f"{judged.name}: accepted", "good")
        elif judged.report.authentic:
            yield Line(f"{judged.name}: authentic, but not accepted: {failure.code}", "bad")
        else:
            yield Line(f"{judged.name}: not authentic: {failure.code}", "bad")
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
        deadline = dates.upload_deadline(held.issued_at, self.window)
        assumed = " (assumed)" if self.window_assumed else ""
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


def _unread_json(unread: Unread) -> dict[str, Any]:
    """The members of a verdict, none of them known, and why."""
    return {
        "file": unread.name,
        "authentic": None,
        "accepted": None,
        "failure": None,
        "example_key": None,
        "compromised_key": None,
        "claims": None,
        "fingerprint_from": None,
        "status": None,
        "checks": [],
        "timeline": None,
        "error": {
            "code": unread.error.code,
            "message": unread.error.message,
            "hint": unread.error.hint,
        },
    }


def _check_json(judged: Judged, row: CheckRow) -> dict[str, Any]:
    members: dict[str, Any] = {
        "code": str(row.code),
        "outcome": str(row.outcome),
        "message": row.message,
        "hint": row.hint,
    }
    if row.outcome is Outcome.FAILED:
        members["customer_sees"] = advice.for_check(row.code).sees
        members["do"] = mending.words(judged, row)
        members["mend"] = mending.command(judged, row)
    return members
