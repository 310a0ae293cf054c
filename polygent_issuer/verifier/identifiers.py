"""Identifiers of FORMAT §1 and §2, and the host names of an allowed domain (§3).

The list of forbidden characters is frozen for `ver` 1 and asks no Unicode database, whose answers
change with the version of Python.
"""

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from .errors import InvalidDomain, quoted

MAX_DISPLAY_NAME: Final = 200
MAX_FEATURE_NAME: Final = 64

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
    *((plane | 0xFFFE, plane | 0xFFFF) for plane in range(0, 0x110000, 0x10000)),
)
"""First and last code point of each range that no display name may hold."""

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
"""Likewise for the first and the last character of a display name."""


def _characters(ranges: tuple[tuple[int, int], ...]) -> str:
    return "[" + "".join(f"\\U{first:08x}-\\U{last:08x}" for first, last in ranges) + "]"


_PLAIN = re.compile(r"[!-~](?:[ -~]{0,198}[!-~])?")
_FORBIDDEN = re.compile(_characters(FORBIDDEN))
_EDGE = re.compile(_characters(FORBIDDEN_AT_EDGES))
_SLUG = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,62}[a-z0-9])?")
_FEATURE = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*")
_LICENSE_ID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_FINGERPRINT = re.compile(r"[!-~]{8,256}")
_HEXADECIMAL = re.compile(r"(?:sha256:)?[0-9a-f]+", re.ASCII | re.IGNORECASE)


def display_name_problem(text: str) -> str | None:
    """Why `text` is no display name (FORMAT §1), or None when it is one."""
    if _PLAIN.fullmatch(text):
        return None
    if not 1 <= len(text) <= MAX_DISPLAY_NAME:
        return f"must have 1 to {MAX_DISPLAY_NAME} characters, has {len(text)}"
    if match := _FORBIDDEN.search(text):
        return f"character U+{ord(match[0]):04X} is not allowed"
    for character in (text[0], text[-1]):
        if _EDGE.match(character):
            return f"must not begin or end with U+{ord(character):04X}"
    return None


def is_slug(text: str) -> bool:
    """Whether `text` is a customer's slug (FORMAT §1, `sub`)."""
    return _SLUG.fullmatch(text) is not None


def is_feature_name(text: str) -> bool:
    """Whether `text` can name a feature, known or not (FORMAT §1, `features`)."""
    return len(text) <= MAX_FEATURE_NAME and _FEATURE.fullmatch(text) is not None


def is_license_id(text: str) -> bool:
    """Whether `text` is a license ID (FORMAT §1, `jti`)."""
    return _LICENSE_ID.fullmatch(text) is not None


def canonical_fingerprint(text: str) -> str | None:
    """The canonical form of a machine's fingerprint (FORMAT §4), or None when it has none."""
    trimmed = text.strip(" \t\r\n")
    if not _FINGERPRINT.fullmatch(trimmed):
        return None
    return trimmed.lower() if _HEXADECIMAL.fullmatch(trimmed) else trimmed


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


MAX_DOMAIN: Final = 253

_LABEL = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
_DIGITS = re.compile(r"[0-9]+")
_PORT = re.compile(r":[0-9]{0,5}\Z")
_ANY_LABEL: Final = "*."
_A_LABELS: Final = "write an international name in A-labels: xn--bcher-kva.example"


@dataclass(frozen=True, slots=True)
class AllowedDomain:
    """An exact host name, or `*.` before a name of at least two labels.

    Args:
        text: the domain as the license carries it: LDH labels, lower case.

    Raises:
        InvalidDomain: (`invalid_domain`) when `text` breaks FORMAT §3.
    """

    text: str

    def __post_init__(self) -> None:
        """Let no domain exist that breaks FORMAT §3."""
        if problem := _problem(self.text):
            hint = None if self.text.isascii() else _A_LABELS
            raise InvalidDomain(f"{quoted(self.text)} {problem}", hint=hint)

    @classmethod
    def parse(cls, text: str) -> "AllowedDomain":
        """The domain that `text` writes; nothing is lower-cased or trimmed.

        Raises:
            InvalidDomain: (`invalid_domain`) when it breaks FORMAT §3.
        """
        return cls(text)

    def matches(self, host: str) -> bool:
        """Whether a request with this Host header is for the allowed domain.

        One trailing `:port` and then one trailing dot are dropped, ASCII case is ignored; `*`
        stands for exactly one label. What is no host name in LDH labels never matches.
        """
        name = _PORT.sub("", host, count=1).removesuffix(".")
        if len(name) > MAX_DOMAIN or not name.isascii():
            return False
        name = name.lower()
        if not self.text.startswith(_ANY_LABEL):
            return name == self.text
        label, _, rest = name.partition(".")
        return rest == self.text[2:] and _LABEL.fullmatch(label) is not None

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle and copy as the text, which is judged again."""
        return type(self), (self.text,)

    def __str__(self) -> str:
        """The domain as the license carries it."""
        return self.text


def _problem(text: str) -> str | None:
    if len(text) > MAX_DOMAIN:
        return f"is longer than {MAX_DOMAIN} characters"
    labels = text.removeprefix(_ANY_LABEL).split(".")
    if not all(_LABEL.fullmatch(label) for label in labels):
        return "is not a lower-case host name, nor one after '*.'"
    if _DIGITS.fullmatch(labels[-1]):
        return "ends in a label of digits alone"
    if text.startswith(_ANY_LABEL) and len(labels) == 1:
        return "needs at least two labels after '*.'"
    return None
