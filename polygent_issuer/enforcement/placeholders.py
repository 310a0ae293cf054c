"""Texts that firmware and programs write when they have no id."""

import re
from functools import cache
from typing import Final

_PUNCTUATION: Final = re.compile(r"[^a-z0-9]+")
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


def is_placeholder(text: str) -> bool:
    """Return whether an id is one repeated character or a vendor's filler text, in any spelling."""
    bare = plain(text)
    return len(set(bare)) <= 1 or bare in _plain_fillers()


def plain(text: str) -> str:
    """Return the letters and digits in lower case; a text without any is returned whole."""
    text = text.strip().lower()
    return _PUNCTUATION.sub("", text) or text


@cache
def _plain_fillers() -> frozenset[str]:
    return frozenset(map(plain, FILLERS))
