"""`polygent-issue license show`: show a license and its history."""

from collections.abc import Iterable
from datetime import datetime

from polygent_issuer.cli.context import Invocation
from polygent_issuer.cli.options.common import LicenseId
from polygent_issuer.cli.output.model import Block, Fields, Line
from polygent_issuer.cli.output.records import (
    claim_rows,
    hold_text,
    journal_json,
    journal_table,
    license_json,
    zone_of,
)
from polygent_issuer.cli.output.result import Report
from polygent_issuer.issuing.proposal import load_license
from polygent_issuer.registry import customers, journal, keys, licenses, machines
from polygent_issuer.registry.holds import on_hold
from polygent_issuer.registry.journal import JournalRow
from polygent_issuer.registry.records import Document, LicenseRecord
from polygent_issuer.terms import dates


def show(invocation: Invocation, license_id: LicenseId) -> Report:
    """Show a license and its history.

    The claims are read from the stored file, which is verified again with its pinned key.
    """
    now, window = invocation.now, invocation.settings.upload_window_or_assumed
    with invocation.registry.reading() as db:
        record = licenses.find(db, license_id)
        license_ = load_license(db, record)
        customer, key = customers.get(db, record.customer_slug), keys.pinned(db, record.kid)
        document = None
        if record.document_id is not None:
            document = machines.get_document(db, record.document_id)
        history = [
            row
            for row in journal.rows(db, customer=customer)
            if record.id == row.license or record.id in _replaced(row)
        ]
    upload_before = dates.instant(dates.upload_deadline(license_.issued_at, window))
    members = {
        **license_json(record, now),
        "claims": dict(license_.to_claims()),
        "term": record.term,
        "plan": record.plan,
        "key_label": key.label,
        "replaces": list(license_.replaces),
        "retired_at": dates.optional_instant(record.retired_at),
        "retired_reason": record.retired_reason,
        "sha256": record.sha256,
        "upload_before": upload_before,
        "machine_info": None if document is None else _document_json(document),
    }
    text: list[Block] = [
        _state(record, now),
        Fields(tuple(claim_rows(license_, zone_of(customer)))),
        Line("in the registry", "title"),
        Fields(
            (
                ("machine", record.machine_label),
                ("plan", record.plan),
                ("term", record.term),
                ("key", f"{key.label} ({key.kid})"),
                ("order", record.order_id),
                ("note", record.note),
                ("on hold", hold_text(customer) if on_hold(customer, now) else None),
                ("sent", dates.optional_instant(record.sent_at)),
                ("upload before", upload_before),
                ("file sha256", record.sha256),
                *(() if document is None else _document_rows(document)),
            )
        ),
    ]
    if history:
        text += [
            Line("in the journal", "title"),
            journal_table(history).without_repeated("customer", "license"),
        ]
    return Report({"license": members, "journal": list(map(journal_json, history))}, text)


def _document_json(document: Document) -> dict[str, str]:
    return {
        "sha256": document.sha256,
        "generated_at": dates.instant(document.generated_at),
        "received_at": dates.instant(document.received_at),
    }


def _document_rows(document: Document) -> Iterable[tuple[str, str]]:
    yield "machine-info", f"of {dates.instant(document.generated_at)}"
    yield "info sha256", document.sha256


def _state(record: LicenseRecord, now: datetime) -> Line:
    state = f"license {record.id[:8]} is {record.status}"
    if record.replaced_by is not None:
        return Line(f"{state} by {record.replaced_by}", "warn")
    if record.retired_at is not None:
        since = dates.instant(record.retired_at)
        return Line(f"{state} since {since}: {record.retired_reason}", "warn")
    if record.expires_at <= now:
        return Line(f"{state} but expired", "bad")
    return Line(state, "good")


def _replaced(row: JournalRow) -> tuple[str, ...]:
    """Return the IDs of the licenses that an issued license replaced: none, one or several."""
    replaced = row.details.get("replaces", ())
    if isinstance(replaced, str):
        return (replaced,)
    return tuple(replaced) if isinstance(replaced, list) else ()
