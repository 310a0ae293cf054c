"""The allowed domain of a license, and the host names that it matches (FORMAT §3)."""

import re
from dataclasses import dataclass
from typing import Any, Final

from .errors import InvalidDomain, quoted

MAX_DOMAIN: Final = 253

_LABEL = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
_DIGITS = re.compile(r"[0-9]+")
_PORT = re.compile(r":[0-9]{0,5}\Z")
_ANY_LABEL: Final = "*."
_A_LABELS: Final = "write an international name as A-labels, such as xn--bcher-kva.example"


@dataclass(frozen=True, slots=True)
class AllowedDomain:
    """An exact host name, or `*.` before a name of at least two labels.

    Args:
        text: the domain as it is in the license: LDH labels in lower case.

    Raises:
        InvalidDomain: (`invalid_domain`) when `text` breaks FORMAT §3.
    """

    text: str

    def __post_init__(self) -> None:
        """Check the text against FORMAT §3."""
        if problem := _problem(self.text):
            hint = None if self.text.isascii() else _A_LABELS
            raise InvalidDomain(f"{quoted(self.text)} {problem}", hint=hint)

    @classmethod
    def parse(cls, text: str) -> "AllowedDomain":
        """Parse a domain; nothing is lower-cased or trimmed.

        Raises:
            InvalidDomain: (`invalid_domain`) when `text` breaks FORMAT §3.
        """
        return cls(text)

    def matches(self, host: str) -> bool:
        """Return whether a request with this Host header is for the allowed domain.

        One trailing `:port` and then one trailing dot are dropped, and ASCII case is ignored. `*`
        matches exactly one label. A text other than a host name in LDH labels never matches.
        """
        name = host_name(host)
        if name is None:
            return False
        if not self.text.startswith(_ANY_LABEL):
            return name == self.text
        label, _, rest = name.partition(".")
        return rest == self.text[2:] and _LABEL.fullmatch(label) is not None

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle and copy as the text, which is checked again."""
        return type(self), (self.text,)

    def __str__(self) -> str:
        """Return the domain as it is in the license."""
        return self.text


def host_name(host: str) -> str | None:
    """Return the name in a Host header as it is compared; None if no domain can match it."""
    name = _PORT.sub("", host, count=1).removesuffix(".")
    return name.lower() if len(name) <= MAX_DOMAIN and name.isascii() else None


def _problem(text: str) -> str | None:
    if len(text) > MAX_DOMAIN:
        return f"is longer than {MAX_DOMAIN} characters"
    labels = text.removeprefix(_ANY_LABEL).split(".")
    if not all(_LABEL.fullmatch(label) for label in labels):
        return "is not a lower-case host name, or '*.' before one"
    if _DIGITS.fullmatch(labels[-1]):
        return "ends in a label of only digits"
    if text.startswith(_ANY_LABEL) and len(labels) == 1:
        return "needs at least two labels after '*.'"
    return None
