"""`polygent-issue license export`: a license's stored bytes once more."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

from polygent_issuer.cli.commands.license.show import LicenseId
from polygent_issuer.cli.context import Invocation
from polygent_issuer.cli.flows.mail_drafts import drafter
from polygent_issuer.cli.options.common import option
from polygent_issuer.cli.options.issue import EmlFolder
from polygent_issuer.cli.output import result
from polygent_issuer.cli.output.customer import zone_of
from polygent_issuer.cli.output.license import send_warnings
from polygent_issuer.cli.output.model import Block, Fields, Line
from polygent_issuer.cli.output.proposal import deadline
from polygent_issuer.cli.output.result import Result
from polygent_issuer.errors import UsageProblem
from polygent_issuer.issuing import outbox_delivery
from polygent_issuer.issuing.destination import resolve
from polygent_issuer.issuing.proposal import file_name, load_license
from polygent_issuer.registry import (
    Customer,
    KeyRecord,
    LicenseRecord,
    Reading,
    Writing,
    change,
    customers,
    keys,
    licenses,
)
from polygent_issuer.terms import dates
from polygent_issuer.verifier import License


@dataclass(frozen=True, kw_only=True, slots=True)
class ExportedLicense(Result):
    """A license whose file was written again.

    Attributes:
        key: what it is signed with.
        path: its file; `None` when it went to stdout.
        drafts: mails with it, to be sent.
        upload_before: until when a server installs it; `assumed` when nobody told the window.
        too_late: whether a server refuses this file by now, installed for the first time.
    """

    record: LicenseRecord
    key: KeyRecord
    path: Path | None
    drafts: tuple[Path, ...]
    customer: Customer
    upload_before: datetime
    assumed: bool
    too_late: bool

    @property
    def text_to_stderr(self) -> bool:
        """Whether stdout carries the license file itself."""
        return self.path is None

    def to_json(self) -> Mapping[str, Any]:
        """`file` and until when it can be uploaded."""
        return {
            "id": self.record.id,
            "customer": self.record.customer_slug,
            "status": str(self.record.status),
            "file": None if self.path is None else str(self.path),
            "drafts": [str(path) for path in self.drafts],
            "sha256": self.record.sha256,
            "expires_at": dates.instant(self.record.expires_at),
            "upload_before": dates.instant(self.upload_before),
            "upload_window_assumed": self.assumed,
            "upload_window_passed": self.too_late,
            "compromised_key": self.key.label if self.key.compromised else None,
        }

    def blocks(self) -> Iterable[Block]:
        """Where the file is, and until when it serves."""
        passed = ", which has passed" if self.too_late else ""
        until = f"{deadline(self.upload_before, assumed=self.assumed)}{passed}"
        yield Line(f"exported license {self.record.id}", "good")
        yield Fields(
            (
                ("customer", f"{self.customer.name} ({self.customer.slug})"),
                ("machine", self.record.machine_label),
                ("expires", dates.describe_expiry(self.record.expires_at, zone_of(self.customer))),
                ("file", "stdout" if self.path is None else str(self.path)),
                *(("mail draft", str(draft)) for draft in self.drafts),
                ("upload before", until),
            )
        )


def export(
    invocation: Invocation,
    license_id: LicenseId,
    to: Annotated[
        str | None, option("--output", "FILE|DIR", "Where it goes; - is stdout.", short="-o")
    ] = None,
    eml: EmlFolder = None,
) -> ExportedLicense:
    """Write a license's file again, the same bytes; nothing is overwritten.

    A server takes a file only within its upload window; after that reissue makes a new one.
    """
    if to == "-" and invocation.as_json:
        raise UsageProblem("--json and --output - both want stdout", hint="--output FILE")
    settings = invocation.settings
    decided = invocation.decide(lambda db: _stored(db, license_id))
    record, license_, customer, key = decided.decision
    mail = None if eml is None else drafter(invocation, eml)
    place = resolve(to, settings.output, result.write_bytes)
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
        # Last, so that a registry that cannot be written keeps the file back, too.
        db.check_written()
        if path is None:  # within the transaction: no journal row tells of what nobody received
            result.write_bytes(record.file)
        else:
            outbox_delivery.write(record.file, path, record.id, prefix)

    change.carry_out(
        decided.unasked(), write, undone="nothing was exported", deliver=lambda _: [record.id]
    )
    upload_before = dates.upload_deadline(license_.issued_at, settings.upload_window_or_assumed)
    now = invocation.now
    for objection in send_warnings(record, key, upload_before=upload_before, now=now):
        invocation.warn(objection)
    return ExportedLicense(
        record=record,
        key=key,
        path=path,
        drafts=() if mail is None else mail.write([record.id])[record.id],
        customer=customer,
        upload_before=upload_before,
        assumed=settings.upload_window_is_assumed,
        too_late=now > upload_before,
    )


def _stored(db: Reading, license_id: str) -> tuple[LicenseRecord, License, Customer, KeyRecord]:
    record = licenses.find(db, license_id)
    license_ = load_license(db, record)
    return record, license_, customers.get(db, record.customer_slug), keys.pinned(db, record.kid)
