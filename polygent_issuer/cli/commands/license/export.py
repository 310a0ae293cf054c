"""`polygent-issue license export`: write the stored file of a license again."""

from collections.abc import Iterable
from datetime import datetime
from pathlib import Path

from polygent_issuer.cli.context import Invocation
from polygent_issuer.cli.flows.mail_drafts import drafter
from polygent_issuer.cli.options.common import LicenseId
from polygent_issuer.cli.options.issue import EmlFolder, LicenseFile
from polygent_issuer.cli.output import result
from polygent_issuer.cli.output.customer import zone_of
from polygent_issuer.cli.output.license import send_warnings
from polygent_issuer.cli.output.model import Fields, Line
from polygent_issuer.cli.output.proposal import deadline
from polygent_issuer.cli.output.result import Report
from polygent_issuer.errors import UsageProblem
from polygent_issuer.issuing import outbox_delivery
from polygent_issuer.issuing.proposal import file_name, load_license
from polygent_issuer.issuing.signing import choose_destination
from polygent_issuer.registry import Reading, Writing, change, customers, keys, licenses
from polygent_issuer.registry.records import Customer, KeyRecord, LicenseRecord
from polygent_issuer.terms import dates
from polygent_issuer.verifier import License

_Stored = tuple[LicenseRecord, License, Customer, KeyRecord]


def export(
    invocation: Invocation, license_id: LicenseId, to: LicenseFile = None, eml: EmlFolder = None
) -> Report:
    """Write the file of a license again.

    The file has exactly the same bytes. An existing file is never overwritten. A server accepts a
    file only within its upload window; after that, reissue the license.
    """
    if to == "-" and invocation.as_json:
        raise UsageProblem(
            "--json and --output - are mutually exclusive", hint="give --output FILE"
        )
    settings = invocation.settings
    decided = invocation.decide(lambda db: _stored(db, license_id))
    record, license_, _, key = decided.decision
    mail = None if eml is None else drafter(invocation, eml)
    place = choose_destination(to, settings.output, result.write_bytes)
    name = place.name or file_name(license_, record.machine_label)
    path = None if place.folder is None else place.folder / name
    prefix = outbox_delivery.temp_prefix(invocation.registry.id)

    def write(db: Writing) -> None:
        db.record(
            "license-exported",
            customer=record.customer_slug,
            license=record.id,
            kid=record.kid,
            details={"to": "stdout" if path is None else str(path), "sha256": record.sha256},
        )
        # Before the file, so that no file is written if the registry cannot be written.
        db.check_written()
        if path is None:  # in the transaction, so the journal has no row if stdout fails
            result.write_bytes(record.file)
        else:
            outbox_delivery.write(record.file, path, record.id, prefix)

    change.carry_out(
        decided.unasked(), write, undone="nothing was exported", deliver=lambda _: [record.id]
    )
    upload_before = dates.upload_deadline(license_.issued_at, settings.upload_window_or_assumed)
    for objection in send_warnings(record, key, upload_before=upload_before, now=invocation.now):
        invocation.warn(objection)
    drafts = () if mail is None else mail.write([record.id])[record.id]
    return _report(invocation, decided.decision, path, drafts, upload_before)


def _report(
    invocation: Invocation,
    stored: _Stored,
    path: Path | None,
    drafts: Iterable[Path],
    upload_before: datetime,
) -> Report:
    record, _, customer, key = stored
    file, assumed = (
        None if path is None else str(path),
        invocation.settings.upload_window_is_assumed,
    )
    too_late = invocation.now > upload_before
    members = {
        "id": record.id,
        "customer": record.customer_slug,
        "status": str(record.status),
        "file": file,
        "drafts": list(map(str, drafts)),
        "sha256": record.sha256,
        "expires_at": dates.instant(record.expires_at),
        "upload_before": dates.instant(upload_before),
        "upload_window_assumed": assumed,
        "upload_window_passed": too_late,
        "compromised_key": key.label if key.compromised else None,
    }
    until = deadline(upload_before, assumed=assumed)
    fields = Fields(
        (
            ("customer", f"{customer.name} ({customer.slug})"),
            ("machine", record.machine_label),
            ("expires", dates.describe_expiry(record.expires_at, zone_of(customer))),
            ("file", file or "stdout"),
            *(("mail draft", str(draft)) for draft in drafts),
            ("upload before", f"{until}, which has passed" if too_late else until),
        )
    )
    done = Line(f"exported license {record.id}", "good")
    return Report(members, [done, fields], text_to_stderr=path is None)


def _stored(db: Reading, license_id: str) -> _Stored:
    record = licenses.find(db, license_id)
    license_ = load_license(db, record)
    return record, license_, customers.get(db, record.customer_slug), keys.pinned(db, record.kid)
