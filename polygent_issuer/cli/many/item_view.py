"""What a review and an outcome both say of an item: the change, and an error."""

from typing import Any

from polygent_issuer import dates
from polygent_issuer.errors import IssuerError
from polygent_issuer.issuing.proposal import Proposal


def change(proposal: Proposal) -> str:
    """Old → new in one line: the last full day, then what else changes."""
    new = dates.last_full_day(proposal.license.expires_at).isoformat()
    olds = [dates.last_full_day(old.expires_at).isoformat() for old in proposal.replaced]
    day = f"until {new}" if max(olds, default=new) == new else f"{max(olds)} → {new}"
    if not olds:
        return f"{proposal.license.tier}, {day}"
    terms = (f"{term.name} {term.old} → {term.new}" for term in proposal.differences)
    return ", ".join((day, *terms))


def told(error: IssuerError) -> str:
    """An error in one cell."""
    return f"{error.message}; hint: {error.hint}" if error.hint else error.message


def error_json(error: IssuerError) -> dict[str, Any]:
    """An item's error for programs."""
    return {"code": error.code, "message": error.message, "hint": error.hint}
