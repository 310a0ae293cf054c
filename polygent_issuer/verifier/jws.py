"""The license file as bytes: a JWS in compact serialization (RFC 7515 §7.1, FORMAT §1).

`parse` judges the form alone, row 1 of FORMAT §5, and hands out what was received: a signature is
checked over those bytes, never over a second spelling of them.
"""

from codecs import BOM_UTF8
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType
from typing import Any, Final

from . import hints
from .encoding import from_base64url, loads_object, to_base64url
from .errors import LicenseError, malformed

MAX_FILE_BYTES: Final = 16_384
SIGNATURE_BYTES: Final = 64
ALGORITHM: Final = "ES256"
TYPE: Final = "polygent-license+jwt"

_SPACE: Final = b" \t\r\n"
_HEADER_NAMES: Final = {"alg", "kid", "typ"}
_SEGMENTS: Final = 3


@dataclass(frozen=True, kw_only=True, slots=True)
class Token:
    """A license file of the right form, nothing of it authenticated yet.

    Attributes:
        kid: which key is said to have signed it.
        header: the three parameters.
        payload: the bytes that the second segment spells; not parsed.
        signature: 64 bytes, R then S.
        signing_input: the bytes that were signed, as received.
    """

    kid: str
    header: Mapping[str, Any]
    payload: bytes
    signature: bytes
    signing_input: bytes


def parse(data: bytes) -> Token:
    """The token that a license file holds.

    Args:
        data: the file as received; one UTF-8 BOM and white space around the token are dropped.

    Raises:
        LicenseError: (`malformed`) when the file or its header breaks FORMAT §1 or the signature
            is not 64 bytes; the hint says what the file looks like, where that is clear.
    """
    data = bytes(data[: MAX_FILE_BYTES + 1])  # whatever buffer it came in
    try:
        return _parse_file(data)
    except LicenseError as error:
        error.hint = hints.hint(data, _is_token)
        raise


def signing_input(kid: str, payload: bytes) -> bytes:
    """The bytes to sign for a payload under the key `kid` (RFC 7515 §5.1)."""
    header = f'{{"alg":"{ALGORITHM}","kid":"{kid}","typ":"{TYPE}"}}'
    return to_base64url(header.encode()) + b"." + to_base64url(payload)


def assemble(signing_input: bytes, signature: bytes) -> bytes:
    """The license file: one line of ASCII and a final newline."""
    return signing_input + b"." + to_base64url(signature) + b"\n"


def _parse_file(data: bytes) -> Token:
    if len(data) > MAX_FILE_BYTES:
        raise malformed(f"the file is larger than {MAX_FILE_BYTES} bytes")
    token = data.removeprefix(BOM_UTF8).strip(_SPACE)
    if not token:
        raise malformed("the file is empty")
    return _parse_token(token)


def _parse_token(token: bytes) -> Token:
    segments = token.split(b".")
    if len(segments) != _SEGMENTS or not all(segments):
        raise malformed("the file is not three base64url texts with dots between them")
    try:
        payload, signature = map(from_base64url, segments[1:])
        header = _header(segments[0])
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


@lru_cache(maxsize=16)  # all licenses of one key begin with the same bytes
def _header(segment: bytes) -> Mapping[str, Any]:
    header = loads_object(from_base64url(segment), what="the header")
    if header.keys() != _HEADER_NAMES:
        raise malformed("the header must hold alg, kid and typ, and nothing else")
    if header["alg"] != ALGORITHM:
        raise malformed(f"the header's alg is not {ALGORITHM}")
    if header["typ"] != TYPE:
        raise malformed(f"the header's typ is not {TYPE}")
    if not isinstance(header["kid"], str):
        raise malformed("the header's kid is not a string")
    return MappingProxyType(header)


def _is_token(token: bytes) -> bool:
    try:
        _parse_token(token)
    except LicenseError:
        return False
    return True
