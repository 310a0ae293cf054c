"""`polygent-issue license sent`: mark licenses as sent to their customers."""

from dataclasses import replace
from datetime import datetime
from typing import Annotated

from polygent_issuer.cli import consent
from polygent_issuer.cli.completion import candidates
from polygent_issuer.cli.context import Invocation
from polygent_issuer.cli.options.common import argument, flag
from polygent_issuer.cli.output.license import send_warnings
from polygent_issuer.cli.output.model import Line
from polygent_issuer.cli.output.result import Report
from polygent_issuer.registry import Reading, Writing, change, keys, licenses
from polygent_issuer.registry.records import KeyRecord, LicenseRecord
from polygent_issuer.terms import dates


def sent(
    invocation: Invocation,
    license_ids: Annotated[
        list[str],
        argument(
            "LICENSE...",
            "Select licenses by ID or its first 4 or more characters.",
            candidates.licenses,
        ),
    ],
    *,
    undo: Annotated[bool, flag("--undo", "Clear the sent mark.")] = False,
    consents: consent.ConsentOptions,
) -> Report:
    """Mark licenses as sent to their customers.

    Either all of them are marked or none. license list --unsent lists the licenses that are not
    marked. If a file is sent again, the latest time is kept.
    """
    typed, now = consent.parse_consent(consents), invocation.now
    window = invocation.settings.upload_window_or_assumed
    decided = invocation.decide(lambda db: _chosen(db, license_ids))
    for record, key in () if undo else decided.decision:
        until = dates.upload_deadline(record.issued_at, window)
        for objection in send_warnings(record, key, upload_before=until, now=now):
            invocation.warn(objection)
    agreed = consent.obtain(invocation, decided.behind, typed)

    def note(db: Writing, record: LicenseRecord) -> LicenseRecord:
        if undo and record.sent_at is None:
            return record  # unchanged, so the journal gets no row
        noted = licenses.mark_sent(db, record.id, undo=undo)
        db.record(
            "license-not-sent" if undo else "license-sent",
            customer=record.customer_slug,
            license=record.id,
            kid=record.kid,
            accepted=agreed.used(decided.behind),
            reason=agreed.reason,
        )
        return noted

    def write(db: Writing) -> list[tuple[LicenseRecord, datetime | None]]:
        present = [licenses.get(db, record.id) for record, _ in decided.decision]
        return [(note(db, record), record.sent_at) for record in present]

    noted = change.carry_out(decided, write, undone="nothing was marked")
    members = [
        {
            "id": record.id,
            "customer": record.customer_slug,
            "sent_at": dates.optional_instant(record.sent_at),
            "sent_before": dates.optional_instant(before),
        }
        for record, before in noted
    ]
    return Report({"licenses": members}, [_line(record, before) for record, before in noted])


def _line(record: LicenseRecord, before: datetime | None) -> Line:
    earlier = "" if before is None else f" (before: {dates.instant(before)})"
    state = "sent at " + dates.instant(record.sent_at) if record.sent_at else "not sent"
    return Line(f"license {record.id[:8]} of {record.customer_slug}: {state}{earlier}", "good")


def _chosen(db: Reading, typed: list[str]) -> tuple[tuple[LicenseRecord, KeyRecord], ...]:
    """Return the selected licenses and their keys; an earlier sent mark is ignored."""
    records = (licenses.find(db, each) for each in typed)
    chosen = {record.id: replace(record, sent_at=None) for record in records}
    return tuple((record, keys.pinned(db, record.kid)) for record in chosen.values())
