"""What a review and an outcome both say of an item: the change, and an error."""

from collections.abc import Iterable
from typing import Any, Final

from polygent_issuer import dates
from polygent_issuer.cli.blocks import Block, Line
from polygent_issuer.cli.cells import cut
from polygent_issuer.errors import IssuerError
from polygent_issuer.issuing.proposal import Proposal
from polygent_issuer.terms import Difference

_FINGERPRINT: Final = 20
"""Columns that tell two machines apart; `--json` and the license have the whole."""


def change(proposal: Proposal) -> str:
    """Old → new in one line: the last full day, then what else changes."""
    new = dates.last_full_day(proposal.license.expires_at).isoformat()
    olds = [dates.last_full_day(old.expires_at).isoformat() for old in proposal.replaced]
    day = f"until {new}" if max(olds, default=new) == new else f"{max(olds)} → {new}"
    if not olds:
        return f"{proposal.license.tier}, {day}"
    return ", ".join((day, *map(_term, proposal.differences)))


def error_blocks(word: str, place: str, error: IssuerError) -> Iterable[Block]:
    """An error of an item, and below it what mends that."""
    yield Line(f"{word} {place}: {error.message}", "bad")
    if error.hint:
        yield Line(f"hint: {error.hint}", indent=1)


def error_json(error: IssuerError) -> dict[str, Any]:
    """An item's error for programs."""
    return {"code": error.code, "message": error.message, "hint": error.hint}


def _term(term: Difference) -> str:
    old, new = term.old, term.new
    if term.key == "fingerprint":
        old, new = cut(old, _FINGERPRINT), cut(new, _FINGERPRINT)
    return f"{term.name} {old} → {new}"
