"""Which license may follow which on one server, and what that does to the clock guard.

Without these rules an older, more generous file could come back while its upload window is open.
"""

from collections.abc import Sequence
from datetime import datetime

from ..verifier import CheckCode, ClockGuard, License
from ..verifier.policy import SECOND, moment
from .refusals import InstallRefused
from .store import Installation, from_moment


def scope(license_: License) -> str:
    """What a license is for: its machine, its domain, or any."""
    if license_.machine_fingerprint is not None:
        return f"machine {license_.machine_fingerprint}"
    return "any" if license_.allowed_domain is None else f"domain {license_.allowed_domain}"


def require_not_superseded(uploaded: License, installed: Sequence[Installation]) -> None:
    """Check that no installed license has taken this one's place.

    Raises:
        InstallRefused: (`superseded`) when one of the same customer and scope was issued later,
            or any of them replaces it.
    """
    own = uploaded.sub, scope(uploaded)
    if any(
        uploaded.jti in each.replaces or ((each.sub, each.scope) == own and each.iat > uploaded.iat)
        for each in installed
    ):
        raise InstallRefused(
            "superseded",
            "a later license has taken this one's place on this server",
            hint="upload the newest license that you were sent",
            license=uploaded,
        )


def guard_after(
    uploaded: License, installed: Sequence[Installation], guard: ClockGuard, now: datetime
) -> ClockGuard:
    """The clock guard once the license is installed; `guard` has observed `now`.

    A license that was issued after all that were installed here shows that the time is at least its
    `iat`: it ends tampering, and is the way out for a server whose clock once jumped ahead by
    years. It winds the guard back to its own `iat` at most, once. Any other leaves it as it is.

    Raises:
        InstallRefused: (`clock_tampered`) when it stays tampered.
    """
    if all(uploaded.iat > each.iat for each in installed):
        return ClockGuard(from_moment(max(moment(now), uploaded.iat * SECOND)))
    if guard.tampered:
        raise InstallRefused(
            str(CheckCode.CLOCK_TAMPERED),
            "the clock was set back by more than a day and has not caught up since",
            hint="set the server's clock right, or upload a newly issued license",
            license=uploaded,
        )
    return guard
