"""The text of `polygent-issue verify`: of a file its report, of many files a line each."""

from collections.abc import Iterable
from datetime import datetime
from typing import Final

from polygent_issuer import advice, dates
from polygent_issuer.cli import remedies
from polygent_issuer.cli.blocks import Block, Fields, Line, Style
from polygent_issuer.issuing.verification import (
    UnreadableFile,
    UploadWindow,
    Verdict,
    VerificationResult,
    alert_days,
)
from polygent_issuer.verifier import CheckRow, License, Outcome

EXAMPLE_KEY: Final = "signed with the EXAMPLE key, whose private half is public: it proves nothing"
"""What is printed of a file that only the example key makes authentic."""

_MARKS: Final[dict[Outcome, tuple[str, Style]]] = {
    Outcome.PASSED: ("ok", "good"),
    Outcome.FAILED: ("FAILED", "bad"),
    Outcome.NOT_CHECKED: ("not checked", "dim"),
}


def file_line(result: VerificationResult | UnreadableFile) -> str:
    """Return one file's verdict, the first check that failed, and its state in the registry."""
    if isinstance(result, UnreadableFile):  # its name once
        return f"{result.name}: cannot be read: {result.error.message.rpartition(': ')[2]}"
    line, failure, stored = _heading(result), result.failure, result.stored
    if failure is not None:
        line += f": {failure.message}"
        if failure.hint and result.verdict is Verdict.NOT_AUTHENTIC:
            line += f" ({failure.hint})"
    if result.license is not None and stored is not None:
        if stored.replaced_by is not None:
            line += f" (in the registry: replaced by {stored.replaced_by[:8]})"
        elif not stored.is_current:
            line += " (in the registry: retired)"
    return f"{line} ({EXAMPLE_KEY})" if result.example_key else line


def file_blocks(result: VerificationResult, window: UploadWindow, now: datetime) -> Iterable[Block]:
    """Yield the verdict, the license, the checks with what to do, and the timeline."""
    yield Line(_heading(result), "good" if result.failure is None else "bad")
    if result.example_key:
        yield Line(EXAMPLE_KEY, "bad", 1)
    if result.license is not None:
        yield _license_fields(result, result.license)
    yield from _checks(result)
    if result.license is not None:
        yield _timeline(result.license, window, now)


def _heading(result: VerificationResult) -> str:
    failure = result.failure
    if failure is None:
        return f"{result.name}: accepted"
    if result.verdict is Verdict.NOT_AUTHENTIC:
        return f"{result.name}: not authentic: {failure.code}"
    return f"{result.name}: authentic, but not accepted: {failure.code}"


def _license_fields(result: VerificationResult, license_: License) -> Fields:
    stored, status = result.stored, None
    if stored is not None and not stored.is_current:
        by = f" by {stored.replaced_by[:8]}" if stored.replaced_by else ""
        status = f"{stored.status}{by}"
    return Fields(
        (
            ("license", license_.jti),
            ("customer", f"{license_.customer} ({license_.sub})"),
            ("tier", str(license_.tier)),
            ("in the registry", status),
        )
    )


def _checks(result: VerificationResult) -> Iterable[Line]:
    for row in result.report.rows:
        mark, style = _MARKS[row.outcome]
        if row.outcome is not Outcome.FAILED:
            yield Line(f"{mark:<11}  {row.message}", style, 1)
            continue
        yield Line(f"{mark:<11}  {row.code}: {row.message}", style, 1)
        yield from _remedy(result, row)
        if not result.report.authentic:
            yield Line("not checked  the rest: nothing in it can be believed", "dim", 1)
            return


def _remedy(result: VerificationResult, row: CheckRow) -> Iterable[Line]:
    if row.hint and not result.report.authentic:
        yield Line(f"why: {row.hint}", "plain", 2)
    yield Line(f"the customer sees: {advice.for_check(row.code).sees}", "plain", 2)
    yield Line(f"do: {remedies.explanation(result, row)}", "plain", 2)
    yield Line(f"with: {remedies.command(result, row)}", "plain", 2)


def _timeline(license_: License, window: UploadWindow, now: datetime) -> Fields:
    deadline = window.deadline(license_.issued_at)
    assumed = " (assumed)" if window.assumed else ""
    late = "" if now <= deadline else ", which has passed"
    days = [
        moment.date().isoformat() for moment in alert_days(license_.issued_at, license_.expires_at)
    ]
    return Fields(
        (
            ("accepted", f"from {dates.instant(license_.issued_at)}"),
            ("until", dates.describe_expiry(license_.expires_at)),
            ("upload before", f"{dates.instant(deadline)}{assumed}{late}"),
            ("admins are warned on", ", ".join(days) or None),
        )
    )
