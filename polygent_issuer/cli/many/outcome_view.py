"""How an item looks that is done: a line for each license, or an object for programs."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from polygent_issuer.batch.outcomes import Done, Failed, Kept, Outcome
from polygent_issuer.cli.blocks import Block, Line
from polygent_issuer.cli.issue_json import issued_json
from polygent_issuer.cli.many.item_view import change, error_json
from polygent_issuer.cli.many.tally import DONE
from polygent_issuer.issuing import recover
from polygent_issuer.settings import Settings

Drafts = Mapping[str, tuple[Path, ...]]


def outcome_blocks(outcome: Outcome, drafts: Drafts) -> Iterable[Block]:
    """One line for each license that was issued, or for an item with something to be told.

    Args:
        drafts: the mail drafts, by the ID of the license.
    """
    if isinstance(outcome, Kept):
        if outcome.decision.note is not None:
            yield Line(f"kept {outcome.job.place}: {outcome.decision.note}", "dim")
        return
    for each in outcome.issued:
        word = DONE[each.proposal.action]
        yield Line(f"{word} {outcome.job.place}: {change(each.proposal)}", "good")
        if each.path is not None:
            where = each.path.name if _archive(each.path) else each.path
            yield Line(f"file: {where}", indent=1)
        for draft in drafts.get(each.proposal.license.jti, ()):
            yield Line(f"mail draft: {draft}", indent=1)
    if isinstance(outcome, Done) and outcome.note is not None:
        yield Line(outcome.note, "dim", 1)


def outcome_json(outcome: Outcome, settings: Settings, drafts: Drafts) -> dict[str, Any]:
    """The same for programs: `outcome` is `done`, `kept` or `failed`."""
    said: dict[str, Any] = {"outcome": _name(outcome), "item": outcome.job.place}
    if isinstance(outcome, Kept):
        return {**said, "licenses": [], "note": outcome.decision.note}
    said["licenses"] = [
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
        said["error"] = error_json(outcome.error)
    return said


def _within_archive(path: Path | None) -> dict[str, str]:
    """In which archive a file is, and its name there; nothing for one in a folder."""
    archive = _archive(path)
    return {} if path is None or archive is None else {"archive": archive, "file": path.name}


def _archive(path: Path | None) -> str | None:
    place = None if path is None else str(path.parent)
    return place if place is not None and recover.is_bundle(place) else None


def _name(outcome: Outcome) -> str:
    return type(outcome).__name__.lower()
