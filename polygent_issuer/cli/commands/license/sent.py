"""`polygent-issue license sent`: the file went to the customer."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Annotated, Any

import typer

from polygent_issuer.cli import consent
from polygent_issuer.cli.completion import candidates
from polygent_issuer.cli.context import Invocation
from polygent_issuer.cli.output.license import objections
from polygent_issuer.cli.output.model import Block, Line
from polygent_issuer.cli.output.result import Result
from polygent_issuer.findings import Consent, Finding
from polygent_issuer.registry import (
    KeyRecord,
    LicenseRecord,
    Reading,
    Writing,
    change,
    keys,
    licenses,
)
from polygent_issuer.terms import dates


@dataclass(frozen=True, kw_only=True, slots=True)
class Sent(Result):
    """The licenses that are noted as sent, or as not sent, and when they were before."""

    records: tuple[LicenseRecord, ...]
    before: Mapping[str, datetime | None]

    def to_json(self) -> Mapping[str, Any]:
        """`licenses`, each with `sent_at`."""
        return {
            "licenses": [
                {
                    "id": record.id,
                    "customer": record.customer_slug,
                    "sent_at": dates.optional_instant(record.sent_at),
                    "sent_before": dates.optional_instant(self.before[record.id]),
                }
                for record in self.records
            ]
        }

    def blocks(self) -> Iterable[Block]:
        """A line for each."""
        for record in self.records:
            before = self.before[record.id]
            earlier = "" if before is None else f" (before: {dates.instant(before)})"
            at = (
                "not sent" if record.sent_at is None else f"sent at {dates.instant(record.sent_at)}"
            )
            yield Line(f"license {record.id[:8]} of {record.customer_slug}: {at}{earlier}", "good")


def sent(
    invocation: Invocation,
    license_ids: Annotated[
        list[str],
        typer.Argument(
            metavar="LICENSE...",
            autocompletion=candidates.licenses,
            help="Ids, or their beginnings.",
        ),
    ],
    *,
    undo: Annotated[bool, typer.Option("--undo", help="It was not sent after all.")] = False,
    consents: consent.ConsentOptions,
) -> Sent:
    """Note that license files went to their customers, all of them or none.

    license list --unsent shows what is still to be sent. A file that is sent again keeps the
    latest time.
    """
    given, now = consent.given(consents), invocation.now
    window = invocation.settings.upload_window_or_assumed
    decided = invocation.decide(lambda db: _chosen(db, license_ids))
    for record, key in () if undo else decided.decision:
        until = dates.upload_deadline(record.issued_at, window)
        for objection in objections(record, key, upload_before=until, now=now):
            invocation.warn(objection)
    agreed = consent.obtain(invocation, decided.behind, given)

    def write(db: Writing) -> Sent:
        present = tuple(licenses.get(db, record.id) for record, _ in decided.decision)
        noted = tuple(_note(db, each, decided.behind, agreed, undo=undo) for each in present)
        return Sent(records=noted, before={record.id: record.sent_at for record in present})

    return change.carry_out(decided, write, undone="nothing was noted")


def _note(
    db: Writing,
    record: LicenseRecord,
    findings: tuple[Finding, ...],
    agreed: Consent,
    *,
    undo: bool,
) -> LicenseRecord:
    """The license as it is noted now; one that is not sent stays so without a word."""
    if undo and record.sent_at is None:
        return record
    mark = licenses.mark_unsent if undo else licenses.mark_sent
    noted = mark(db, record.id)
    db.record(
        "license-not-sent" if undo else "license-sent",
        customer=record.customer_slug,
        license=record.id,
        kid=record.kid,
        accepted=agreed.used(findings),
        reason=agreed.reason,
    )
    return noted


def _chosen(db: Reading, typed: list[str]) -> tuple[tuple[LicenseRecord, KeyRecord], ...]:
    """The licenses and their keys, whenever they were sent before: that is replaced."""
    found = (licenses.find(db, each) for each in typed)
    chosen = {record.id: replace(record, sent_at=None) for record in found}
    return tuple((record, keys.pinned(db, record.kid)) for record in chosen.values())
