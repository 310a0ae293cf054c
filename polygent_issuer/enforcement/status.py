"""The status view for the page Settings, License."""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

from ..verifier import Tier
from .alerts import days_left, time_left
from .live import HostCaps, HostKind
from .refusals import Standing, State
from .store import LogEntry, instant


@dataclass(frozen=True, kw_only=True, slots=True)
class Usage:
    """The used part of a limit; without a license `limit` is absent."""

    used: int
    limit: int | None


_UNKNOWN: Final = Usage(used=0, limit=None)


@dataclass(frozen=True, kw_only=True, slots=True)
class Status:
    """The state of the license for admins.

    Attributes:
        expires_at: UTC.
        days_left: a started day counts: 1 on the last day, 0 once expired.
        time_left: in words: "1 day and 15 hours", on the last day "5 hours".
        machine_id: the machine's fingerprint; with a standard license, and without one.
        allowed_domain, install_log: enterprise only; the newest log entry is first.
    """

    state: State
    message: str
    license_id: str | None = None
    customer: str | None = None
    tier: Tier | None = None
    expires_at: datetime | None = None
    days_left: int | None = None
    time_left: str | None = None
    users: Usage
    session_hosts: Usage
    deploy_hosts: Usage
    features: tuple[str, ...] = ()
    machine_id: str | None = None
    allowed_domain: str | None = None
    install_log: tuple[LogEntry, ...] = ()

    def to_public_json(self) -> dict[str, Any]:
        """Return the part for users other than admins: the state and the expiry."""
        view = self.to_json()
        return {name: view[name] for name in ("state", "expiresAt", "daysLeft", "timeLeft")}

    def to_json(self) -> dict[str, Any]:
        """Return the view for admins; times are RFC 3339 in UTC, and absent values are null."""
        return {
            "state": str(self.state),
            "message": self.message,
            "licenseId": self.license_id,
            "customer": self.customer,
            "tier": None if self.tier is None else str(self.tier),
            "expiresAt": None if self.expires_at is None else instant(self.expires_at),
            "daysLeft": self.days_left,
            "timeLeft": self.time_left,
            "users": {"active": self.users.used, "limit": self.users.limit},
            "sessionHosts": _hosts(self.session_hosts),
            "deployHosts": _hosts(self.deploy_hosts),
            "features": list(self.features),
            "machineId": self.machine_id,
            "allowedDomain": self.allowed_domain,
            "installLog": [
                {
                    "at": instant(entry.at),
                    "by": entry.by,
                    "licenseId": entry.license_id,
                    "customer": entry.customer,
                    "outcome": entry.outcome,
                }
                for entry in self.install_log
            ],
        }


def public_status(standing: Standing, now: datetime) -> Status:
    """Return what `to_public_json` needs, without a read of the store."""
    installed = standing.license
    return Status(
        state=standing.state,
        message="",
        expires_at=None if installed is None else installed.expires_at,
        days_left=None if installed is None else days_left(installed, now),
        time_left=None if installed is None else time_left(installed, now),
        users=_UNKNOWN,
        session_hosts=_UNKNOWN,
        deploy_hosts=_UNKNOWN,
    )


def status(
    standing: Standing,
    *,
    now: datetime,
    users_active: int,
    hosts: HostCaps,
    machine_id: str,
    install_log: tuple[LogEntry, ...],
) -> Status:
    """Return the view of a standing."""
    view = replace(
        public_status(standing, now),
        message=standing.message,
        users=Usage(used=users_active, limit=None),
        session_hosts=Usage(used=hosts.connected(HostKind.SESSION), limit=None),
        deploy_hosts=Usage(used=hosts.connected(HostKind.DEPLOY), limit=None),
        machine_id=machine_id,
    )
    installed = standing.license
    if installed is None:
        return view
    limits, enterprise = installed.limits, installed.tier is Tier.ENTERPRISE
    return replace(
        view,
        license_id=installed.jti,
        customer=installed.customer,
        tier=installed.tier,
        users=replace(view.users, limit=limits.users),
        session_hosts=replace(view.session_hosts, limit=limits.session_hosts),
        deploy_hosts=replace(view.deploy_hosts, limit=limits.deploy_hosts),
        features=installed.features,
        machine_id=None if enterprise else machine_id,
        allowed_domain=None if installed.allowed_domain is None else installed.allowed_domain.text,
        install_log=install_log if enterprise else (),
    )


def _hosts(usage: Usage) -> dict[str, Any]:
    return {"connected": usage.used, "cap": usage.limit}
