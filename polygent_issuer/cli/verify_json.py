"""The JSON of `polygent-issue verify`."""

from collections.abc import Mapping
from datetime import datetime
from functools import lru_cache
from typing import Any, Final

from polygent_issuer import advice, dates
from polygent_issuer.cli import remedies
from polygent_issuer.issuing.verification import (
    UnreadableFile,
    UploadWindow,
    VerificationResult,
    alert_days,
)
from polygent_issuer.verifier import CheckRow, Outcome

_UNREADABLE: Final[Mapping[str, Any]] = {
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


def file_json(
    result: VerificationResult | UnreadableFile, window: UploadWindow
) -> Mapping[str, Any]:
    """Return a file with its checks in FORMAT §5's order; the members are always the same."""
    if isinstance(result, UnreadableFile):
        error = result.error
        members = {"code": error.code, "message": error.message, "hint": error.hint}
        return {**_UNREADABLE, "file": result.name, "error": members}
    license_, failure, stored = result.license, result.failure, result.stored
    return {
        "file": result.name,
        "authentic": result.report.authentic,
        "accepted": failure is None,
        "failure": failure.code if failure else None,
        "example_key": result.example_key,
        "compromised_key": None if result.compromised is None else result.compromised.to_json(),
        "claims": None if license_ is None else license_.to_claims(),
        "fingerprint_from": result.fingerprint_from,
        "status": stored.status if stored else None,
        "checks": [_check_json(result, row) for row in result.report.rows],
        "timeline": None
        if license_ is None
        else _timeline_json(license_.issued_at, license_.expires_at, window),
        "error": None,
    }


def _check_json(result: VerificationResult, row: CheckRow) -> dict[str, Any]:
    members: dict[str, Any] = {
        "code": row.code,
        "outcome": row.outcome,
        "message": row.message,
        "hint": row.hint,
    }
    if row.outcome is Outcome.FAILED:
        members["customer_sees"] = advice.for_check(row.code).sees
        members["do"] = remedies.explanation(result, row)
        members["mend"] = remedies.command(result, row)
    return members


@lru_cache(maxsize=128)  # the licenses of a batch were issued and expire together
def _timeline_json(
    issued_at: datetime, expires_at: datetime, window: UploadWindow
) -> Mapping[str, Any]:
    return {
        "accepted_from": dates.instant(issued_at),
        "accepted_until": dates.instant(expires_at),
        "last_full_day": dates.last_full_day(expires_at).isoformat(),
        "upload_before": dates.instant(window.deadline(issued_at)),
        "upload_window_assumed": window.assumed,
        "alerts": [dates.instant(moment) for moment in alert_days(issued_at, expires_at)],
    }
