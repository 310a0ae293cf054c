"""Tiers and features as FORMAT §2 lists them, frozen for `ver` 1.

The verifier carries along a feature that it does not know: a server may be older than its
license. Only the enterprise features matter here, since a standard license must not have one.
"""

from enum import StrEnum
from typing import Final


class Tier(StrEnum):
    """The two kinds of license."""

    STANDARD = "standard"
    ENTERPRISE = "enterprise"


FEATURES: Final = (
    "workflows",
    "automations",
    "planner",
    "round-table",
    "insights",
    "ticket-sync",
    "deployments",
    "code-review",
    "verification",
    "memory",
    "bots",
    "multiple-active-sessions",
)
"""What a license of any tier may have."""

ENTERPRISE_FEATURES: Final = ("sso-saml", "audit-export", "multi-tenant")
"""What only an enterprise license may have."""
