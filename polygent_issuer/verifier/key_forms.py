"""The two forms in which a public key comes, down to the point on P-256 that both carry.

A point is 65 bytes: 4, x, y (SEC 1 §2.3.3, uncompressed). Each form has one spelling here, so
nothing is left to a library's leniency: a PEM is the plain SubjectPublicKeyInfo of a named curve.
Whether the point lies on the curve is for `keys` to ask.
"""

import binascii
import re
from codecs import BOM_UTF8
from collections.abc import Mapping
from typing import Final

from . import base64url
from .errors import InvalidKey, quoted

COORDINATE_BYTES: Final = 32
POINT_BYTES: Final = 1 + 2 * COORDINATE_BYTES

# RFC 5480 §2: id-ecPublicKey, prime256v1, then the point as a bit string
_SPKI_PREFIX: Final = bytes.fromhex("3059301306072a8648ce3d020106082a8648ce3d030107034200")
_LINE: Final = 64
_PEM = re.compile(
    rb"\s*-----BEGIN PUBLIC KEY-----\r?\n([A-Za-z0-9+/=\r\n]+)-----END PUBLIC KEY-----\s*"
)
_PLAIN_HINT: Final = "openssl pkey -pubin -in FILE -pubout -ec_conv_form uncompressed writes it so"
_REQUIRED: Final = {"kty": "EC", "crv": "P-256"}
_OPTIONAL: Final = {"use": "sig", "alg": "ES256"}
_OPERATION: Final = "verify"
_PRIVATE_HINT: Final = "give the public half alone, and treat the private one as published"


def point_from_pem(data: bytes) -> bytes:
    """Return the point of one PEM block.

    One UTF-8 BOM and white space around the block are dropped. CRLF is accepted.

    Raises:
        InvalidKey: (`invalid_key`) for a private key, several blocks, another kind of key, or
            another spelling of the same one (compressed point, explicit parameters).
    """
    if b"PRIVATE KEY" in data:
        raise InvalidKey("this is a private key", hint=_PRIVATE_HINT)
    if data.count(b"-----BEGIN") > 1:
        raise InvalidKey("the PEM file holds more than one block")
    block = _PEM.fullmatch(data.removeprefix(BOM_UTF8))
    if block is None:
        raise InvalidKey("this is not one PEM block of a PUBLIC KEY")
    text = block[1].translate(None, b"\r\n")
    try:
        der = binascii.a2b_base64(text)
    except binascii.Error:
        der = b""
    if binascii.b2a_base64(der, newline=False) != text:
        raise InvalidKey("the PEM block is not base64")
    if len(der) != len(_SPKI_PREFIX) + POINT_BYTES or not der.startswith(_SPKI_PREFIX):
        raise InvalidKey("this is not a P-256 public key in its plain form", hint=_PLAIN_HINT)
    return der.removeprefix(_SPKI_PREFIX)


def pem(point: bytes) -> bytes:
    """The PEM file of a point."""
    text = binascii.b2a_base64(_SPKI_PREFIX + point, newline=False)
    lines = [text[at : at + _LINE] for at in range(0, len(text), _LINE)]
    return b"\n".join([b"-----BEGIN PUBLIC KEY-----", *lines, b"-----END PUBLIC KEY-----", b""])


def point_from_jwk(jwk: Mapping[str, object]) -> bytes:
    """The point that a JWK carries (RFC 7518 §6.2); members that are not named here are ignored.

    Raises:
        InvalidKey: (`invalid_key`) for a private key, another kind of key, another use of it, or
            a coordinate that is not 32 bytes in canonical base64url.
    """
    if _is_private(jwk):
        raise InvalidKey("this is a private key", hint=_PRIVATE_HINT)
    for name, value in _REQUIRED.items():
        if jwk.get(name) != value:
            raise InvalidKey(f"the JWK's {name} must be {value}")
    for name, value in _OPTIONAL.items():
        if jwk.get(name, value) != value:
            raise InvalidKey(f"the JWK's {name}, if given, must be {value}")
    if _OPERATION not in _operations(jwk):
        raise InvalidKey(f"the JWK's key_ops, if given, must include {_OPERATION}")
    return b"\4" + _coordinate(jwk, "x") + _coordinate(jwk, "y")


def foreign_purpose(jwk: Mapping[str, object]) -> str | None:
    """Return why a key of a JWK Set is not meant for licenses, or None when it may be.

    Such a key is ignored whatever its other members (RFC 7517 §5): any of `kty`, `crv`, `use` and
    `alg` that is another text shows it, or `key_ops` that lack `verify`. A private key never is
    ignored: someone has published it.

    Raises:
        InvalidKey: (`invalid_key`) when `key_ops` is not an array of strings (RFC 7517 §4.3).
    """
    if _is_private(jwk):
        return None
    for name, value in (_REQUIRED | _OPTIONAL).items():
        given = jwk.get(name)
        if isinstance(given, str) and given != value:
            return f"{name} {quoted(given)}"
    return None if _OPERATION in _operations(jwk) else f"key_ops without {_OPERATION}"


def _is_private(jwk: Mapping[str, object]) -> bool:
    """Whether there is a private part: `d` (RFC 7518 §6), or `priv` of the kty AKP (ML-DSA)."""
    return "d" in jwk or ("priv" in jwk and jwk.get("kty") == "AKP")


def _operations(jwk: Mapping[str, object]) -> list[str]:
    operations = jwk.get("key_ops", [_OPERATION])
    if not isinstance(operations, list) or not all(isinstance(each, str) for each in operations):
        raise InvalidKey("the JWK's key_ops must be an array of strings")
    return operations


def _coordinate(jwk: Mapping[str, object], name: str) -> bytes:
    text = jwk.get(name)
    try:
        data = base64url.decode(text.encode("ascii")) if isinstance(text, str) else b""
    except ValueError:
        data = b""
    if len(data) != COORDINATE_BYTES:
        raise InvalidKey(f"the JWK's {name} must be {COORDINATE_BYTES} bytes in base64url")
    return data
