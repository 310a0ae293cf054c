"""Tokens of FORMAT §1: JWS, base64url and JSON, each with exactly one valid spelling.

`parse` checks only the form, row 1 of FORMAT §5, and returns the bytes as received. A signature is
checked over those bytes, and nothing is serialized again before that.
"""

import binascii
import json
import re
from codecs import BOM_UTF8
from collections.abc import Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import Any, Final, NamedTuple, NoReturn

from . import hints
from .errors import LicenseError, malformed

MAX_FILE_BYTES: Final = 16_384
SIGNATURE_BYTES: Final = 64
ALGORITHM: Final = "ES256"
TYPE: Final = "polygent-license+jwt"
MAX_DEPTH: Final = 8
MAX_INTEGER: Final = 2**53 - 1
_MAX_DIGITS: Final = len(str(-MAX_INTEGER))
_SPACE: Final = b" \t\r\n"
_HEADER_NAMES: Final = {"alg", "kid", "typ"}
_SEGMENTS: Final = 3

_STRING_OR_BRACKET = re.compile(rb'"(?:[^"\\]++|\\.)*+"?|[\[{]|[\]}]', re.DOTALL)
_TO_URL = bytes.maketrans(b"+/", b"-_")
_FROM_URL = bytes.maketrans(b"-_+/=", b"+/***")  # what only base64 has becomes foreign


class Token(NamedTuple):
    """A license file of the right form; nothing in it is authenticated yet.

    Attributes:
        kid: the key that the header names.
        header: the three parameters.
        payload: the decoded bytes of the second segment; not parsed.
        signature: 64 bytes, R then S.
        signing_input: the signed bytes, as received.
    """

    kid: str
    header: Mapping[str, Any]
    payload: bytes
    signature: bytes
    signing_input: bytes


def parse(data: bytes) -> Token:
    """Parse a license file.

    Args:
        data: the file as received; one UTF-8 BOM and white space around the token are dropped.

    Raises:
        LicenseError: (`malformed`) when the file or its header breaks FORMAT §1, or the signature
            is not 64 bytes. The hint names what the file looks like, where that is clear.
    """
    data = bytes(data[: MAX_FILE_BYTES + 1])  # from any kind of buffer
    try:
        return _parse_file(data)
    except LicenseError as error:
        error.hint = hints.hint(data, _is_token)
        raise


def signing_input(kid: str, payload: bytes, *, typ: str = TYPE) -> bytes:
    """Return the bytes to sign for a payload with the key `kid` (RFC 7515 §5.1)."""
    header = f'{{"alg":"{ALGORITHM}","kid":"{kid}","typ":"{typ}"}}'
    return to_base64url(header.encode()) + b"." + to_base64url(payload)


def assemble(signing_input: bytes, signature: bytes) -> bytes:
    """Return the license file: one line of ASCII and a final newline."""
    return signing_input + b"." + to_base64url(signature) + b"\n"


def parse_token(token: bytes, *, typ: str = TYPE) -> Token:
    """Parse a token of one type, which has neither white space nor a BOM around it.

    Raises:
        LicenseError: (`malformed`) as `parse`, without a hint; the size is not checked.
    """
    segments = token.split(b".")
    if len(segments) != _SEGMENTS or not all(segments):
        raise malformed("the file is not three base64url texts separated by dots")
    try:
        payload, signature = map(from_base64url, segments[1:])
        header = _header(segments[0], typ)
    except ValueError:
        raise malformed("the file is not unpadded, canonical base64url") from None
    if len(signature) != SIGNATURE_BYTES:
        raise malformed(f"the signature has {len(signature)} bytes, not {SIGNATURE_BYTES}")
    return Token(
        kid=header["kid"],
        header=header,
        payload=payload,
        signature=signature,
        signing_input=token[: token.rindex(b".")],
    )


def to_base64url(data: bytes) -> bytes:
    """Encode bytes without padding."""
    return binascii.b2a_base64(data, newline=False).rstrip(b"=").translate(_TO_URL)


def from_base64url(text: bytes) -> bytes:
    """Decode canonical, unpadded base64url.

    Raises:
        ValueError: `text` is not what `to_base64url` returns for any bytes. It has a foreign
            character, padding, white space, an impossible length, or unused low bits that are not
            zero.
    """
    standard = text.translate(_FROM_URL) + b"=" * (-len(text) % 4)
    data = binascii.a2b_base64(standard)
    if binascii.b2a_base64(data, newline=False) != standard:
        raise ValueError("not canonical base64url")
    return data


def loads_object(data: bytes, *, what: str = "the text") -> dict[str, Any]:
    """Parse one JSON object.

    Args:
        data: UTF-8 without BOM, with nothing but JSON white space around the object.
        what: the name of the text, for the message.

    Raises:
        LicenseError: (`malformed`) when `data` breaks FORMAT §1, "JSON".
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


def _parse_file(data: bytes) -> Token:
    if len(data) > MAX_FILE_BYTES:
        raise malformed(f"the file is larger than {MAX_FILE_BYTES} bytes")
    token = data.removeprefix(BOM_UTF8).strip(_SPACE)
    if not token:
        raise malformed("the file is empty")
    return parse_token(token)


@lru_cache(maxsize=16)  # all licenses of one key have the same header
def _header(segment: bytes, typ: str) -> Mapping[str, Any]:
    header = loads_object(from_base64url(segment), what="the header")
    if header.keys() != _HEADER_NAMES:
        raise malformed("the header must have exactly alg, kid and typ")
    if header["alg"] != ALGORITHM:
        raise malformed(f"the header's alg is not {ALGORITHM}")
    if header["typ"] != typ:
        raise malformed(f"the header's typ is not {typ}")
    if not isinstance(header["kid"], str):
        raise malformed("the header's kid is not a string")
    return MappingProxyType(header)


def _is_token(token: bytes) -> bool:
    try:
        parse_token(token)
    except LicenseError:
        return False
    return True


class _Refused(Exception):
    """JSON that FORMAT §1 forbids; the message follows the name of the text."""


def _check_depth(data: bytes) -> None:
    """Refuse deep nesting before the parser recurses into it.

    The quick count also counts brackets in strings, so it may be too high, but never too low.
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
        raise _Refused("has a lone surrogate") from None


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise _Refused("repeats a name")
    return members


def _integer(text: str) -> int:
    # The length is checked first, since int() raises another error for thousands of digits.
    if len(text) > _MAX_DIGITS or not -MAX_INTEGER <= (number := int(text)) <= MAX_INTEGER:
        raise _Refused("has an integer beyond 2^53-1")
    return number


def _no_integer(_text: str) -> NoReturn:
    raise _Refused("has a number that is not a plain integer")


_DECODER: Final = json.JSONDecoder(
    object_pairs_hook=_object,
    parse_int=_integer,
    parse_float=_no_integer,
    parse_constant=_no_integer,
)
