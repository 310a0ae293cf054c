"""Vectors for public keys, and for the clock guard."""

import base64
import json
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from vectors.signing import EXAMPLE, SECOND, b64url

_PRIME: Final = 2**256 - 2**224 + 2**192 + 2**96 - 1
_BOM: Final = b"\xef\xbb\xbf"
_SPKI: Final = bytes.fromhex("3059301306072a8648ce3d020106082a8648ce3d030107034200")


def spki_pem(key: ec.EllipticCurvePublicKey | None = None) -> bytes:
    """SubjectPublicKeyInfo as cryptography writes it; that of the example by default."""
    key = key or EXAMPLE.private.public_key()
    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def private_pem(form: PrivateFormat = PrivateFormat.PKCS8) -> bytes:
    """The example's private key."""
    return EXAMPLE.private.private_bytes(Encoding.PEM, form, NoEncryption())


def _pem(der: bytes) -> bytes:
    return b"-----BEGIN PUBLIC KEY-----\n%b-----END PUBLIC KEY-----\n" % base64.encodebytes(der)


def pems() -> list[tuple[str, bytes, str]]:
    """Name, PEM file and expected result of each vector."""
    plain = spki_pem()
    point = EXAMPLE.private.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    x, y = point[1:33], point[33:]
    one_more = (int.from_bytes(y, "big") + 1).to_bytes(32, "big")
    beyond = _point_beyond_p()
    compressed = EXAMPLE.private.public_key().public_bytes(
        Encoding.X962, PublicFormat.CompressedPoint
    )
    short = bytes.fromhex("3039301306072a8648ce3d020106082a8648ce3d030107032200")
    other_curve = ec.derive_private_key(5, ec.SECP256K1()).public_key()
    longer_curve = ec.derive_private_key(5, ec.SECP384R1()).public_key()
    refused = {
        "empty": b"",
        "two blocks": plain + plain,
        "two keys": plain + spki_pem(SECOND.private.public_key()),
        "private key": private_pem(),
        "private key, SEC 1": private_pem(PrivateFormat.TraditionalOpenSSL),
        "private key, OpenSSH": private_pem().replace(b" PRIVATE", b" OPENSSH PRIVATE"),
        "private key behind the public one": plain + private_pem(),
        "text before": b"comment\n" + plain,
        "text behind": plain + b"comment\n",
        "two BOMs": _BOM + _BOM + plain,
        "BOM within": plain.replace(b"\n", b"\n" + _BOM, 1),
        "UTF-16 with BOM": plain.decode().encode("utf-16"),
        "cut off": plain[:-10],
        "DER": _SPKI + point,
        "another label": plain.replace(b"PUBLIC", b"EC PUBLIC"),
        "certificate": plain.replace(b"PUBLIC KEY", b"CERTIFICATE"),
        "not base64": plain.replace(b"M", b"=", 1),
        "padding missing": plain.replace(b"==", b""),
        "secp256k1": spki_pem(other_curve),
        "P-384": spki_pem(longer_curve),
        "compressed point": _pem(short + compressed),
        "unused bits of base64 set": _with_low_bits(plain),
        "another curve's name": _pem(_SPKI.replace(b"\x03\x01\x07", b"\x03\x01\x06") + point),
        "byte behind": _pem(_SPKI + point + b"\0"),
        "point at infinity": _pem(_SPKI[:-2] + b"\2\0\0"),
        "hybrid point": _pem(_SPKI + bytes([6 + y[-1] % 2]) + x + y),
        "all zero": _pem(_SPKI + b"\4" + bytes(64)),
        "not on the curve": _pem(_SPKI + b"\4" + x + one_more),
        "coordinate beyond p": _pem(_SPKI + b"\4" + beyond),
    }
    accepted = {
        "plain": plain,
        "BOM": _BOM + plain,
        "BOM and CRLF": _BOM + plain.replace(b"\n", b"\r\n"),
        "CRLF": plain.replace(b"\n", b"\r\n"),
        "white space around": b"\n " + plain + b"\n\n",
        "one long line": b"-----BEGIN PUBLIC KEY-----\n%b\n-----END PUBLIC KEY-----"
        % base64.b64encode(_SPKI + point),
    }
    return [
        *((f"PEM: {name}", data, "ok") for name, data in accepted.items()),
        *((f"PEM: {name}", data, "invalid_key") for name, data in refused.items()),
    ]


def _with_low_bits(pem: bytes) -> bytes:
    """The same key, with unused low bits of its last base64 character set."""
    alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    before, _, after = pem.partition(b"==")
    return before[:-1] + alphabet[alphabet.index(before[-1]) + 1 :][:1] + b"==" + after


