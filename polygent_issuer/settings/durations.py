"""Lengths of time: `20s`, `15m`, `36h`, `7d`, `2w`."""

import re
from datetime import timedelta

from polygent_issuer.errors import InvalidTerms
from polygent_issuer.text import shown

HUNDRED_YEARS = timedelta(days=36_525)

_HINT = "write it as 7d, 36h or 20s"
_SPELLING = re.compile(r"([1-9][0-9]{0,9})([smhdw])")
_UNITS = {
    "s": timedelta(seconds=1),
    "m": timedelta(minutes=1),
    "h": timedelta(hours=1),
    "d": timedelta(days=1),
    "w": timedelta(weeks=1),
}


def parse_duration(text: str) -> timedelta:
    """Read a length of time.

    Raises:
        InvalidTerms: (`invalid_terms`) for any other spelling, zero, or over a hundred years.
    """
    match = _SPELLING.fullmatch(text)
    if match is None:
        raise InvalidTerms(f"not a length of time: {shown(text)}", hint=_HINT)
    number, unit = int(match[1]), _UNITS[match[2]]
    if number > HUNDRED_YEARS // unit:
        raise InvalidTerms(f"longer than a hundred years: {text}", hint=_HINT)
    return number * unit


def duration_text(length: timedelta) -> str:
    """Write whole seconds as `parse_duration` reads them, in the largest unit that fits."""
    unit = next((u for u in ("d", "h", "m") if not length % _UNITS[u]), "s")
    return f"{length // _UNITS[unit]}{unit}"
