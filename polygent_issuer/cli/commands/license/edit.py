"""`polygent-issue license edit`, `retire` and `sent`: change what the registry has of a license."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from polygent_issuer.cli import prompts
from polygent_issuer.cli.context import Invocation
from polygent_issuer.cli.options.common import (
    ConsentOptions,
    LicenseId,
    LicenseIds,
    OptionGroup,
    Yes,
    flag,
    option,
)
from polygent_issuer.cli.options.issue import parse_order
from polygent_issuer.cli.output.blocks import Fields, Line
from polygent_issuer.cli.output.records import license_json, zone_of
from polygent_issuer.cli.output.result import Report, note
from polygent_issuer.errors import InputRefused, UsageProblem
from polygent_issuer.issuing import license_edit
from polygent_issuer.registry import (
    KeyRecord,
    LicenseStatus,
    Reading,
    Writing,
    change,
    customers,
    keys,
    licenses,
)
from polygent_issuer.registry.records import Customer, LicenseRecord
from polygent_issuer.terms import dates
from polygent_issuer.text import Hint, run

_Chosen = tuple[tuple[LicenseRecord, KeyRecord], ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class EditOptions(OptionGroup):
    """The new order id and note."""

    order_id: str | None = option("--order-id", "TEXT", "Set the order id.")
    no_order_id: bool = flag("--no-order-id", "Remove the order id.")
    note: str | None = option("--note", "TEXT", "Set the note.")
    no_note: bool = flag("--no-note", "Remove the note.")

    def columns(self) -> dict[str, str | None]:
        """Return the new values by the field names of the record.

        Raises:
            UsageProblem: (`usage`) no option is given, or two contradict each other.
            InvalidTerms: (`invalid_terms`) a text is invalid.
        """
        if self == EditOptions():
            raise UsageProblem("no changes given", hint="give --order-id TEXT or --note TEXT")
        for name, text, removed in (
            ("order-id", self.order_id, self.no_order_id),
            ("note", self.note, self.no_note),
        ):
            if text is not None and removed:
                exclusive = f"--{name} and --no-{name} are mutually exclusive"
                raise UsageProblem(exclusive, hint="give one of them")
        order_id, note = parse_order(self.order_id, self.note)
        columns: dict[str, str | None] = {}
        if order_id is not None or self.no_order_id:
            columns["order_id"] = order_id
        if note is not None or self.no_note:
            columns["note"] = note
        return columns


def edit(
    invocation: Invocation,
    license_id: LicenseId,
    *,
    options: EditOptions,
    consents: ConsentOptions,
) -> Report:
    """Change the order id or the note of a license.

    Both are only in the registry, so the license file stays as it is. The journal records the old
    and the new text.
    """
    typed, columns = consents.parse(), options.columns()
    decided = invocation.decide(lambda db: license_edit.plan_edit(db, license_id, columns))
    record, changes = decided.decision.record, decided.decision.changes
    if changes:
        agreed = prompts.obtain_consent(invocation, decided.behind, typed)
        record = license_edit.edit(decided, consent=agreed)
    members = {
        "license": license_json(record, invocation.now),
        "changes": [{"name": name, "old": old, "new": new} for name, (old, new) in changes.items()],
    }
    if not changes:
        unchanged = f"license {record.id[:8]} is already up to date; nothing was changed"
        return Report(members, [Line(unchanged, "dim")])
    rows = tuple(
        (name.replace("_", " "), f"{old or 'none'} → {new or 'none'}")
        for name, (old, new) in changes.items()
    )
    return Report(members, [Line(f"changed license {record.id[:8]}", "good"), Fields(rows)])


def retire(
    invocation: Invocation,
    license_id: LicenseId,
    *,
    consents: ConsentOptions,
    yes: Yes = False,
) -> Report:
    """Retire a license so that it is not renewed.

    A retired license is no longer current, and expiring leaves it out. The installed file stays
    valid until it expires; licenses cannot be revoked.
    """
    typed = consents.parse()
    decided = invocation.decide(lambda db: _current(db, license_id))
    record, customer = decided.decision
    agreed = prompts.obtain_consent(invocation, decided.behind, typed)
    reason = prompts.required_reason(invocation, agreed.reason, "retire a license")
    if invocation.interactive and not yes:
        note("note", _validity(record, customer))
        prompts.require_yes(f"retire license {record.id[:8]} of {customer.name}?")

    def write(db: Writing) -> LicenseRecord:
        retired = licenses.retire(db, record.id, reason)
        db.record(
            "license-retired",
            customer=retired.customer_slug,
            license=retired.id,
            kid=retired.kid,
            accepted=agreed.used(decided.behind),
            reason=reason,
            details={"expires_at": dates.instant(retired.expires_at)},
        )
        return retired

    retired = change.carry_out(decided, write, undone="nothing was retired")
    members = {
        "id": retired.id,
        "customer": retired.customer_slug,
        "status": str(retired.status),
        "reason": retired.retired_reason,
        "works_until": dates.instant(retired.expires_at),
    }
    fields = Fields(
        (
            ("customer", f"{customer.name} ({customer.slug})"),
            ("machine", retired.machine_label),
            ("reason", retired.retired_reason),
        )
    )
    done = Line(f"retired license {retired.id}", "good")
    return Report(members, [done, fields, Line(_validity(retired, customer), "warn")])


def _validity(record: LicenseRecord, customer: Customer) -> str:
    until = dates.describe_expiry(record.expires_at, zone_of(customer))
    return f"the installed file stays valid until {until}; licenses cannot be revoked"


def _current(db: Reading, license_id: str) -> tuple[LicenseRecord, Customer]:
    record = licenses.find(db, license_id)
    if record.is_current:
        return record, customers.get(db, record.customer_slug)
    by = f" by {record.replaced_by}" if record.replaced_by else ""
    raise InputRefused(
        f"license {record.id} is already {record.status}{by}",
        hint=run("license", "show", record.id[:8]),
    )


def sent(
    invocation: Invocation,
    license_ids: LicenseIds = None,
    every: bool = flag("--all", "Select all that license list --unsent lists."),
    bundle: Path | None = option("--bundle", "FILE", "Select the licenses in this .zip archive."),
    *,
    undo: bool = flag("--undo", "Clear the sent mark."),
    consents: ConsentOptions,
) -> Report:
    """Mark licenses as sent to their customers.

    Either all of them are marked or none. license list --unsent lists the licenses that are not
    marked. If a file is sent again, the latest time is kept.
    """
    from polygent_issuer.batch.bundle import licenses_in
    from polygent_issuer.cli.commands.license.export import warn_before_sending

    typed = consents.parse()
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
        sent = ("license", "sent", "--undo") if undo else ("license", "sent")
        others = ("--bundle", "FILE") if undo else ("--all",)
        raise UsageProblem(
            "LICENSE, --bundle and --all are mutually exclusive"
            if any(given)
            else "no licenses given",
            hint=Hint(run(*sent, "LICENSE..."), ", or ", run(*sent, *others)),
        )
    if every and undo:
        raise UsageProblem(
            "--all selects unsent licenses, so it cannot be combined with --undo",
            hint=run("license", "sent", "--undo", "LICENSE..."),
        )


def _chosen(db: Reading, typed: Iterable[str]) -> _Chosen:
    """Return the selected licenses and their keys; an earlier sent mark is ignored."""
    records = (licenses.find(db, each) for each in typed)
    chosen = {record.id: record._replace(sent_at=None) for record in records}
    return tuple((record, keys.pinned(db, record.kid)) for record in chosen.values())


def _unsent(db: Reading) -> _Chosen:
    unsent = licenses.select(db, status=LicenseStatus.CURRENT, unsent=True, archived=False)
    records = [licenses.checked(db, record) for record in unsent]
    return tuple((record, keys.pinned(db, record.kid)) for record in records)
