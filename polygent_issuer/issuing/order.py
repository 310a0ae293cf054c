"""The order id and the note of a license: kept in the registry, never in the file."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from polygent_issuer.errors import InvalidTerms, MissingInput
from polygent_issuer.findings import Consent, require
from polygent_issuer.hints import Hint, option
from polygent_issuer.home.settings import Settings
from polygent_issuer.issuing.proposal import Action
from polygent_issuer.registry import LicenseRecord, Reading, Writing, change, licenses
from polygent_issuer.registry.change import Decided
from polygent_issuer.terms.parsing import Changes, parse_note, parse_order_id


def next_order(
    action: Action, changes: Changes, replaced: Sequence[LicenseRecord], settings: Settings
) -> tuple[str | None, str | None]:
    """Return the order id and the note of a license.

    A reissue keeps those of the licenses that it replaces. A first license and a renewal are
    usually another order, so they get only what was given.

    Raises:
        MissingInput: (`missing_input`) a first license or a renewal lacks the order id that the
            setting `require_order_id` asks for.
        InvalidTerms: (`invalid_terms`) those of several licenses are too long together.
    """
    order_id, note = changes.order_id, changes.note
    if action is Action.REISSUE:
        order_id = order_id or _joined("order ids", (each.order_id for each in replaced))
        note = note or _joined("notes", (each.note for each in replaced))
    else:
        require_order_id(changes, settings)
    return order_id, note


def require_order_id(changes: Changes, settings: Settings) -> None:
    """Refuse a first license or a renewal without the order id that the settings ask for."""
    if changes.order_id is None and settings.require_order_id:
        raise MissingInput(
            "an order id is required (setting require_order_id)",
            hint=Hint("add ", option("--order-id", "TEXT")),
        )


def _joined(what: str, texts: Iterable[str | None]) -> str | None:
    """Return the different texts of several licenses as one, or None."""
    joined = "; ".join(sorted(set(filter(None, texts))))
    try:
        if joined:
            (parse_order_id if what == "order ids" else parse_note)(joined)
    except InvalidTerms as refused:
        name = "--order-id" if what == "order ids" else "--note"
        raise InvalidTerms(
            f"the {what} of these licenses are too long together: {refused.message}",
            hint=Hint("give one with ", option(name, "TEXT")),
        ) from None
    return joined or None


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
