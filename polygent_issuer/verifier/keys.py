"""Public keys and sets of them, read from PEM and JWK."""

import binascii
import hashlib
import json
import re
from codecs import BOM_UTF8
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any, Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from .errors import InvalidKey, LicenseError, quoted
from .jws import SIGNATURE_BYTES, from_base64url, loads_object, to_base64url

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
_EXPORT_HINT: Final = "the command key export-public writes one"
_ONE_HINT: Final = "write each public key to a file of its own"
_PRIVATE_HINT: Final = "give only the public key, and treat the private key as published"


EXAMPLE_KID: Final = "xOflBwxJ7cMYFPZ-Ds2wAkuPUGFkCDjUEQsHLFowaHQ"
"""The kid of the published key pair in `keys.example/`, whose signature proves nothing."""

FIELD_PRIME: Final = 2**256 - 2**224 + 2**192 + 2**96 - 1
GROUP_ORDER: Final = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
"""p and n of P-256 (FIPS 186-5, SP 800-186 §3.2.1.3)."""

_FEW: Final = 3
_JWK_HINT: Final = "a key for licenses has kty EC and crv P-256; use is sig, alg ES256, if given"
_ES256: Final = ec.ECDSA(hashes.SHA256())


@dataclass(frozen=True, repr=False)
class Key:
    """A public key; two are equal if their points, and so their thumbprints, are equal.

    Use `from_pem`, `from_jwk` or `from_public_key` to make one.

    Attributes:
        point: 65 bytes, uncompressed (SEC 1 §2.3.3).

    Raises:
        InvalidKey: (`invalid_key`) if the point is not on P-256.
    """

    point: bytes

    def __post_init__(self) -> None:
        """Refuse a point that is not on the curve."""
        _ = self._public

    def __repr__(self) -> str:
        """Name the key by its thumbprint."""
        return f"Key(kid={self.kid!r})"

    @property
    def x(self) -> str:
        """Return the coordinate for a JWK: 32 bytes in base64url."""
        return to_base64url(self.point[1:33]).decode()

    @property
    def y(self) -> str:
        """Return the coordinate for a JWK: 32 bytes in base64url."""
        return to_base64url(self.point[33:]).decode()

    @cached_property
    def kid(self) -> str:
        """Return the RFC 7638 thumbprint, by which a license names its key."""
        hashed = f'{{"crv":"P-256","kty":"EC","x":"{self.x}","y":"{self.y}"}}'
        return to_base64url(hashlib.sha256(hashed.encode()).digest()).decode()

    @cached_property
    def _public(self) -> ec.EllipticCurvePublicKey:
        return _on_curve(self.point)

    @classmethod
    def from_pem(cls, data: bytes, *, allow_example: bool = False) -> "Key":
        """Read the key of a PEM file (SubjectPublicKeyInfo), as `key export-public` writes it.

        One UTF-8 BOM and white space around the block are dropped. CRLF is accepted.

        Raises:
            InvalidKey: (`invalid_key`) for a private key, several blocks, another kind of key,
                another encoding of a P-256 key (compressed point, explicit parameters), or the
                example key if that is not allowed.
        """
        if b"PRIVATE KEY" in data:
            raise InvalidKey("this is a private key", hint=_PRIVATE_HINT)
        if data.count(b"-----BEGIN") > 1:
            raise InvalidKey("the PEM file has more than one block", hint=_ONE_HINT)
        block = _PEM.fullmatch(data.removeprefix(BOM_UTF8))
        if block is None:
            raise InvalidKey("this is not a PEM block of a PUBLIC KEY", hint=_EXPORT_HINT)
        text = block[1].translate(None, b"\r\n")
        try:
            der = binascii.a2b_base64(text)
        except binascii.Error:
            der = b""
        if binascii.b2a_base64(der, newline=False) != text:
            raise InvalidKey("the PEM block is not base64")
        if len(der) != len(_SPKI_PREFIX) + POINT_BYTES or not der.startswith(_SPKI_PREFIX):
            raise InvalidKey("this is not a P-256 public key in its plain form", hint=_PLAIN_HINT)
        return _allowed(cls(der.removeprefix(_SPKI_PREFIX)), allow_example=allow_example)

    @classmethod
    def from_jwk(cls, jwk: Mapping[str, object], *, allow_example: bool = False) -> "Key":
        """Read the key of a JWK (RFC 7518 §6.2); its `kid`, if it has one, must be the thumbprint.

        Members other than `kty`, `crv`, `x`, `y`, `use`, `alg` and `key_ops` are ignored.

        Raises:
            InvalidKey: (`invalid_key`) for a private key, another kind of key, another use of it, a
                coordinate that is not 32 bytes in canonical base64url, or the example key if that
                is not allowed.
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
        key = cls(b"\4" + _coordinate(jwk, "x") + _coordinate(jwk, "y"))
        if jwk.get("kid", key.kid) != key.kid:
            raise InvalidKey(f"the JWK's kid is not its thumbprint, {key.kid}")
        return _allowed(key, allow_example=allow_example)

    @classmethod
    def from_public_key(cls, public_key: object) -> "Key":
        """Convert a key of `cryptography`.

        Raises:
            InvalidKey: (`invalid_key`) if it is not an `ec.EllipticCurvePublicKey` on P-256.
        """
        if not isinstance(public_key, ec.EllipticCurvePublicKey):
            raise InvalidKey("this is not a public key of an elliptic curve")
        if not isinstance(public_key.curve, ec.SECP256R1):
            raise InvalidKey(f"the key is on {public_key.curve.name}, not on P-256")
        numbers = public_key.public_numbers()
        return cls(b"\4" + numbers.x.to_bytes(32, "big") + numbers.y.to_bytes(32, "big"))

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle and copy as the point, which is checked again."""
        return type(self), (self.point,)

    def verifies(self, signature: bytes, data: bytes) -> bool:
        """Verify a signature (64 bytes, R then S) with ES256 over `data`.

        Both numbers must be 1 ... n-1. A high s is accepted (RFC 7518 §3.4 allows it).
        """
        r = int.from_bytes(signature[:32], "big")
        s = int.from_bytes(signature[32:], "big")
        if len(signature) != SIGNATURE_BYTES:
            return False
        if not (0 < r < GROUP_ORDER and 0 < s < GROUP_ORDER):
            return False
        try:
            self._public.verify(encode_dss_signature(r, s), data, _ES256)
        except InvalidSignature:
            return False
        return True

    def to_pem(self) -> bytes:
        """Return the SubjectPublicKeyInfo in PEM."""
        text = binascii.b2a_base64(_SPKI_PREFIX + self.point, newline=False)
        lines = [text[at : at + _LINE] for at in range(0, len(text), _LINE)]
        return b"\n".join([b"-----BEGIN PUBLIC KEY-----", *lines, b"-----END PUBLIC KEY-----", b""])

    def to_jwk(self) -> dict[str, str]:
        """Return the JWK with its thumbprint as `kid`."""
        return {
            "kty": "EC",
            "crv": "P-256",
            "x": self.x,
            "y": self.y,
            "kid": self.kid,
            "use": "sig",
            "alg": "ES256",
        }


