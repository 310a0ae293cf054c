"""The order in which licenses may be installed on a server, and its effect on the clock guard.

Without these rules an older license with more rights could be installed again while its upload
window is open.
"""

from collections.abc import Sequence
from datetime import datetime

from ..verifier import CheckCode, ClockGuard, License
from ..verifier.policy import SECOND, moment
from .refusals import InstallRefused
from .store import Installation, from_moment


def scope(license_: License) -> str:
    """Return the scope of a license: its machine, its domain, or any."""
    if license_.machine_fingerprint is not None:
        return f"machine {license_.machine_fingerprint}"
    return "any" if license_.allowed_domain is None else f"domain {license_.allowed_domain}"


def require_not_superseded(uploaded: License, installed: Sequence[Installation]) -> None:
    """Check that no installed license supersedes this one.

    Raises:
        InstallRefused: (`superseded`) one of the same customer and scope was issued later, or an
            installed license replaces this one.
    """
    own = uploaded.sub, scope(uploaded)
    if any(
        uploaded.jti in each.replaces or ((each.sub, each.scope) == own and each.iat > uploaded.iat)
        for each in installed
    ):
        raise InstallRefused(
            "superseded",
            "a newer license has replaced this one on this server",
            hint="upload the newest license that you received",
            license=uploaded,
        )


def guard_after(
    uploaded: License, installed: Sequence[Installation], guard: ClockGuard, now: datetime
) -> ClockGuard:
    """Return the clock guard after the installation; `guard` has observed `now`.

    A license that was issued after all those installed here proves that the time is at least its
    `iat`. So it ends tampering, also for a server whose clock once was years ahead. It sets the
    guard back to its own `iat` at most, and only once. Any other license leaves the guard
    unchanged.

    Raises:
        InstallRefused: (`clock_tampered`) the guard stays tampered.
    """
    if all(uploaded.iat > each.iat for each in installed):
        return ClockGuard(from_moment(max(moment(now), uploaded.iat * SECOND)))
    if guard.tampered:
        raise InstallRefused(
            str(CheckCode.CLOCK_TAMPERED),
            "the clock was set back by more than a day and has not caught up since",
            hint="correct the server's clock, or upload a newly issued license",
            license=uploaded,
        )
    return guard
