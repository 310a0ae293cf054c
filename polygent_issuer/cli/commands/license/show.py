"""`polygent-issue license list` and `show`: issued licenses and their history."""

from collections.abc import Iterable, Mapping
from contextlib import suppress
from datetime import datetime
from typing import Any, Final

from polygent_issuer.cli import candidates
from polygent_issuer.cli.context import Invocation
from polygent_issuer.cli.options.common import LicenseId, flag, option
from polygent_issuer.cli.output import records
from polygent_issuer.cli.output.blocks import Block, Fields, Line
from polygent_issuer.cli.output.files import CsvOptions
from polygent_issuer.cli.output.result import Report, Result
from polygent_issuer.errors import UsageProblem
from polygent_issuer.registry import (
    Customer,
    LicenseRecord,
    LicenseStatus,
    customers,
    journal,
    keys,
    licenses,
    machines,
)
from polygent_issuer.registry.errors import RegistryDamaged
from polygent_issuer.registry.holds import on_hold
from polygent_issuer.registry.journal import JournalRow
from polygent_issuer.registry.records import Document
from polygent_issuer.terms import dates
from polygent_issuer.terms.parsing import parse_date_or_instant
from polygent_issuer.verifier.license import Tier

COLUMNS: Final = (*records.LICENSE_COLUMNS, *records.DETAILS)
"""The JSON members of a license, which are the columns of the CSV."""


def list_all(
    invocation: Invocation,
    *,
    customer: str | None = option(
        "--customer", "NAME", "List only this customer's licenses.", candidates.customers
    ),
    tier: Tier | None = option("--tier", None, "List only licenses of this tier."),
    status: LicenseStatus | None = option("--status", None, "List only licenses with this status."),
    key: str | None = option(
        "--key", "LABEL|KID", "List only licenses signed with this key.", candidates.keys
    ),
    unsent: bool = flag("--unsent", "List only current licenses not yet marked as sent."),
    expires_before: str | None = option(
        "--expires-before", "DATE", "List only licenses that expire before this date."
    ),
    order_id: str | None = option(
        "--order-id", "TEXT", "List only licenses with this in the order id."
    ),
    note: str | None = option("--note", "TEXT", "List only licenses with this text in the note."),
    form: CsvOptions,
) -> Result:
    """List licenses.

    Without options every license ever issued is listed, ordered by expiry. A license is current
    until it is replaced or retired, even if it has expired.
    """
    as_csv = form.asked(invocation)
    _require_current(status, unsent=unsent)
    until = None if expires_before is None else parse_date_or_instant(expires_before)
    owner = None if customer is None else invocation.customer(customer, checked=False)
    with invocation.registry.reading(checked=False) as db:
        matching = licenses.select(
            db,
            customer=owner,
            tier=tier,
            status=LicenseStatus.CURRENT if unsent else status,
            kid=None if key is None else keys.find(db, key).kid,
            unsent=True if unsent else None,
            expires_before=until,
            archived=False if unsent else None,  # no files are sent to archived customers
            order_id=order_id,
            note=note,
        )
        listed = tuple(matching)
        every = customers.every(db, archived=True) if owner is None else (owner,)
        owners = {each.id: each for each in every}
    items = (_item(each, owners[each.customer_id], invocation.now) for each in listed)
    if as_csv:
        return form.table(COLUMNS, items, name="licenses.csv")
    text = (
        records.license_table(listed, invocation.now)
        if listed
        else Line("no licenses match", "dim")
    )
    return Report({"licenses": items}, [text], is_idle=not listed)


def _require_current(status: LicenseStatus | None, *, unsent: bool) -> None:
    if unsent and status not in (None, LicenseStatus.CURRENT):
        raise UsageProblem(
            f"--unsent lists only current licenses, so --status {status} does not apply",
            hint="leave out --status",
        )


def _item(record: LicenseRecord, customer: Customer, now: datetime) -> Mapping[str, Any]:
    """Return a license as JSON, with the terms in its file; without them if that is damaged."""
    from polygent_issuer.delivery.report import ReportedLicense

    details: dict[str, Any] = {
        **dict.fromkeys(records.DETAILS),
        "name": customer.name,
        "plan": record.plan,
    }
    with suppress(RegistryDamaged):  # `journal verify` reports it
        details = records.details_json(ReportedLicense.of(record, customer, now))
    return {**records.license_json(record, now), **details}


def show(invocation: Invocation, license_id: LicenseId) -> Report:
    """Show a license and its history.

    The claims are read from the stored file, which is verified again with its pinned key.
    """
    from polygent_issuer.issuing.proposal import load_license

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
        **records.license_json(record, now),
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
        Fields(tuple(records.claim_rows(license_, records.zone_of(customer)))),
        Line("in the registry", "title"),
        Fields(
            (
                ("machine", record.machine_label),
                ("plan", record.plan),
                ("term", record.term),
                ("key", f"{key.label} ({key.kid})"),
                ("order", record.order_id),
                ("note", record.note),
                ("on hold", records.hold_text(customer) if on_hold(customer, now) else None),
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
            records.journal_table(history).without_repeated("customer", "license"),
        ]
    return Report({"license": members, "journal": list(map(records.journal_json, history))}, text)


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
