"""Installation of an uploaded license file: its checks, the order of licenses, the log."""

from datetime import datetime, timedelta

from ..verifier import License, LicenseError, Verifier
from . import supersession
from .refusals import InstallRefused
from .state_cache import StateCache
from .store import INSTALLED, Installation, LogEntry, Store


class Uploads:
    """The uploads to one server; its `ServerLicense` calls it under its lock."""

    def __init__(
        self, verifier: Verifier, store: Store, memory: StateCache, freshness_window: timedelta
    ) -> None:
        """Arguments are those of `ServerLicense`."""
        self._verifier = verifier
        self._store = store
        self._memory = memory
        self._freshness_window = freshness_window

    def install(self, data: bytes, fingerprint: str, now: datetime, by: str) -> License:
        """See `ServerLicense.install`; a refusal is written into the log of installations."""
        try:
            return self._admit(data, fingerprint, now, by)
        except InstallRefused as refused:
            self._store.log_refusal(_log_entry(now, by, refused.license, refused.code))
            raise

    def _admit(self, data: bytes, fingerprint: str, now: datetime, by: str) -> License:
        self._memory.observe(now)
        try:
            uploaded = self._verifier.verify(
                data,
                now=now,
                fingerprint=fingerprint,
                freshness_window=self._freshness_window,
            )
        except LicenseError as error:
            raise InstallRefused(
                str(error.code), error.message, hint=error.hint, license=error.license
            ) from error
        with self._memory.deciding() as (stored, _):
            supersession.require_not_superseded(uploaded, stored.installations)
            guard = stored.guard.observe(now)
            guard = supersession.guard_after(uploaded, stored.installations, guard, now)
            installation = Installation(
                license_id=uploaded.jti,
                file=data,
                sub=uploaded.sub,
                scope=supersession.scope(uploaded),
                iat=uploaded.iat,
                replaces=uploaded.replaces,
                at=now,
                by=by,
            )
            self._memory.install(installation, guard, _log_entry(now, by, uploaded, INSTALLED))
        return uploaded


def _log_entry(at: datetime, by: str, uploaded: License | None, outcome: str) -> LogEntry:
    license_id, customer = (uploaded.jti, uploaded.customer) if uploaded else (None, None)
    return LogEntry(at=at, by=by, license_id=license_id, customer=customer, outcome=outcome)
