"""`polygent-issue license export`: write the files of licenses again."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from polygent_issuer.batch import export as exporting
from polygent_issuer.batch.export import StoredFile, read_file, record_export
from polygent_issuer.batch.export import select as select_licenses
from polygent_issuer.cli import candidates
from polygent_issuer.cli.context import Invocation
from polygent_issuer.cli.flows.batch.outputs import Problems, check_place
from polygent_issuer.cli.flows.mail_drafts import drafter
from polygent_issuer.cli.options.common import LicenseIds, flag, option
from polygent_issuer.cli.options.issue import BundleFile, EmlFolder, LicenseFile
from polygent_issuer.cli.output import result
from polygent_issuer.cli.output.blocks import Block, Fields, Line, Table
from polygent_issuer.cli.output.proposal import deadline
from polygent_issuer.cli.output.records import reissue_all_command, reissue_command, zone_of
from polygent_issuer.cli.output.result import Report
from polygent_issuer.errors import UsageProblem
from polygent_issuer.home.settings import Settings
from polygent_issuer.issuing import outbox_delivery
from polygent_issuer.issuing.outbox_delivery import choose_destination
from polygent_issuer.registry import KeyRecord, LicenseRecord, Reading, Writing, change
from polygent_issuer.registry.change import Decided
from polygent_issuer.terms import dates
from polygent_issuer.text import Hint, counted, escape, run

_MOST_WARNINGS: Final = 20
Select = Callable[[Reading], tuple[LicenseRecord, ...]]


def export(
    invocation: Invocation,
    license_ids: LicenseIds = None,
    *,
    customer: str | None = option(
        "--customer", "NAME", "Select this customer's current licenses.", candidates.customers
    ),
    every: bool = flag("--all", "Select every current license."),
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


def upload_before(stored: StoredFile, settings: Settings) -> datetime:
    """Return the upload deadline of a file."""
    return dates.upload_deadline(stored.license.issued_at, settings.upload_window_or_assumed)


def exported_json(
    stored: StoredFile, invocation: Invocation, path: Path | None, drafts: Iterable[Path]
) -> dict[str, Any]:
    """Return an exported file as JSON; a `path` of None is stdout."""
    until, record = upload_before(stored, invocation.settings), stored.record
    return {
        "id": record.id,
        "customer": record.customer_slug,
        "status": str(record.status),
        "file": None if path is None else str(path),
        "drafts": list(map(str, drafts)),
        "sha256": record.sha256,
        "expires_at": dates.instant(record.expires_at),
        "upload_before": dates.instant(until),
        "upload_window_assumed": invocation.settings.upload_window_is_assumed,
        "upload_window_passed": invocation.now > until,
        "compromised_key": stored.key.label if stored.key.compromised else None,
    }


def warn_before_sending(
    invocation: Invocation, stored: Iterable[tuple[LicenseRecord, KeyRecord]]
) -> None:
    """Warn of each license that should not be sent now, up to a number that can be read.

    Several licenses of one compromised key have one warning.
    """
    window = invocation.settings.upload_window_or_assumed
    stored = tuple(stored)
    lost = Counter(key.label for record, key in stored if record.is_current and key.compromised)
    warnings: list[str] = [
        Hint(
            f"{count:,} of these licenses were signed with {escape(label)}, which is compromised: "
            "servers must refuse them; for new licenses: ",
            reissue_all_command(label),
        )
        for label, count in lost.items()
        if count > 1
    ]
    warnings += [
        warning
        for record, key in stored
        if not record.is_current or lost[key.label] <= 1
        for warning in _send_warnings(
            record,
            key,
            upload_before=dates.upload_deadline(record.issued_at, window),
            now=invocation.now,
        )
    ]
    for warning in warnings[:_MOST_WARNINGS]:
        invocation.warn(warning)
    if (more := len(warnings) - _MOST_WARNINGS) > 0:
        invocation.warn(f"{more:,} more like these")


def _send_warnings(
    record: LicenseRecord, key: KeyRecord, *, upload_before: datetime, now: datetime
) -> Iterable[str]:
    """Yield the reason not to send a file now, with the command that issues a new one, if any.

    `key` signed it, and a server accepts it until `upload_before`.
    """
    this, again = f"license {record.id[:8]}", reissue_command(record, now)
    if not record.is_current:
        by = f" by {record.replaced_by[:8]}" if record.replaced_by else ""
        yield f"{this} was {record.status}{by}: do not send it"
    elif key.compromised:
        yield Hint(
            f"{this} was signed with {escape(key.label)}, which is compromised: servers must "
            f"refuse it; for a new license: ",
            again,
        )
    elif record.expires_at <= now:
        yield Hint(
            f"{this} expired at {dates.instant(record.expires_at)}; for a new license: ", again
        )
    elif now > upload_before:
        until = dates.instant(upload_before)
        yield Hint(f"the upload deadline of {this} was {until}; for a new license: ", again)


def export_many(
    invocation: Invocation,
    select: Select,
    *,
    output: str | None,
    bundle: Path | None,
    eml: str | None,
) -> Report:
    """Write the files of many licenses into a folder or an archive, and their mail drafts.

    Args:
        select: returns the licenses in the open transaction.
        output, bundle, eml: a folder or an archive, and a folder for mail drafts, as typed.

    Raises:
        IssuerError: every problem with the places, before the first file.
    """
    problems = Problems()
    archive, destination = check_place(invocation, problems, bundle, output)
    if archive is not None:
        problems.attempt(archive.require_free)
    mail = None if eml is None else problems.attempt(lambda: drafter(invocation, eml))
    problems.require_none()

    def read(db: Reading) -> tuple[StoredFile, ...]:
        return tuple(read_file(db, record) for record in select(db))

    decided = invocation.decide(read)
    place = None if destination is None else destination.folder
    if place is None or not decided.decision:
        return Report(
            {"licenses": [], "archive": None}, [Line("no current licenses to export", "dim")]
        )
    if archive is not None:
        window = invocation.settings.upload_window_or_assumed
        exporting.export_into_archive(decided, archive.target, window=window)
    else:
        _into_folder(invocation, decided, place)
    warn_before_sending(invocation, [(each.record, each.key) for each in decided.decision])
    ids = [each.record.id for each in decided.decision]
    drafts = {} if mail is None else mail.write(ids)
    return _report_many(invocation, decided.decision, place, drafts, archive=archive is not None)


def _into_folder(
    invocation: Invocation, decided: Decided[tuple[StoredFile, ...]], folder: Path
) -> None:
    exporting.check_free(decided.decision, folder)

    def decide(ids: Sequence[str]) -> Decided[tuple[StoredFile, ...]]:
        def read(db: Reading) -> tuple[StoredFile, ...]:
            return tuple(read_file(db, each) for each in select_licenses(db, ids))

        return invocation.decide(read)

    for _ in exporting.export_into_folder(
        decide, [each.record.id for each in decided.decision], folder
    ):
        pass


def _report_many(
    invocation: Invocation,
    stored: Sequence[StoredFile],
    place: Path,
    drafts: Mapping[str, tuple[Path, ...]],
    *,
    archive: bool,
) -> Report:
    members = {
        "licenses": (
            exported_json(each, invocation, place / each.name, drafts.get(each.record.id, ()))
            | ({"archive": str(place), "file": each.name} if archive else {})
            for each in stored
        ),
        "archive": {"file": str(place), "licenses": len(stored)} if archive else None,
    }
    rows = tuple(
        (
            each.record.id[:8],
            each.record.customer_slug,
            each.record.machine_label or "any",
            dates.last_full_day(each.record.expires_at).isoformat(),
        )
        for each in sorted(stored, key=lambda each: each.name)
    )
    count = counted(len(stored), "license")
    blocks: list[Block] = [
        Table(("license", "customer", "machine", "last full day"), rows),
        Line(f"exported {count} into {place}", "good"),
    ]
    deadlines = (upload_before(each, invocation.settings) for each in stored)
    if ahead := [until for until in deadlines if until >= invocation.now]:
        until = deadline(min(ahead), assumed=invocation.settings.upload_window_is_assumed)
        blocks.append(Line(Hint("upload the first one before ", until)))
    if drafts:
        blocks.append(Line(f"mail drafts: {sum(map(len, drafts.values())):,}"))
    return Report(members, blocks)
