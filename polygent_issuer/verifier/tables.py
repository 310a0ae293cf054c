"""Tables of FORMAT: features, characters that no display name may hold, and fillers of ids.

The characters are frozen for `ver` 1. They do not come from a Unicode database, which changes with
the version of Python.
"""

from typing import Final

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
"""The features that a license of any tier may have."""

ENTERPRISE_FEATURES: Final = ("sso-saml", "audit-export", "multi-tenant")
"""The features that only an enterprise license may have."""

FORBIDDEN: Final[tuple[tuple[int, int], ...]] = (
    (0x0000, 0x001F),
    (0x007F, 0x009F),
    (0x00AD, 0x00AD),
    (0x0600, 0x0605),
    (0x061C, 0x061C),
    (0x06DD, 0x06DD),
    (0x070F, 0x070F),
    (0x0890, 0x0891),
    (0x08E2, 0x08E2),
    (0x180E, 0x180E),
    (0x200B, 0x200B),
    (0x200E, 0x200F),
    (0x2028, 0x202E),
    (0x2060, 0x206F),
    (0xD800, 0xDFFF),
    (0xFDD0, 0xFDEF),
    (0xFEFF, 0xFEFF),
    (0xFFF0, 0xFFFB),
    (0x110BD, 0x110BD),
    (0x110CD, 0x110CD),
    (0x13430, 0x1343F),
    (0x1BCA0, 0x1BCA3),
    (0x1D173, 0x1D17A),
    (0xE0000, 0xE00FF),
    (0xE01F0, 0xE0FFF),
    *zip(range(0xFFFE, 0x110000, 0x10000), range(0xFFFF, 0x110000, 0x10000), strict=True),
)
"""First and last code point of each range that no display name may contain."""

FORBIDDEN_AT_EDGES: Final[tuple[tuple[int, int], ...]] = (
    (0x0020, 0x0020),
    (0x00A0, 0x00A0),
    (0x1680, 0x1680),
    (0x2000, 0x200A),
    (0x202F, 0x202F),
    (0x205F, 0x205F),
    (0x3000, 0x3000),
    (0x200C, 0x200D),
)
"""More ranges, forbidden only as the first and last character of a display name."""

FILLERS: Final = (
    *("To be filled by O.E.M.", "OEM", "Default string", "System Serial Number", "Serial Number"),
    *("Base Board Serial Number", "Chassis Serial Number", "System UUID", "Empty", "Blank"),
    *("Not Specified", "Not Applicable", "Not Available", "Not Present", "Not Set", "N/A", "NA"),
    *("None", "null", "nil", "undefined", "unknown", "invalid", "uninitialized", "placeholder"),
    *("false", "error", "localhost", "123456789", "12345678", "1234567890", "0123456789"),
    # UUIDs that mainboard vendors ship as examples
    *("03000200-0400-0500-0006-000700080009", "00020003-0004-0005-0006-000700080009"),
    *("12345678-1234-5678-90ab-cddeefaabbcc", "fefefefe-fefe-fefe-fefe-fefefefefefe"),
)
"""Texts that firmware and programs write when they have no id."""
