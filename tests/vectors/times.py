"""Times of vectors: each RFC 3339 instant also as an integer."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, Final

SUFFIX: Final = "Microseconds"
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_INSTANT: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?(Z|[+-]\d\d:\d\d)")


def instant(text: str) -> datetime:
    """Return the instant of an RFC 3339 text, exact to the microsecond."""
    return datetime.fromisoformat(text)


def microseconds(text: str) -> int:
    """Return the microseconds from 1970 UTC to an RFC 3339 instant; negative before."""
    return (instant(text) - _EPOCH) // timedelta(microseconds=1)


def with_microseconds(value: Any) -> Any:
    """Return JSON with a member `…Microseconds` after each member that is an instant, or null."""
    if isinstance(value, list):
        return [with_microseconds(each) for each in value]
    if not isinstance(value, dict):
        return value
    members: dict[str, Any] = {}
    for name, each in value.items():
        members[name] = with_microseconds(each)
        if _is_time(name, each):
            members[name + SUFFIX] = None if each is None else microseconds(each)
    return members


def problems(value: Any, where: str = "") -> Iterator[str]:
    """Describe each instant whose integer is missing or different."""
    if isinstance(value, list):
        for number, each in enumerate(value):
            yield from problems(each, f"{where}[{number}]")
    elif isinstance(value, dict):
        for name, each in value.items():
            yield from problems(each, f"{where}.{name}")
            if not _is_time(name, each):
                continue
            expected = None if each is None else microseconds(each)
            if value.get(name + SUFFIX, "missing") != expected:
                yield f"{where}.{name}{SUFFIX} should be {expected}"


def _is_time(name: str, value: Any) -> bool:
    """Return whether a member is a time; `lastSeen` is null before the first observation."""
    if value is None:
        return name == "lastSeen"
    return isinstance(value, str) and _INSTANT.fullmatch(value) is not None
