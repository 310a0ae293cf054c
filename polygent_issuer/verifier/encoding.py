"""Base64url and JSON as FORMAT §1 wants them, with nothing left to a parser's taste.

Base64url is unpadded (RFC 4648 §5, RFC 7515 §2), one spelling for each sequence of bytes. JSON is
RFC 8259 with no duplicate names, no nesting beyond 8, integers within ±(2^53-1) alone, no lone
surrogates. The standard library's parser does the work; its hooks and two scans refuse what it
would let pass.
"""

import binascii
import json
import re
from typing import Any, Final, NoReturn

from .errors import malformed

MAX_DEPTH: Final = 8
MAX_INTEGER: Final = 2**53 - 1
_MAX_DIGITS: Final = len(str(-MAX_INTEGER))

_STRING_OR_BRACKET = re.compile(rb'"(?:[^"\\]++|\\.)*+"?|[\[{]|[\]}]', re.DOTALL)
_TO_URL = bytes.maketrans(b"+/", b"-_")
_FROM_URL = bytes.maketrans(b"-_", b"+/")


def to_base64url(data: bytes) -> bytes:
    """The one spelling of `data`, unpadded."""
    return binascii.b2a_base64(data, newline=False).rstrip(b"=").translate(_TO_URL)


def from_base64url(text: bytes) -> bytes:
    """The bytes that `text` spells.

    Raises:
        ValueError: `text` is not what `to_base64url` gives for any bytes: a foreign character,
            padding, white space, an impossible length, or unused low bits that are not zero.
    """
    data = binascii.a2b_base64(text.translate(_FROM_URL) + b"=" * (-len(text) % 4))
    if to_base64url(data) != text:
        raise ValueError("not canonical base64url")
    return data


def loads_object(data: bytes, *, what: str = "the text") -> dict[str, Any]:
    """The one JSON object that `data` holds.

    Args:
        data: UTF-8 without BOM; nothing but JSON white space around the object.
        what: what `data` is, for the message.

    Raises:
        LicenseError: (`malformed`) when FORMAT §1, "JSON", is broken in any way.
    """
    try:
        text = data.decode()
        _check_depth(data)
        value = _DECODER.decode(text)
        if b"\\u" in data:
            _check_surrogates(value)
    except UnicodeDecodeError:
        raise malformed(f"{what} is not UTF-8") from None
    except json.JSONDecodeError as error:
        raise malformed(f"{what} is not JSON: see character {error.pos}") from None
    except _Refused as refusal:
        raise malformed(f"{what} {refusal}") from None
    if not isinstance(value, dict):
        raise malformed(f"{what} is not a JSON object")
    return value


class _Refused(Exception):
    """JSON that the profile forbids; the message goes behind the name of the text."""


def _check_depth(data: bytes) -> None:
    """Refuse deep nesting before the parser recurses into it.

    Brackets in strings make the quick count too high, never too low.
    """
    if data.count(b"{") + data.count(b"[") <= MAX_DEPTH:
        return
    depth = 0
    for token in _STRING_OR_BRACKET.finditer(data):
        if token[0] in b"[{":
            depth += 1
        elif token[0] in b"]}":
            depth -= 1
        if depth > MAX_DEPTH:
            raise _Refused(f"nests deeper than {MAX_DEPTH} levels")


def _check_surrogates(value: object) -> None:
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise _Refused("holds a lone surrogate") from None


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise _Refused("repeats a name")
    return members


def _integer(text: str) -> int:
    # the length comes first: int() itself refuses thousands of digits with an error of its own
    if len(text) > _MAX_DIGITS or not -MAX_INTEGER <= (number := int(text)) <= MAX_INTEGER:
        raise _Refused("holds an integer beyond 2^53-1")
    return number


def _no_integer(_text: str) -> NoReturn:
    raise _Refused("holds a number that is not a plain integer")


_DECODER: Final = json.JSONDecoder(
    object_pairs_hook=_object,
    parse_int=_integer,
    parse_float=_no_integer,
    parse_constant=_no_integer,
)
