"""Installation of an uploaded license file: its checks, the order of licenses, the log.

Without the order an older license with more rights could be installed again while its upload window
is open. A newly issued license may end the clock guard's tampering.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

from ..verifier import CheckCode, ClockGuard, License, LicenseError, Verifier
from ..verifier.policy import SECOND, moment
from .refusals import InstallRefused
from .state_cache import StateCache
from .store import INSTALLED, Installation, LogEntry, from_moment


def install(
    memory: StateCache, data: bytes, *, fingerprint: str, window: timedelta, now: datetime, by: str
) -> License:
    """Install a file for `ServerLicense.install`, under its lock; a refusal is logged.

    Raises:
        InstallRefused: as `ServerLicense.install`, whose arguments these are.
        StoreFailed: it cannot be stored.
    """
    try:
        memory.observe(now)
        uploaded = _accepted(memory.verifier, data, fingerprint, window, now)
        with memory.deciding() as (stored, _):
            require_not_superseded(uploaded, stored.installations)
            guard = stored.guard.observe(now)
            guard = _guard_after(uploaded, stored.installations, guard, now)
            installation = Installation(
                license_id=uploaded.jti,
                file=data,
                sub=uploaded.sub,
                scope=_scope(uploaded),
                iat=uploaded.iat,
                replaces=uploaded.replaces,
                at=now,
                by=by,
            )
            entry = _log_entry(now, by, uploaded, INSTALLED)
            memory.store.install(installation, guard, entry)
            memory.forget()
    except InstallRefused as refused:
        memory.store.log_refusal(_log_entry(now, by, refused.license, refused.code))
        raise
    return uploaded


def _accepted(
    verifier: Verifier, data: bytes, fingerprint: str, window: timedelta, now: datetime
) -> License:
    try:
        return verifier.verify(data, now=now, fingerprint=fingerprint, freshness_window=window)
    except LicenseError as error:
        raise InstallRefused(
            str(error.code), error.message, hint=error.hint, license=error.license
        ) from error


def _scope(license_: License) -> str:
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
    own = uploaded.sub, _scope(uploaded)
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


def _guard_after(
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


def _log_entry(at: datetime, by: str, uploaded: License | None, outcome: str) -> LogEntry:
    license_id, customer = (uploaded.jti, uploaded.customer) if uploaded else (None, None)
    return LogEntry(at=at, by=by, license_id=license_id, customer=customer, outcome=outcome)
