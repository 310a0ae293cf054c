"""Foreign text as a log or a page may carry it."""

import re
from typing import Final

from ..verifier.names import FORBIDDEN, MAX_DISPLAY_NAME

_FORBIDDEN: Final = re.compile(
    "[" + "".join(f"\\U{first:08x}-\\U{last:08x}" for first, last in FORBIDDEN) + "]"
)


def shown(text: str) -> str:
    """At most 200 characters, each that no display name may hold (FORMAT §1) as U+FFFD."""
    return _FORBIDDEN.sub("\N{REPLACEMENT CHARACTER}", text[:MAX_DISPLAY_NAME])
