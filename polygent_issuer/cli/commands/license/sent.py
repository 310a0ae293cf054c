"""`polygent-issue license sent`: mark licenses as sent to their customers."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Annotated

from polygent_issuer.batch.bundle import licenses_in
from polygent_issuer.cli import consent
from polygent_issuer.cli.context import Invocation
from polygent_issuer.cli.flows.license_export import warn_before_sending
from polygent_issuer.cli.options.common import LicenseIds, flag, option
from polygent_issuer.cli.output.model import Line
from polygent_issuer.cli.output.result import Report
from polygent_issuer.errors import UsageProblem
from polygent_issuer.hints import Hint, run
from polygent_issuer.registry import LicenseStatus, Reading, Writing, change, keys, licenses
from polygent_issuer.registry.records import KeyRecord, LicenseRecord
from polygent_issuer.terms import dates


def sent(
    invocation: Invocation,
    license_ids: LicenseIds = None,
    every: Annotated[bool, flag("--all", "Select all that license list --unsent lists.")] = False,
    bundle: Annotated[
        Path | None, option("--bundle", "FILE", "Select the licenses in this .zip archive.")
    ] = None,
    *,
    undo: Annotated[bool, flag("--undo", "Clear the sent mark.")] = False,
    consents: consent.ConsentOptions,
) -> Report:
    """Mark licenses as sent to their customers.

    Either all of them are marked or none. license list --unsent lists the licenses that are not
    marked. If a file is sent again, the latest time is kept.
    """
    typed = consent.parse_consent(consents)
    _check_options(license_ids, bundle, every=every, undo=undo)
    ids = license_ids or ([] if bundle is None else licenses_in(bundle))
    decided = invocation.decide(lambda db: _unsent(db) if every else _chosen(db, ids))
    if not undo:
        warn_before_sending(invocation, decided.decision)
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
    lines = [_line(record, before) for record, before in noted]
    return Report({"licenses": members}, lines or [Line("no unsent licenses", "dim")])


def _line(record: LicenseRecord, before: datetime | None) -> Line:
    earlier = "" if before is None else f" (before: {dates.instant(before)})"
    state = "sent at " + dates.instant(record.sent_at) if record.sent_at else "not sent"
    return Line(f"license {record.id[:8]} of {record.customer_slug}: {state}{earlier}", "good")


def _check_options(
    license_ids: Sequence[str] | None, bundle: Path | None, *, every: bool, undo: bool
) -> None:
    given = (bool(license_ids), bundle is not None, every)
    if given.count(True) != 1:
        raise UsageProblem(
            "LICENSE, --bundle and --all are mutually exclusive"
            if any(given)
            else "no licenses given",
            hint=Hint(
                run("license", "sent", "LICENSE..."), ", or ", run("license", "sent", "--all")
            ),
        )
    if every and undo:
        raise UsageProblem(
            "--all selects unsent licenses, so it cannot be combined with --undo",
            hint=run("license", "sent", "--undo", "LICENSE..."),
        )


_Chosen = tuple[tuple[LicenseRecord, KeyRecord], ...]


def _chosen(db: Reading, typed: Iterable[str]) -> _Chosen:
    """Return the selected licenses and their keys; an earlier sent mark is ignored."""
    records = (licenses.find(db, each) for each in typed)
    chosen = {record.id: replace(record, sent_at=None) for record in records}
    return tuple((record, keys.pinned(db, record.kid)) for record in chosen.values())


def _unsent(db: Reading) -> _Chosen:
    """Return the licenses that `license list --unsent` lists, with their keys."""
    unsent = licenses.select(db, status=LicenseStatus.CURRENT, unsent=True, archived=False)
    records = [licenses.checked(db, record) for record in unsent]
    return tuple((record, keys.pinned(db, record.kid)) for record in records)