class KeySet:
    """The public keys that a server trusts, chosen by `kid`.

    The example key is refused unless it is allowed. A key that is given twice counts once. A set
    may be empty.
    """

    __slots__ = ("_keys",)

    def __init__(self, *keys: Key, allow_example: bool = False) -> None:
        """Make the set of these keys, as `of`."""
        self._keys = {_allowed(key, allow_example=allow_example).kid: key for key in keys}

    @classmethod
    def of(cls, *keys: Key, allow_example: bool = False) -> "KeySet":
        """Make the set of these keys.

        Raises:
            InvalidKey: (`invalid_key`) if one is the example key and that is not allowed.
        """
        return cls(*keys, allow_example=allow_example)

    @classmethod
    def from_pem(cls, *pems: bytes, allow_example: bool = False) -> "KeySet":
        """Read PEM files with one key each.

        Raises:
            InvalidKey: (`invalid_key`) if one is not a P-256 public key.
        """
        return cls(
            *(Key.from_pem(pem, allow_example=allow_example) for pem in pems),
            allow_example=allow_example,
        )

    @classmethod
    def from_jwks(cls, data: bytes, *, allow_example: bool = False) -> "KeySet":
        """Read a JWK Set (RFC 7517 §5).

        Keys of another kind, and keys for another purpose, are ignored: those with another `kty`,
        `crv`, `use` or `alg`, or with `key_ops` that lack `verify`. One UTF-8 BOM is dropped.

        Raises:
            InvalidKey: (`invalid_key`) if it is not strict JSON (FORMAT §1), if one of its keys is
                a private key, a broken P-256 key or in it twice, or if all its keys are ignored.
        """
        try:
            jwks = loads_object(data.removeprefix(BOM_UTF8), what="the JWK Set").get("keys")
        except LicenseError as error:
            raise InvalidKey(error.message) from None
        if not isinstance(jwks, list) or not all(isinstance(jwk, dict) for jwk in jwks):
            raise InvalidKey("a JWK Set is an object whose 'keys' is an array of objects")
        purposes = [_foreign_purpose(jwk) for jwk in jwks]
        if jwks and all(purposes):
            reasons = "; ".join(_first_few(purposes))
            raise InvalidKey(f"no key of the JWK Set verifies licenses: {reasons}", hint=_JWK_HINT)
        keys = [
            Key.from_jwk(jwk, allow_example=allow_example)
            for jwk, foreign in zip(jwks, purposes, strict=True)
            if not foreign
        ]
        if len({key.kid for key in keys}) != len(keys):
            raise InvalidKey("the JWK Set has the same key twice")
        return cls.of(*keys, allow_example=allow_example)

    def get(self, kid: str) -> Key | None:
        """Return the key with this thumbprint, or None."""
        return self._keys.get(kid)

    def to_jwks(self) -> bytes:
        """Return the JWK Set, for a server to trust."""
        jwks: dict[str, Any] = {"keys": [key.to_jwk() for key in self]}
        return json.dumps(jwks, indent=2).encode() + b"\n"

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle and copy as the keys, which are checked again."""
        made = partial(type(self), allow_example=EXAMPLE_KID in self._keys)
        return made, tuple(self)

    def __iter__(self) -> Iterator[Key]:
        """Iterate over the keys in the order in which they were given."""
        return iter(self._keys.values())

    def __len__(self) -> int:
        """Return the number of keys."""
        return len(self._keys)


def _foreign_purpose(jwk: Mapping[str, object]) -> str | None:
    """Return why a key of a JWK Set is not meant for licenses, or None when it may be.

    Such a key is ignored whatever its other members are (RFC 7517 §5). It has another text in one
    of `kty`, `crv`, `use` and `alg`, or its `key_ops` lack `verify`. A private key is never
    ignored, since someone has published it.

    Raises:
        InvalidKey: (`invalid_key`) when `key_ops` is not an array of strings (RFC 7517 §4.3).
    """
    if _is_private(jwk):
        return None
    for name, value in (_REQUIRED | _OPTIONAL).items():
        member = jwk.get(name)
        if isinstance(member, str) and member != value:
            return f"{name} {quoted(member)}"
    return None if _OPERATION in _operations(jwk) else f"key_ops without {_OPERATION}"


def _is_private(jwk: Mapping[str, object]) -> bool:
    """Check for a private key: `d` (RFC 7518 §6), or `priv` of the kty AKP (ML-DSA)."""
    return "d" in jwk or ("priv" in jwk and jwk.get("kty") == "AKP")


def _operations(jwk: Mapping[str, object]) -> list[str]:
    operations = jwk.get("key_ops", [_OPERATION])
    if not isinstance(operations, list) or not all(isinstance(each, str) for each in operations):
        raise InvalidKey("the JWK's key_ops must be an array of strings")
    return operations


def _coordinate(jwk: Mapping[str, object], name: str) -> bytes:
    text = jwk.get(name)
    try:
        data = from_base64url(text.encode("ascii")) if isinstance(text, str) else b""
    except ValueError:
        data = b""
    if len(data) != COORDINATE_BYTES:
        raise InvalidKey(f"the JWK's {name} must be {COORDINATE_BYTES} bytes in base64url")
    return data


def _first_few(purposes: list[str | None]) -> list[str]:
    """Return at most three different purposes in their order, then the number of the rest."""
    different = [each for each in dict.fromkeys(purposes) if each]
    more = len(different) - _FEW
    return [*different[:_FEW], f"and {more} more"] if more > 0 else different


def _on_curve(point: bytes) -> ec.EllipticCurvePublicKey:
    x, y = int.from_bytes(point[1:33], "big"), int.from_bytes(point[33:], "big")
    if len(point) != POINT_BYTES or point[0] != 4 or max(x, y) >= FIELD_PRIME:  # noqa: PLR2004 - SEC 1's tag
        raise InvalidKey("a coordinate of the key is not below p")
    try:
        return ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), point)
    except ValueError:
        raise InvalidKey("the key's point is not on P-256") from None


def _allowed(key: Key, *, allow_example: bool) -> Key:
    if key.kid == EXAMPLE_KID and not allow_example:
        raise InvalidKey(
            f"this is the published example key, {quoted(key.kid)}: anyone can sign with it",
            hint="use your own key; for a trial, allow_example=True",
        )
    return key
