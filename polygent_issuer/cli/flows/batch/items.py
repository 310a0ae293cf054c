"""Text and JSON of the items of a batch, in the preview and when they are done."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

from polygent_issuer.batch.outcomes import Done, Failed, Kept, Outcome
from polygent_issuer.batch.preview import PreviewItem
from polygent_issuer.cli.flows.batch.counts import DONE
from polygent_issuer.cli.output.hint_json import hint_json
from polygent_issuer.cli.output.license_fields import issued_json, proposal_json
from polygent_issuer.cli.output.model import Block, Line, cut
from polygent_issuer.errors import IssuerError
from polygent_issuer.findings import Finding
from polygent_issuer.home.settings import Settings
from polygent_issuer.issuing import outbox_delivery
from polygent_issuer.issuing.proposal import Action, Proposal
from polygent_issuer.terms import dates
from polygent_issuer.terms.decision import Difference

Drafts = Mapping[str, tuple[Path, ...]]

DECISIONS: Final = {Action.SIGN: "issue", Action.RENEW: "renew", Action.REISSUE: "reissue"}
"""The word of a preview for each action."""

_FINGERPRINT: Final = 20
"""Columns that tell two machines apart; `--json` and the license have the whole."""


def preview_blocks(item: PreviewItem) -> Iterable[Block]:
    """Yield what would be done for one item: a line, and its findings."""
    if item.error is not None:
        yield Line(f"refused {item.job.place}: {item.error.message}", "bad")
        if item.error.hint:
            yield Line(f"hint: {item.error.hint}", indent=1)
    elif not item.decision.proposals and item.decision.note is not None:
        yield Line(f"keep {item.job.place}: {item.decision.note}", "dim")
    for proposal in item.decision.proposals:
        yield Line(f"{DECISIONS[proposal.action]} {item.job.place}: {_change(proposal)}")
        for note in proposal.notes:
            yield Line(note, "dim", 1)
        for finding in proposal.findings:
            yield from _finding_blocks(item, finding)


def preview_json(item: PreviewItem, settings: Settings) -> dict[str, Any]:
    """Return the same for programs: `decision` is a word of `DECISIONS`, `keep` or `refused`."""
    if item.error is not None:
        error = _error_json(item.error)
        return {"item": item.job.place, "decision": "refused", "licenses": [], "error": error}
    words = [DECISIONS[proposal.action] for proposal in item.decision.proposals]
    return {
        "item": item.job.place,
        "decision": words[0] if words else "keep",
        "licenses": [proposal_json(each, settings) for each in item.decision.proposals],
        "missing": sorted({str(finding.code) for finding in item.missing}),
        "note": item.decision.note,
    }


def outcome_blocks(outcome: Outcome, drafts: Drafts) -> Iterable[Block]:
    """Yield one line for each license that was issued, or for an item with a note.

    Args:
        drafts: the mail drafts, by the ID of the license.
    """
    if isinstance(outcome, Kept):
        if outcome.decision.note is not None:
            yield Line(f"kept {outcome.job.place}: {outcome.decision.note}", "dim")
        return
    for each in outcome.issued:
        word = DONE[each.proposal.action]
        yield Line(f"{word} {outcome.job.place}: {_change(each.proposal)}", "good")
        if each.path is not None:
            where = each.path.name if _archive(each.path) else each.path
            yield Line(f"file: {where}", indent=1)
        for draft in drafts.get(each.proposal.license.jti, ()):
            yield Line(f"mail draft: {draft}", indent=1)
    if isinstance(outcome, Done) and outcome.note is not None:
        yield Line(outcome.note, "dim", 1)


def outcome_json(outcome: Outcome, settings: Settings, drafts: Drafts) -> dict[str, Any]:
    """Return the same for programs: `outcome` is `done`, `kept` or `failed`."""
    members: dict[str, Any] = {"outcome": type(outcome).__name__.lower(), "item": outcome.job.place}
    if isinstance(outcome, Kept):
        return {**members, "licenses": [], "note": outcome.decision.note}
    members["licenses"] = [
        issued_json(
            each,
            settings,
            drafts=drafts.get(each.proposal.license.jti, ()),
            agreed=outcome.job.consent,
        )
        | _within_archive(each.path)
        for each in outcome.issued
    ]
    if isinstance(outcome, Failed):
        members["error"] = _error_json(outcome.error)
    return members


def _change(proposal: Proposal) -> str:
    """Old → new in one line: the last full day, then what else changes."""
    new = dates.last_full_day(proposal.license.expires_at).isoformat()
    olds = [dates.last_full_day(old.expires_at).isoformat() for old in proposal.replaced]
    day = f"until {new}" if max(olds, default=new) == new else f"{max(olds)} → {new}"
    if not olds:
        return f"{proposal.license.tier}, {day}"
    return ", ".join((day, *map(_term, proposal.differences)))


def _finding_blocks(item: PreviewItem, finding: Finding) -> Iterable[Block]:
    """Yield a finding, and whether the item's own consent could accept it."""
    missing = finding.code in {each.code for each in item.missing}
    accepted = "" if missing else " (accepted)"
    yield Line(f"{finding.code}{accepted}: {finding.message}", "warn", 1)
    if missing and finding.code in item.job.own.accepted:
        counts = "which counts with --expect or --accept-from-file"
        yield Line(f"the row accepts it, {counts}", "dim", 2)


def _within_archive(path: Path | None) -> dict[str, str]:
    """In which archive a file is, and its name there; nothing for one in a folder."""
    archive = _archive(path)
    return {} if path is None or archive is None else {"archive": archive, "file": path.name}


def _archive(path: Path | None) -> str | None:
    place = None if path is None else str(path.parent)
    return place if place is not None and outbox_delivery.is_bundle(place) else None


def _error_json(error: IssuerError) -> dict[str, Any]:
    """An item's error for programs."""
    return {"code": error.code, "message": error.message, **hint_json(error.hint)}


def _term(term: Difference) -> str:
    old, new = term.old, term.new
    if term.key == "fingerprint":
        old, new = cut(old, _FINGERPRINT), cut(new, _FINGERPRINT)
    return f"{term.name} {old} → {new}"
