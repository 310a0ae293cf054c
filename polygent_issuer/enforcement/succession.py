"""Which license may follow which on one server, and what that does to the clock guard.

Without these rules an older, more generous file could come back while its upload window is open.
"""

from collections.abc import Sequence
from datetime import datetime

from ..verifier import CheckCode, ClockGuard, License
from .instants import from_moment, to_moment
from .refusals import SUPERSEDED, InstallRefused
from .store import Installation

_SECOND = 1_000_000


def scope(held: License) -> str:
    """What a license is for: its machine, its domain, or any."""
    if held.machine_fingerprint is not None:
        return f"machine {held.machine_fingerprint}"
    return "any" if held.allowed_domain is None else f"domain {held.allowed_domain}"


def require_not_superseded(held: License, installed: Sequence[Installation]) -> None:
    """Hold that no installed license has taken this one's place.

    Raises:
        InstallRefused: (`superseded`) when one of the same customer and scope was issued later,
            or any of them replaces it.
    """
    named = any(held.jti in each.replaces for each in installed)
    later = any(
        each.sub == held.sub and each.scope == scope(held) and each.iat > held.iat
        for each in installed
    )
    if named or later:
        raise InstallRefused(
            SUPERSEDED,
            "a later license has taken this one's place on this server",
            hint="upload the newest license that you were sent",
            license=held,
        )


def guard_after(
    held: License,
    installed: Sequence[Installation],
    guard: ClockGuard,
    now: datetime,
) -> ClockGuard:
    """The clock guard once the license is installed; `guard` has observed `now`.

    A license that was never installed here, and was issued after all that were, shows that the
    time is at least its `iat`: it ends tampering, and is the way out for a server whose clock once
    jumped ahead by years. It winds the guard back to its own `iat` at most, and each license does
    so once. Any other leaves the guard as it is.

    Raises:
        InstallRefused: (`clock_tampered`) when it stays tampered.
    """
    if all(held.iat > each.iat for each in installed):
        return ClockGuard(from_moment(max(to_moment(now), held.iat * _SECOND)))
    if guard.tampered:
        raise InstallRefused(
            str(CheckCode.CLOCK_TAMPERED),
            "the clock was set back by more than a day and has not caught up since",
            hint="set the server's clock right, or upload a newly issued license",
            license=held,
        )
    return guard
