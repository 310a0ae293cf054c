"""Column values into Python and back; a damaged file may hold any type anywhere.

Each reader returns the one type it is named for and raises ValueError otherwise; `Reading` makes
`RegistryDamaged` of that. Moments are UTC with microseconds, as ISO 8601 text of one fixed
length, so that text sorts as time; `iat` and `exp` are whole seconds as in the license.
"""

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from math import isfinite
from typing import Any, Final, TypeVar

Value = str | int | bytes | None
Row = tuple[Value, ...]
Fields = Mapping[str, Value]
"""A row by the names of its columns."""

_Kind = TypeVar("_Kind")
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_SECOND: Final = timedelta(seconds=1)
_encode: Final = json.JSONEncoder(
    sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
).encode


def text(value: Value) -> str:
    """A text, or ValueError."""
    if isinstance(value, str):
        return value
    raise _other_than(str)


def maybe_text(value: Value) -> str | None:
    """A text or nothing, or ValueError."""
    return None if value is None else text(value)


def as_int(value: Value) -> int:
    """An integer, or ValueError."""
    if isinstance(value, int):
        return value
    raise _other_than(int)


def as_optional_int(value: Value) -> int | None:
    """An integer or nothing, or ValueError."""
    return None if value is None else as_int(value)


def as_bytes(value: Value) -> bytes:
    """Bytes, or ValueError."""
    if isinstance(value, bytes):
        return value
    raise _other_than(bytes)


def moment(value: Value) -> datetime:
    """An aware UTC datetime from its text, or ValueError."""
    return _aware(datetime.fromisoformat(text(value))).astimezone(UTC)


def maybe_moment(value: Value) -> datetime | None:
    """An aware UTC datetime or nothing, or ValueError."""
    return None if value is None else moment(value)


def seconds(value: Value) -> datetime:
    """An aware UTC datetime from a NumericDate in seconds, or ValueError."""
    try:
        return _EPOCH + timedelta(seconds=as_int(value))
    except OverflowError:
        raise ValueError("no date") from None


def maybe_seconds(value: Value) -> datetime | None:
    """An aware UTC datetime or nothing, or ValueError."""
    return None if value is None else seconds(value)


def strings(value: Value) -> tuple[str, ...]:
    """The texts of a JSON array, or ValueError."""
    return tuple(_of(str, item) for item in _of(list, _loads(text(value))))


def mapping(value: Value) -> dict[str, str]:
    """The texts by name of a JSON object, or ValueError."""
    return {name: _of(str, item) for name, item in json_object(text(value)).items()}


def members(value: object) -> dict[str, Any]:
    """The members of a JSON object within another, or ValueError."""
    return _of(dict, value)


def json_object(value: str | bytes) -> dict[str, Any]:
    """A JSON object, or ValueError."""
    return _of(dict, _loads(value))


def moment_text(value: datetime) -> str:
    """The stored form of an aware datetime: `2026-01-02T03:04:05.000006Z`.

    Raises:
        ValueError: for a naive datetime, the caller's bug.
    """
    plain = _aware(value).astimezone(UTC).replace(tzinfo=None)
    return f"{plain.isoformat(timespec='microseconds')}Z"


def whole_seconds(value: datetime) -> int:
    """The NumericDate of an aware datetime, in seconds, rounded down.

    Raises:
        ValueError: for a naive datetime, the caller's bug.
    """
    return (_aware(value) - _EPOCH) // _SECOND


def canonical(value: Mapping[str, object] | tuple[str, ...]) -> str:
    """JSON with sorted names, no white space, non-ASCII as it is.

    Raises:
        TypeError, ValueError: for what JSON cannot hold, the caller's bug.
    """
    return _encode(value)


def _loads(value: str | bytes) -> object:
    """Decode JSON. A lone surrogate, or a number that is not finite, is a ValueError."""
    document = value if isinstance(value, str) else value.decode()
    decoded = _decode(document)
    if "\\u" in document:
        _encode({"": decoded}).encode()
    return decoded


def _finite(value: str) -> float:
    number = float(value)
    if isfinite(number):
        return number
    raise ValueError("not a finite number")


_decode: Final = json.JSONDecoder(parse_float=_finite, parse_constant=_finite).decode


def _aware(value: datetime) -> datetime:
    if value.tzinfo is None:
        raise ValueError("a moment without a time zone")
    return value


def _of(kind: type[_Kind], value: object) -> _Kind:
    if isinstance(value, kind):
        return value
    raise _other_than(kind)


def _other_than(kind: type) -> ValueError:
    return ValueError(f"not of type {kind.__name__}")