def _point_beyond_p() -> bytes:
    """A point of the curve with a small x, written as x + p."""
    a, b = -3, 0x5AC635D8AA3A93E7B3EBBD55769886BC651D06B0CC53B0F63BCE3C3E27D2604B
    for x in range(2**32):
        square = (x**3 + a * x + b) % _PRIME
        y = pow(square, (_PRIME + 1) // 4, _PRIME)
        if y * y % _PRIME == square:
            return (x + _PRIME).to_bytes(32, "big") + y.to_bytes(32, "big")
    raise AssertionError


def jwks() -> list[tuple[str, bytes, str]]:
    """Name, JWK Set and expected result of each vector."""
    jwk, second = EXAMPLE.jwk, SECOND.jwk
    number = EXAMPLE.private.private_numbers().private_value
    beyond = _point_beyond_p()
    accepted: dict[str, Any] = {
        "plain": [jwk],
        "two keys": [jwk, second],
        "no keys": [],
        "no kid": [_without("kid")],
        "no use, no alg": [{name: jwk[name] for name in ("kty", "crv", "x", "y")}],
        "unknown members": [{**jwk, "key_ops": ["verify"], "x5u": None}],
        "key_ops sign and verify": [{**jwk, "key_ops": ["sign", "verify"]}],
        "one good, one bad": [jwk, {**second, "crv": "P-521"}],
        "one good, foreign kty": [jwk, {"kty": "AKP", "alg": "ML-DSA-44", "pub": "AAAA"}],
        "one good, kty RSA": [{"kty": "RSA", "n": "AQAB", "e": "AQAB", "kid": "tls"}, jwk],
        "one good, kty OKP": [jwk, {"kty": "OKP", "crv": "Ed25519", "x": jwk["x"]}],
        "one good, kty of another case": [jwk, {**second, "kty": "ec"}],
        "one good, foreign kty with broken members": [jwk, {"kty": "RSA", "crv": 1, "use": None}],
        "one good, kty a number, foreign crv": [jwk, {**second, "kty": 1, "crv": "P-521"}],
        "one good, kty absent, foreign alg": [jwk, {"alg": "HS256"}],
        "one good, use null, foreign alg": [jwk, {**second, "use": None, "alg": "ES384"}],
        "one good, use null, key_ops empty": [jwk, {**second, "use": None, "key_ops": []}],
        "one good, unknown member priv": [jwk, {**second, "priv": "AAAA"}],
        "one good, foreign crv": [jwk, {**second, "crv": "secp256k1", "x": 1}],
        "one good, foreign use": [jwk, {**second, "use": "enc"}],
        "one good, foreign alg": [jwk, {**second, "alg": "ECDH-ES"}],
        "one good, key_ops without verify": [jwk, {**second, "key_ops": ["deriveBits"]}],
        "one good, key_ops empty": [jwk, {**second, "key_ops": []}],
        "one good, the same one for encryption": [jwk, {**jwk, "use": "enc"}],
    }
    private = {**second, "d": b64url(bytes(31) + b"\1").decode()}
    refused: dict[str, Any] = {
        "the same key twice": [jwk, jwk],
        "the same key twice, once without kid": [jwk, _without("kid")],
        "kid of another": [{**jwk, "kid": second["kid"]}],
        "kid a name": [{**jwk, "kid": "2026"}],
        "kid null": [{**jwk, "kid": None}],
        "private member": [{**jwk, "d": b64url(number.to_bytes(32, "big")).decode()}],
        "private member null": [{**jwk, "d": None}],
        "use enc": [{**jwk, "use": "enc"}],
        "use null": [{**jwk, "use": None}],
        "alg ES384": [{**jwk, "alg": "ES384"}],
        "kty RSA": [{**jwk, "kty": "RSA"}],
        "kty absent": [_without("kty")],
        "crv P-384": [{**jwk, "crv": "P-384"}],
        "crv absent": [_without("crv")],
        "x absent": [_without("x")],
        "y absent": [_without("y")],
        "x a number": [{**jwk, "x": 1}],
        "x padded": [{**jwk, "x": jwk["x"] + "="}],
        "x not ASCII": [{**jwk, "x": "\u00e4" * 43}],
        "x of 31 bytes": [{**jwk, "x": b64url(bytes(31)).decode()}],
        "x of 33 bytes": [{**jwk, "x": b64url(b"\0" + _bytes(jwk["x"])).decode()}],
        "x beyond p": [
            {
                **_without("kid"),
                "x": b64url(beyond[:32]).decode(),
                "y": b64url(beyond[32:]).decode(),
            }
        ],
        "not on the curve": [{**_without("kid"), "y": jwk["x"]}],
        "every key foreign": [{**jwk, "kty": "RSA"}, {**second, "use": "enc"}],
        "key_ops without verify": [{**jwk, "key_ops": ["sign"]}],
        "one good, one off the curve": [jwk, {**second, "y": second["x"]}],
        "one good, one without y": [jwk, {n: second[n] for n in ("kty", "crv", "x")}],
        "one good, one with the kid of another": [jwk, {**second, "kid": jwk["kid"]}],
        "one good, kty absent": [jwk, {"crv": "P-256"}],
        "one good, kty a number": [jwk, {**second, "kty": 1}],
        "one good, kty null": [jwk, {**second, "kty": None}],
        "one good, crv absent": [jwk, {"kty": "EC"}],
        "one good, crv an array": [jwk, {**second, "crv": ["P-521"]}],
        "one good, use null": [jwk, {**second, "use": None}],
        "one good, alg a number": [jwk, {**second, "alg": 384}],
        "one good, key_ops a text": [jwk, {**second, "key_ops": "verify"}],
        "one good, key_ops of numbers": [jwk, {**second, "key_ops": [1]}],
        "one good, key_ops null": [jwk, {**second, "key_ops": None}],
        "one good, one private": [jwk, private],
        "one good, one private for encryption": [jwk, {**private, "use": "enc"}],
        "one good, one private RSA": [jwk, {"kty": "RSA", "n": "AQAB", "e": "AQAB", "d": "AQAB"}],
        "one good, one private AKP": [
            jwk,
            {"kty": "AKP", "alg": "ML-DSA-44", "pub": "AAAA", "priv": "AAAA"},
        ],
        "one good, one not an object": [jwk, None],
        "not an object": [1],
        "an object": jwk,
    }
    texts: dict[str, bytes] = {
        "a JWK alone": json.dumps(jwk).encode(),
        "an array": json.dumps([jwk]).encode(),
        "keys absent": b"{}",
        "a name repeated": json.dumps({"keys": [jwk]}).encode()[:-1] + b',"keys":[]}',
        "not JSON": b"{",
        "empty": b"",
    }
    return [
        *((f"JWKS: {name}", _set(keys), "ok") for name, keys in accepted.items()),
        ("JWKS: BOM", _BOM + _set([jwk]), "ok"),
        ("JWKS: two BOMs", _BOM + _BOM + _set([jwk]), "invalid_key"),
        *((f"JWKS: {name}", _set(keys), "invalid_key") for name, keys in refused.items()),
        *((f"JWKS: {name}", data, "invalid_key") for name, data in texts.items()),
    ]


def _without(name: str) -> dict[str, str]:
    return {key: value for key, value in EXAMPLE.jwk.items() if key != name}


def _bytes(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=")


def _set(keys: object) -> bytes:
    return json.dumps({"keys": keys}).encode()


_T = "2026-06-01T12:00:00Z"
CLOCKS: Final[list[tuple[str, tuple[str | None, bool], str, tuple[str | None, bool]]]] = [
    ("first observation", (None, False), _T, (_T, False)),
    ("runs on", (_T, False), "2026-06-01T12:00:00.000001Z", ("2026-06-01T12:00:00.000001Z", False)),
    ("same instant", (_T, False), _T, (_T, False)),
    ("a little back", (_T, False), "2026-06-01T11:00:00Z", (_T, False)),
    ("a day back", (_T, False), "2026-05-31T12:00:00Z", (_T, False)),
    ("a day and 1 µs back", (_T, False), "2026-05-31T11:59:59.999999Z", (_T, True)),
    ("tampered, further back", (_T, True), "2020-01-01T00:00:00Z", (_T, True)),
    ("tampered, back within a day", (_T, True), "2026-06-01T11:00:00Z", (_T, True)),
    ("tampered, at the last time seen", (_T, True), _T, (_T, True)),
    ("tampered, past it", (_T, True), "2026-06-01T12:00:01Z", ("2026-06-01T12:00:01Z", False)),
    ("tampered, nothing seen", (None, True), _T, (None, True)),
]


def documents() -> dict[str, dict[str, Any]]:
    """Return both documents by the names of their files."""
    return {
        "keys.json": {
            "pem": [_key(*entry) for entry in pems()],
            "jwks": [_key(*entry) for entry in jwks()],
        },
        "clocks.json": {
            "clocks": [
                {"name": name, "guard": _guard(*before), "now": now, "then": _guard(*after)}
                for name, before, now, after in CLOCKS
            ]
        },
    }


def _key(name: str, data: bytes, expected: str) -> dict[str, str]:
    return {"name": name, "data": base64.b64encode(data).decode(), "expected": expected}


def _guard(last_seen: str | None, tampered: bool) -> dict[str, Any]:  # noqa: FBT001 - a table's column
    return {"lastSeen": last_seen, "tampered": tampered}
