"""The parts of vectors: fixed throw-away keys, base claims, files of any form."""

import base64
import hashlib
import json
from dataclasses import dataclass
from typing import Any, Final

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

ORDER: Final = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
ABSENT: Final = object()

NOW: Final = "2026-06-01T12:00:00Z"
IAT: Final = 1_767_225_600  # 2026-01-01T00:00:00Z
EXP: Final = 1_798_761_600  # 2027-01-01T00:00:00Z
JTI: Final = "0b0e7a1c-3f52-4c47-9d0a-5d8c1f3a9c2e"
OTHER_JTI: Final = "7c9e6679-7425-40de-944b-e07fc1f90ae7"
FINGERPRINT: Final = "sha256:" + hashlib.sha256(b"an example machine").hexdigest()


def b64url(data: bytes) -> bytes:
    """Encode base64url without padding, independently of the code under test."""
    return base64.urlsafe_b64encode(data).rstrip(b"=")


def compact(value: object) -> bytes:
    """Write JSON as FORMAT §1 does."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


@dataclass(frozen=True, kw_only=True, slots=True)
class Pair:
    """A throw-away key pair, derived from a published text; it protects nothing."""

    private: ec.EllipticCurvePrivateKey

    @classmethod
    def derived_from(cls, text: str) -> "Pair":
        """Return the pair of a text, the same on every machine."""
        number = int.from_bytes(hashlib.sha256(text.encode()).digest(), "big")
        return cls(private=ec.derive_private_key(number, ec.SECP256R1()))

    @property
    def jwk(self) -> dict[str, str]:
        """The public key, with its RFC 7638 thumbprint as kid."""
        numbers = self.private.public_key().public_numbers()
        x, y = (b64url(n.to_bytes(32, "big")).decode() for n in (numbers.x, numbers.y))
        hashed = compact({"crv": "P-256", "kty": "EC", "x": x, "y": y})
        kid = b64url(hashlib.sha256(hashed).digest()).decode()
        return {
            "kty": "EC", "crv": "P-256", "x": x, "y": y, "kid": kid, "use": "sig", "alg": "ES256",
        }  # fmt: skip

    @property
    def kid(self) -> str:
        """The thumbprint."""
        return self.jwk["kid"]

    def numbers(self, data: bytes) -> tuple[int, int]:
        """R and s of the deterministic signature (RFC 6979)."""
        algorithm = ec.ECDSA(hashes.SHA256(), deterministic_signing=True)
        return decode_dss_signature(self.private.sign(data, algorithm))

    def sign(self, data: bytes) -> bytes:
        """The deterministic signature, 64 bytes."""
        return raw_signature(*self.numbers(data))


EXAMPLE: Final = Pair.derived_from(
    "polygent-issuer: the throw-away example key; never sign a customer's license"
)
SECOND: Final = Pair.derived_from("polygent-issuer: a second trusted key of the vectors")
STRANGER: Final = Pair.derived_from("polygent-issuer: a key that the vectors do not trust")

STANDARD: Final[dict[str, Any]] = {
    "ver": 1,
    "iss": "polygent-operator",
    "sub": "example",
    "jti": JTI,
    "iat": IAT,
    "exp": EXP,
    "customer": "Example GmbH",
    "tier": "standard",
    "machineFingerprint": FINGERPRINT,
    "features": ["automations", "planner", "workflows"],
    "limits": {"users": 25, "sessionHosts": 2, "deployHosts": 1},
}
ENTERPRISE: Final[dict[str, Any]] = {
    **{name: value for name, value in STANDARD.items() if name != "machineFingerprint"},
    "tier": "enterprise",
    "allowedDomain": "*.example.internal",
    "features": ["audit-export", "sso-saml", "workflows"],
}


def raw_signature(r: int, s: int) -> bytes:
    """R then S, 32 bytes each."""
    return r.to_bytes(32, "big") + s.to_bytes(32, "big")


def header(**changes: object) -> bytes:
    """The header of the example key with these parameters changed, added or ABSENT."""
    parameters = {"alg": "ES256", "kid": EXAMPLE.kid, "typ": "polygent-license+jwt", **changes}
    return compact({name: value for name, value in parameters.items() if value is not ABSENT})


def payload(base: dict[str, Any] = STANDARD, **changes: object) -> bytes:
    """The base claims with these changed, added or ABSENT."""
    claims = {**base, **changes}
    return compact({name: value for name, value in claims.items() if value is not ABSENT})


def with_ignored(text: str | bytes) -> bytes:
    """The base claims and an ignored one, whose value is this JSON text."""
    value = text.encode() if isinstance(text, str) else text
    return payload()[:-1] + b',"x":' + value + b"}"


def seal(signing_input: bytes, pair: Pair = EXAMPLE) -> bytes:
    """A signed token of exactly these bytes, whatever the encoding of header and payload."""
    return signing_input + b"." + b64url(pair.sign(signing_input))


def token(payload: bytes, head: bytes | None = None, pair: Pair = EXAMPLE) -> bytes:
    """A signed token of any header and any payload, without a newline."""
    return seal(b64url(header() if head is None else head) + b"." + b64url(payload), pair)


def file(payload: bytes, head: bytes | None = None, pair: Pair = EXAMPLE) -> bytes:
    """The same as a file, with its final newline."""
    return token(payload, head, pair) + b"\n"


def with_signature(signature: bytes, head: bytes | None = None) -> bytes:
    """The base file with these bytes as its signature."""
    signed = token(payload(), head).rpartition(b".")[0]
    return signed + b"." + b64url(signature) + b"\n"
