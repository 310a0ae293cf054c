"""The verdict on a license file for programs."""

from collections.abc import Mapping
from typing import Any

from polygent_issuer import advice, dates
from polygent_issuer.cli import mending
from polygent_issuer.cli.verdicts import UploadWindow
from polygent_issuer.issuing.judging import Judged, Unread, alert_days
from polygent_issuer.verifier import CheckRow, License, Outcome


def answer_json(answer: Judged | Unread, window: UploadWindow) -> Mapping[str, Any]:
    """A file with its checks in FORMAT §5's order; the members are always the same."""
    if isinstance(answer, Unread):
        return {**_NOTHING_KNOWN, "file": answer.name, "error": _error_json(answer)}
    held, failure, kept = answer.license, answer.report.failure, answer.kept
    return {
        "file": answer.name,
        "authentic": answer.report.authentic,
        "accepted": answer.report.accepted,
        "failure": failure.code if failure else None,
        "example_key": answer.example_key,
        "compromised_key": None if answer.leaked is None else answer.leaked.to_json(),
        "claims": None if held is None else dict(held.to_claims()),
        "fingerprint_from": answer.fingerprint_from,
        "status": str(kept.status) if kept else None,
        "checks": [_check_json(answer, row) for row in answer.report.rows],
        "timeline": None if held is None else _timeline_json(held, window),
        "error": None,
    }


def _timeline_json(held: License, window: UploadWindow) -> dict[str, Any]:
    return {
        "accepted_from": dates.instant(held.issued_at),
        "accepted_until": dates.instant(held.expires_at),
        "last_full_day": dates.last_full_day(held.expires_at).isoformat(),
        "upload_before": dates.instant(window.deadline(held)),
        "upload_window_assumed": window.assumed,
        "alerts": [dates.instant(moment) for moment in alert_days(held)],
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


def _error_json(unread: Unread) -> dict[str, Any]:
    error = unread.error
    return {"code": error.code, "message": error.message, "hint": error.hint}


_NOTHING_KNOWN: Mapping[str, Any] = {
    "file": None,
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
    "error": None,
}
