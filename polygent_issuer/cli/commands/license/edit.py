"""`polygent-issue license edit`: change the order id or the note of a license."""

from dataclasses import dataclass
from typing import Annotated

from polygent_issuer.cli import consent
from polygent_issuer.cli.context import Invocation
from polygent_issuer.cli.options.common import LicenseId, OptionGroup, option
from polygent_issuer.cli.options.terms import parse_order
from polygent_issuer.cli.output.model import Fields, Line
from polygent_issuer.cli.output.records import license_json
from polygent_issuer.cli.output.result import Report
from polygent_issuer.errors import UsageProblem
from polygent_issuer.issuing import license_edit


@dataclass(frozen=True, kw_only=True, slots=True)
class EditOptions(OptionGroup):
    """The new order id and note."""

    order_id: Annotated[str | None, option("--order-id", "TEXT", "Set the order id.")] = None
    no_order_id: Annotated[bool, option("--no-order-id", None, "Remove the order id.")] = False
    note: Annotated[str | None, option("--note", "TEXT", "Set the note.")] = None
    no_note: Annotated[bool, option("--no-note", None, "Remove the note.")] = False

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
    consents: consent.ConsentOptions,
) -> Report:
    """Change the order id or the note of a license.

    Both are only in the registry, so the license file stays as it is. The journal records the old
    and the new text.
    """
    typed, columns = consent.parse_consent(consents), options.columns()
    decided = invocation.decide(lambda db: license_edit.plan_edit(db, license_id, columns))
    record, changes = decided.decision.record, decided.decision.changes
    if changes:
        agreed = consent.obtain(invocation, decided.behind, typed)
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
