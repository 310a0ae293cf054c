"""How the verdicts on license files look."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from polygent_issuer import advice, dates
from polygent_issuer.cli.blocks import Block, Fields, Line, Style
from polygent_issuer.cli.judging import Judged, alert_days
from polygent_issuer.cli.output import Result
from polygent_issuer.errors import ExitCode
from polygent_issuer.verifier import CheckCode, CheckRow, License, Outcome

_MARKS: dict[Outcome, tuple[str, Style]] = {
    Outcome.PASSED: ("ok", "good"),
    Outcome.FAILED: ("FAILED", "bad"),
    Outcome.NOT_CHECKED: ("not checked", "dim"),
}

_OF_A_FILE = frozenset({CheckCode.MALFORMED, CheckCode.UNKNOWN_KEY, CheckCode.BAD_SIGNATURE})
"""The checks that the same bytes, sent again or read with another key, would pass."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdicts(Result):
    """A report for each file."""

    judged: tuple[Judged, ...]
    now: datetime
    window: timedelta

    @property
    def exit_code(self) -> ExitCode:
        """10 if any is not authentic, else 11 if any is not accepted (DESIGN)."""
        if not all(each.report.authentic for each in self.judged):
            return ExitCode.NOT_AUTHENTIC
        accepted = all(each.report.accepted for each in self.judged)
        return ExitCode.DONE if accepted else ExitCode.NOT_ACCEPTED

    def to_json(self) -> Mapping[str, Any]:
        """`files`, each with its checks in FORMAT §5's order."""
        return {
            "at": dates.instant(self.now),
            "files": [self._file_json(each) for each in self.judged],
        }

    def blocks(self) -> Iterable[Block]:
        """For each file: the verdict, whose it is, the checks, what to do, the timeline."""
        for number, each in enumerate(self.judged):
            if number:
                yield Line()
            yield from self._file_blocks(each)

    def _file_json(self, judged: Judged) -> dict[str, Any]:
        held = judged.license
        return {
            "file": judged.name,
            "authentic": judged.report.authentic,
            "accepted": judged.report.accepted,
            "failure": judged.report.failure.code if judged.report.failure else None,
            "claims": None if held is None else dict(held.to_claims()),
            "fingerprint_from": judged.fingerprint_from,
            "status": str(judged.kept.status) if judged.kept else None,
            "checks": [_check_json(judged, row) for row in judged.report.rows],
            "timeline": None if held is None else self._timeline_json(held),
        }

    def _timeline_json(self, held: License) -> dict[str, Any]:
        return {
            "accepted_from": dates.instant(held.issued_at),
            "accepted_until": dates.instant(held.expires_at),
            "last_full_day": dates.last_full_day(held.expires_at).isoformat(),
            "upload_before": dates.instant(dates.upload_deadline(held.issued_at, self.window)),
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
        late = "" if self.now <= deadline else ", which has passed"
        days = [moment.date().isoformat() for moment in alert_days(held)]
        return Fields(
            (
                ("accepted", f"from {dates.instant(held.issued_at)}"),
                ("until", dates.describe_expiry(held.expires_at)),
                ("upload before", f"{dates.instant(deadline)}{late}"),
                ("alerts", ", ".join(days) or None),
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
    yield Line(f"do: {_do(judged, row)}", "plain", 2)
    yield Line(f"with: {_mend(judged, row)}", "plain", 2)


def _do(judged: Judged, row: CheckRow) -> str:
    heir, kept = judged.heir, judged.kept
    if heir is not None and kept is not None and heir.id != kept.id:
        return f"this license was replaced; its successor is {heir.id[:8]}, see whether it was sent"
    if kept is not None and not kept.is_current:
        return "this license was retired; see what the customer has instead"
    return advice.for_check(row.code).do


def _mend(judged: Judged, row: CheckRow) -> str:
    """The mending command; for a license that we know, of this very license or its last heir."""
    held, heir = judged.license, judged.heir
    if heir is not None and judged.kept is not None:
        if heir.id != judged.kept.id:
            return f"polygent-issue license show {heir.id[:8]}"
        if not heir.is_current:
            return f"polygent-issue customer show {heir.customer_slug}"
        if row.code not in _OF_A_FILE:
            customer = f"{heir.customer_slug} --license {heir.id[:8]}"
            return advice.FOR[row.code].mend.format(customer=customer, license=heir.id[:8])
    return advice.mend(
        row.code,
        customer=held.sub if held else None,
        license_id=held.jti if held else None,
    )


def _check_json(judged: Judged, row: CheckRow) -> dict[str, Any]:
    members: dict[str, Any] = {
        "code": str(row.code),
        "outcome": str(row.outcome),
        "message": row.message,
        "hint": row.hint,
    }
    if row.outcome is Outcome.FAILED:
        members["customer_sees"] = advice.for_check(row.code).sees
        members["do"] = _do(judged, row)
        members["mend"] = _mend(judged, row)
    return members
