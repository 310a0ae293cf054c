"""`polygent-issue license export`: a license's stored bytes once more."""

from collections.abc import Iterator
from typing import Annotated

import typer

from polygent_issuer import dates
from polygent_issuer.cli import streaming
from polygent_issuer.cli.context import Invocation
from polygent_issuer.cli.drafts import drafter
from polygent_issuer.cli.issue_options import EmlFolder
from polygent_issuer.cli.license.export_view import Exported
from polygent_issuer.cli.license.show import LicenseId
from polygent_issuer.errors import UsageProblem
from polygent_issuer.issuing import recover
from polygent_issuer.issuing.destination import resolve
from polygent_issuer.issuing.proposal import file_name
from polygent_issuer.issuing.stored import read_license
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
from polygent_issuer.verifier import License


def export(
    invocation: Invocation,
    license_id: LicenseId,
    to: Annotated[
        str | None,
        typer.Option("--output", "-o", metavar="FILE|DIR", help="Where it goes; - is stdout."),
    ] = None,
    eml: EmlFolder = None,
) -> Exported:
    """Write a license's file again, the same bytes; nothing is overwritten.

    A server takes a file only within its upload window; after that reissue makes a new one.
    """
    if to == "-" and invocation.as_json:
        raise UsageProblem("--json and --output - both want stdout", hint="--output FILE")
    settings = invocation.settings
    decided = invocation.decide(lambda db: _stored(db, license_id))
    record, held, customer, key = decided.decision
    drafts = drafter(invocation, eml)
    place = resolve(to, settings.output, streaming.write_bytes)
    name = place.name or file_name(held, record.machine_label)
    path = None if place.folder is None else place.folder / name
    prefix = recover.temp_prefix(invocation.registry.id)

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
        if path is not None:
            recover.write(record.file, path, record.id, prefix)

    def deliver(_: None) -> Iterator[str]:
        if path is None:
            streaming.write_bytes(record.file)
        yield record.id

    change.carry_out(decided, write, undone="nothing was exported", deliver=deliver)
    exported = Exported(
        record=record,
        key=key,
        path=path,
        drafts=drafts.write([record.id])[record.id],
        customer=customer,
        upload_before=dates.upload_deadline(held.issued_at, settings.upload_window_or_assumed),
        assumed=settings.upload_window_is_assumed,
        now=invocation.now,
    )
    for warning in exported.warnings():
        invocation.warn(warning)
    return exported


def _stored(db: Reading, license_id: str) -> tuple[LicenseRecord, License, Customer, KeyRecord]:
    record = licenses.find(db, license_id)
    held = read_license(db, record)
    return record, held, customers.get(db, record.customer_slug), keys.pinned(db, record.kid)
