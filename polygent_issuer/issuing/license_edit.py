"""Edit the order id and the note of a license, which are only in the registry."""

from collections.abc import Mapping
from dataclasses import dataclass

from polygent_issuer.findings import Consent, require
from polygent_issuer.registry import LicenseRecord, Reading, Writing, change, licenses
from polygent_issuer.registry.change import Decided


@dataclass(frozen=True, kw_only=True, slots=True)
class LicenseEdit:
    """The changes to a license in the registry: old and new value by name; empty for none."""

    record: LicenseRecord
    changes: Mapping[str, tuple[str | None, str | None]]


def plan_edit(db: Reading, typed_id: str, columns: Mapping[str, str | None]) -> LicenseEdit:
    """Decide which of `order_id` and `note` change; None removes one. Nothing is written.

    Raises:
        NotFound, Ambiguous: (`not_found`, `ambiguous`) as `licenses.find`.
    """
    record = licenses.find(db, typed_id)
    pairs = {name: (getattr(record, name), new) for name, new in columns.items()}
    changes = {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}
    return LicenseEdit(record=record, changes=changes)


def edit(decided: Decided[LicenseEdit], *, consent: Consent) -> LicenseRecord:
    """Carry out the changes, record old and new in the journal, and return the license.

    Raises:
        ConsentNeeded: (`consent_needed`) a finding was not accepted.
        RegistryChanged: (`registry_changed`) the changes would be different now.
    """
    require(decided.behind, consent)
    plan = decided.decision

    def write(db: Writing) -> LicenseRecord:
        columns = {name: new for name, (_, new) in plan.changes.items()}
        edited = licenses.edit(db, plan.record.id, **columns)
        db.record(
            "license-edited",
            customer=edited.customer_slug,
            license=edited.id,
            kid=edited.kid,
            accepted=consent.used(decided.behind),
            reason=consent.reason,
            details={"changes": {name: list(pair) for name, pair in plan.changes.items()}},
        )
        return edited

    return change.carry_out(decided, write)
