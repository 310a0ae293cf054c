"""`polygent-issue license export` and `sent`: files for customers, and which of them were sent."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Annotated

from polygent_issuer.batch.bundle import licenses_in
from polygent_issuer.batch.export import StoredFile, read_file, record_export
from polygent_issuer.batch.export import select as select_licenses
from polygent_issuer.cli import candidates, prompts
from polygent_issuer.cli.context import Invocation
from polygent_issuer.cli.flows.license_export import (
    export_many,
    exported_json,
    upload_before,
    warn_before_sending,
)
from polygent_issuer.cli.flows.mail_drafts import drafter
from polygent_issuer.cli.options.common import LicenseIds, flag, option
from polygent_issuer.cli.options.issue import BundleFile, EmlFolder, LicenseFile
from polygent_issuer.cli.output import result
from polygent_issuer.cli.output.blocks import Fields, Line
from polygent_issuer.cli.output.proposal import deadline
from polygent_issuer.cli.output.records import zone_of
from polygent_issuer.cli.output.result import Report
from polygent_issuer.errors import UsageProblem
from polygent_issuer.issuing import outbox_delivery
from polygent_issuer.issuing.outbox_delivery import choose_destination
from polygent_issuer.registry import (
    KeyRecord,
    LicenseRecord,
    LicenseStatus,
    Reading,
    Writing,
    change,
    keys,
    licenses,
)
from polygent_issuer.terms import dates
from polygent_issuer.text import Hint, run


def export(
    invocation: Invocation,
    license_ids: LicenseIds = None,
    *,
    customer: Annotated[
        str | None,
        option(
            "--customer", "NAME", "Select this customer's current licenses.", candidates.customers
        ),
    ] = None,
    every: Annotated[bool, flag("--all", "Select every current license.")] = False,
    to: LicenseFile = None,
    bundle: BundleFile = None,
    eml: EmlFolder = None,
) -> Report:
    """Write the files of licenses again.

    Each file has exactly the same bytes. An existing file is never overwritten. A server accepts a
    file only within its upload window; after that, reissue the license. Several licenses go into a
    folder, or with --bundle into an archive; the same command can be repeated.
    """
    ids = license_ids or []
    if (bool(ids), customer is not None, every).count(True) != 1:
        raise UsageProblem(
            "LICENSE, --customer and --all are mutually exclusive"
            if ids or customer or every
            else "no licenses given",
            hint=Hint(run("license", "export", "LICENSE..."), ", or ", run("license", "list")),
        )
    if len(ids) == 1 and bundle is None:
        return _export_one(invocation, ids[0], to, eml)
    slug = None if customer is None else invocation.customer(customer).slug

    def select(db: Reading) -> tuple[LicenseRecord, ...]:
        return select_licenses(db, ids, customer=slug, every=every)

    return export_many(invocation, select, output=to, bundle=bundle, eml=eml)


def _export_one(invocation: Invocation, license_id: str, to: str | None, eml: str | None) -> Report:
    if to == "-" and invocation.as_json:
        raise UsageProblem(
            "--json and --output - are mutually exclusive", hint="give --output FILE"
        )

    def read(db: Reading) -> StoredFile:
        (record,) = select_licenses(db, [license_id])
        return read_file(db, record)

    decided = invocation.decide(read)
    stored, record = decided.decision, decided.decision.record
    mail = None if eml is None else drafter(invocation, eml)
    place = choose_destination(to, invocation.settings.output, result.write_bytes)
    path = None if place.folder is None else place.folder / (place.name or stored.name)
    prefix = outbox_delivery.temp_prefix(invocation.registry.id)

    def write(db: Writing) -> None:
        record_export(db, stored, "stdout" if path is None else str(path))
        # Before the file, so that no file is written if the registry cannot be written.
        db.check_written()
        if path is None:  # in the transaction, so the journal has no row if stdout fails
            result.write_bytes(record.file)
        else:
            outbox_delivery.write(record.file, path, record.id, prefix)

    change.carry_out(
        decided.unasked(), write, undone="nothing was exported", deliver=lambda _: [record.id]
    )
    warn_before_sending(invocation, [(record, stored.key)])
    drafts: Sequence[Path] = () if mail is None else mail.write([record.id])[record.id]
    return _report(invocation, stored, path, drafts)


def _report(
    invocation: Invocation, stored: StoredFile, path: Path | None, drafts: Iterable[Path]
) -> Report:
    record, customer = stored.record, stored.customer
    members = exported_json(stored, invocation, path, drafts)
    until = deadline(
        upload_before(stored, invocation.settings), assumed=members["upload_window_assumed"]
    )
    fields = Fields(
        (
            ("customer", f"{customer.name} ({customer.slug})"),
            ("machine", record.machine_label),
            ("expires", dates.describe_expiry(record.expires_at, zone_of(customer))),
            ("file", members["file"] or "stdout"),
            *(("mail draft", str(draft)) for draft in drafts),
            (
                "upload before",
                Hint(until, ", which has passed") if members["upload_window_passed"] else until,
            ),
        )
    )
    done = Line(f"exported license {record.id}", "good")
    return Report(members, [done, fields], text_to_stderr=path is None)


def sent(
    invocation: Invocation,
    license_ids: LicenseIds = None,
    every: Annotated[bool, flag("--all", "Select all that license list --unsent lists.")] = False,
    bundle: Annotated[
        Path | None, option("--bundle", "FILE", "Select the licenses in this .zip archive.")
    ] = None,
    *,
    undo: Annotated[bool, flag("--undo", "Clear the sent mark.")] = False,
    consents: prompts.ConsentOptions,
) -> Report:
    """Mark licenses as sent to their customers.

    Either all of them are marked or none. license list --unsent lists the licenses that are not
    marked. If a file is sent again, the latest time is kept.
    """
    typed = prompts.parse_consent(consents)
    _check_options(license_ids, bundle, every=every, undo=undo)
    ids = license_ids or ([] if bundle is None else licenses_in(bundle))
    decided = invocation.decide(lambda db: _unsent(db) if every else _chosen(db, ids))
    if not undo:
        warn_before_sending(invocation, decided.decision)
    agreed = prompts.obtain_consent(invocation, decided.behind, typed)

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
