"""A license that is due, by the product's own milestones."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from polygent_issuer import dates

MILESTONES = (1, 7, 14, 30)
"""Days before the expiry at which the product warns its admins."""

_DAY = timedelta(days=1)


@dataclass(frozen=True, kw_only=True, slots=True)
class Due:
    """One license of the list.

    Attributes:
        bare: whether `renew` of the customer, with nothing else said, renews it.
        trial: whether it is renewed only for a plan that is named.
    """

    id: str
    customer: str
    machine: str | None
    tier: str
    expires_at: datetime
    bare: bool
    trial: bool

    def to_json(self, now: datetime) -> dict[str, Any]:
        """The license for programs."""
        return {
            "id": self.id,
            "customer": self.customer,
            "machine": self.machine,
            "tier": self.tier,
            "expires_at": dates.instant(self.expires_at),
            "last_full_day": dates.last_full_day(self.expires_at).isoformat(),
            "days_left": dates.days_left(self.expires_at, now),
            "expired": self.expires_at <= now,
            "alert_days": milestone(self.expires_at, now),
        }

    @property
    def renewal(self) -> str:
        """The command that renews just this one."""
        plan = " --plan PLAN" if self.trial else ""
        return f"polygent-issue renew {self.customer} --license {self.id[:8]}{plan}"


def milestone(expires_at: datetime, now: datetime) -> int | None:
    """The last milestone that has passed, in days before the expiry; `None` before the first."""
    return next((days for days in MILESTONES if expires_at - now <= days * _DAY), None)
