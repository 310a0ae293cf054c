"""Whether a license has a feature, and what follows from one that it lacks."""

from collections.abc import Sequence
from typing import Final, TypeVar

from ..verifier import License
from ..verifier.errors import quoted
from .refusals import Refusal

MULTIPLE_ACTIVE_SESSIONS: Final = "multiple-active-sessions"

S = TypeVar("S")


def missing(held: License, feature: str) -> Refusal | None:
    """403 with the feature's name when the license lacks it."""
    if feature in held.features:
        return None
    return Refusal(
        status=403,
        code="feature_missing",
        message=f"the license does not include {quoted(feature)}",
        hint="ask for a license with this feature",
        feature=feature,
    )


def sessions_to_revoke(held: License | None, others: Sequence[S]) -> tuple[S, ...]:
    """Of the other sessions of a user who signs in: all, unless several may be active."""
    if held is not None and MULTIPLE_ACTIVE_SESSIONS in held.features:
        return ()
    return tuple(others)
