"""Licenses in a list: what their rows say, without the files, so that many fit into memory."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Self

from polygent_issuer.cli.output.model import Style, Table
from polygent_issuer.registry import LicenseRecord, LicenseStatus
from polygent_issuer.terms import dates


@dataclass(frozen=True, kw_only=True, slots=True)
class Listed:
    """One license of a list.

    Attributes:
        expired: by the clock of the command; a current license may have expired.
    """

    id: str
    customer: str
    machine: str | None
    tier: str
    status: LicenseStatus
    expired: bool
    issued_at: datetime
    expires_at: datetime
    kid: str
    replaced_by: str | None
    sent_at: datetime | None

    @classmethod
    def of(cls, record: LicenseRecord, now: datetime) -> Self:
        """A license as it stands at `now`."""
        return cls(
            id=record.id,
            customer=record.customer_slug,
            machine=record.machine_label,
            tier=record.tier,
            status=record.status,
            expired=record.expires_at <= now,
            issued_at=record.issued_at,
            expires_at=record.expires_at,
            kid=record.kid,
            replaced_by=record.replaced_by,
            sent_at=record.sent_at,
        )

    def to_json(self) -> dict[str, Any]:
        """The license for programs."""
        return {
            "id": self.id,
            "customer": self.customer,
            "machine": self.machine,
            "tier": self.tier,
            "status": str(self.status),
            "expired": self.expired,
            "issued_at": dates.instant(self.issued_at),
            "expires_at": dates.instant(self.expires_at),
            "last_full_day": dates.last_full_day(self.expires_at).isoformat(),
            "kid": self.kid,
            "replaced_by": self.replaced_by,
            "sent_at": None if self.sent_at is None else dates.instant(self.sent_at),
        }


COLUMNS: Final = (
    *("id", "customer", "machine", "tier", "status", "expired"),
    *("issued_at", "expires_at", "last_full_day", "kid", "replaced_by", "sent_at"),
)
"""The members of a listed license, as the columns of its CSV."""


def license_table(listed: Iterable[Listed]) -> Table:
    """The licenses as a table; what no longer counts is dim, what has run out is red."""
    headers = (
        *("license", "customer", "machine", "tier"),
        *("status", "sent", "expires", "last full day"),
    )
    return Table(headers, tuple(map(_row, listed)), tuple(map(_style, listed)))


def _row(listed: Listed) -> tuple[str, ...]:
    gone = ", expired" if listed.expired and listed.status is LicenseStatus.CURRENT else ""
    return (
        listed.id[:8],
        listed.customer,
        listed.machine or "any",
        listed.tier,
        f"{listed.status}{gone}",
        "" if listed.sent_at is None else listed.sent_at.date().isoformat(),
        dates.instant(listed.expires_at),
        dates.last_full_day(listed.expires_at).isoformat(),
    )


def _style(listed: Listed) -> Style:
    if listed.status is not LicenseStatus.CURRENT:
        return "dim"
    return "bad" if listed.expired else "plain"
