"""Vectors for seals: tokens that state the head of a journal."""

import base64
import hashlib
from typing import Any, Final

from vectors.signing import (
    ABSENT,
    EXAMPLE,
    IAT,
    SECOND,
    STRANGER,
    b64url,
    compact,
    header,
    payload,
    seal,
    token,
)

_REGISTRY: Final = "5f0c6f0e-7b8d-4b7e-9a37-0d0c3f1d2b11"
_ROWS: Final = tuple(
    compact({"event": event, "seq": seq, "rows": {}})
    for seq, event in enumerate(("registry-created", "key-generated", "license-signed"), 1)
)
_TYPE: Final = "polygent-journal-seal+jwt"


def _heads() -> list[str]:
    heads, head = [], bytes(32)
    for row in _ROWS:
        head = hashlib.sha256(head + row).digest()
        heads.append(head.hex())
    return heads


_CLAIMS: Final[dict[str, Any]] = {
    "ver": 1,
    "iat": IAT,
    "registry": _REGISTRY,
    "seq": 3,
    "head": _heads()[2],
}


def _token(claims: bytes | None = None, *, pair: Any = EXAMPLE, **changes: object) -> bytes:
    head = header(**{"typ": _TYPE, "kid": pair.kid, **changes})
    return token(payload(_CLAIMS) if claims is None else claims, head, pair)


def _claims(**changes: object) -> bytes:
    return _token(payload(_CLAIMS, **changes))


def _without_signature(signature: bytes) -> bytes:
    return _token().rpartition(b".")[0] + b"." + b64url(signature)


def documents() -> dict[str, Any]:
    """The document `seals.json`."""
    heads = _heads()
    valid = {
        "the last row": _token(),
        "an earlier row": _claims(seq=1, head=heads[0]),
        "another key of the registry": _token(pair=SECOND),
        "a name that is not listed": _claims(more=[1]),
        "the last second of the year 9999": _claims(iat=253_402_300_799),
    }
    invalid = {
        "the type of a license": _token(typ="polygent-license+jwt"),
        "a license": token(payload()),
        "no type": _token(typ=ABSENT),
        "a further parameter": _token(crit=[]),
        "another algorithm": _token(alg="none"),
        "a key that the registry lacks": _token(pair=STRANGER),
        "signed with another key than it names": _token(pair=STRANGER, kid=EXAMPLE.kid),
        "a signature of zeros": _without_signature(bytes(64)),
        "a signature of 63 bytes": _without_signature(bytes(63)),
        "a newline at its end": _token() + b"\n",
        "padding": _token() + b"==",
        "two segments": _token().rpartition(b".")[0],
        "no text": b"",
        "a payload that is not JSON": _token(b"{"),
        "a repeated name": seal(
            b64url(header(typ=_TYPE)) + b"." + b64url(payload(_CLAIMS)[:-1] + b',"seq":3}')
        ),
        "another version": _claims(ver=2),
        "a version that is true": _claims(ver=True),
        "no version": _claims(ver=ABSENT),
        "no instant": _claims(iat=ABSENT),
        "an instant of zero": _claims(iat=0),
        "an instant after the year 9999": _claims(iat=253_402_300_800),
        "an instant as text": _claims(iat="2026-01-01T00:00:00Z"),
        "another registry": _claims(registry=_REGISTRY.replace("5", "6")),
        "no registry": _claims(registry=None),
        "row 0": _claims(seq=0, head=bytes(32).hex()),
        "a row that the journal lacks": _claims(seq=4),
        "the hash of another row": _claims(seq=2),
        "a row as text": _claims(seq="3"),
        "a row that is true": _claims(seq=True, head=heads[0]),
        "no row": _claims(seq=ABSENT),
        "another hash": _claims(head=hashlib.sha256(b"").hexdigest()),
        "a hash in upper case": _claims(head=heads[2].upper()),
        "half a hash": _claims(head=heads[2][:32]),
        "a hash with white space": _claims(head=f"{heads[2][:63]} "),
        "no hash": _claims(head=ABSENT),
    }
    return {
        "seals.json": {
            "keys": [EXAMPLE.jwk, SECOND.jwk],
            "registry": _REGISTRY,
            "rows": [base64.b64encode(row).decode() for row in _ROWS],
            "vectors": [
                {"name": name, "seal": text.decode(), "expected": expected}
                for expected, cases in (("ok", valid), ("invalid", invalid))
                for name, text in cases.items()
            ],
        }
    }
