"""The rows of a verdict as a person reads them, who knows other things than a server."""

from dataclasses import replace

from polygent_issuer.issuing.leaked_key import LeakedKey
from polygent_issuer.verifier import CheckCode, CheckRow, Outcome


def for_people(row: CheckRow, leaked: LeakedKey | None, *, authentic: bool) -> CheckRow:
    """Say at the command line what a server could not know, or has no word for."""
    if row.code is CheckCode.UNKNOWN_KEY:
        if leaked is not None:
            return replace(row, message=leaked.told, hint=None)
        return replace(row, hint=None)  # a server's: here the key may be a forger's
    is_window = row.code is CheckCode.STALE_ISSUE_DATE
    if is_window and row.outcome is Outcome.NOT_CHECKED and authentic:
        return replace(row, message="upload window: --install checks it")
    return row


def with_source(row: CheckRow, source: str | None) -> CheckRow:
    """Say which machine was compared: the registry's own proves nothing about the customer's."""
    if row.code is not CheckCode.MACHINE_MISMATCH:
        return row
    if source is not None:
        told = "no machine was given, so the one that the registry holds was taken"
        return replace(row, message=f"{row.message} ({told})") if source == "the registry" else row
    return CheckRow(
        code=row.code,
        outcome=Outcome.NOT_CHECKED,
        message="no machine was given, and the registry knows none for it",
        hint="--machine-info FILE or --fingerprint TEXT",
    )
