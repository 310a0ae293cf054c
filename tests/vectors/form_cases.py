"""Vectors for the file, its header and its signature (FORMAT §1; §5 rows 1 to 3)."""

import base64
import json

from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from vectors.case import Case, cases
from vectors.signing import (
    ABSENT,
    EXAMPLE,
    ORDER,
    SECOND,
    STRANGER,
    b64url,
    file,
    header,
    payload,
    raw_signature,
    seal,
    token,
    with_signature,
)

_BOM = b"\xef\xbb\xbf"
_LIMIT = 16_384


def every() -> list[Case]:
    """All these vectors."""
    return [*_files(), *_encoding(), *_headers(), *_kids(), *_signatures()]


def _files() -> list[Case]:
    plain = token(payload())
    half = len(plain) // 2
    return [
        *cases(
            "ok",
            {
                "file: one line": plain + b"\n",
                "file: no final newline": plain,
                "file: CRLF": plain + b"\r\n",
                "file: white space around": b" \t\r\n" + plain + b"\n\r\t ",
                "file: BOM": _BOM + plain + b"\n",
                "file: BOM, then white space": _BOM + b" \n" + plain,
                "file: 16384 bytes": plain.ljust(_LIMIT, b"\n"),
            },
        ),
        *cases(
            "malformed",
            {
                "file: 16385 bytes": plain.ljust(_LIMIT + 1, b"\n"),
                "file: empty": b"",
                "file: white space alone": b" \t\r\n",
                "file: BOM alone": _BOM,
                "file: two BOMs": _BOM + _BOM + plain,
                "file: BOM after white space": b"\n" + _BOM + plain,
                "file: BOM at the end": plain + _BOM,
                "file: NUL at the end": plain + b"\0",
                "file: vertical tab at the end": plain + b"\v",
                "file: form feed at the end": plain + b"\f",
                "file: U+0085 at the end": plain + "\u0085".encode(),
                "file: no-break space before": "\u00a0".encode() + plain,
                "file: re-wrapped": plain[:half] + b"\r\n" + plain[half:] + b"\r\n",
                "file: space within": plain[:half] + b" " + plain[half:],
                "file: space before a dot": plain.replace(b".", b" .", 1),
                "file: UTF-16 LE with BOM": (plain + b"\r\n").decode().encode("utf-16"),
                "file: UTF-16 BE with BOM": b"\xfe\xff" + plain.decode().encode("utf-16-be"),
                "file: UTF-16 LE without BOM": plain.decode().encode("utf-16-le"),
                "file: two tokens": plain + b"\n" + plain + b"\n",
                "file: JSON serialization": json.dumps(
                    dict(zip(("protected", "payload", "signature"), _texts(plain), strict=True))
                ).encode(),
            },
        ),
    ]


def _texts(plain: bytes) -> list[str]:
    return plain.decode().split(".")


def _encoding() -> list[Case]:
    """Files with a wrong encoding, whose signature is right for that encoding."""
    plain = token(payload())
    head, body, signature = plain.split(b".")
    question = payload(customer="???>>>")  # its base64 has a slash and a plus
    standard = base64.b64encode(question).rstrip(b"=")
    assert b"+" in standard
    assert b"/" in standard
    return cases(
        "malformed",
        {
            "base64url: signature padded": plain + b"==",
            "base64url: header padded": seal(_padded(header()) + b"." + body),
            "base64url: payload padded": seal(head + b"." + _padded(payload())),
            "base64url: alphabet of base64": seal(head + b"." + standard),
            "base64url: percent": plain[:-1] + b"%",
            "base64url: not ASCII": plain[:-1] + b"\xff",
            "base64url: header not canonical": seal(_with_low_bits(header()) + b"." + body),
            "base64url: payload not canonical": seal(head + b"." + _with_low_bits(payload())),
            "base64url: signature not canonical": plain[:-1] + bytes([plain[-1] + 1]),
            "base64url: newline in the payload": seal(head + b"." + body[:9] + b"\n" + body[9:]),
            "base64url: foreign character": seal(head + b"." + body[:9] + b"~" + body[9:]),
            "base64url: impossible length": seal(head + b"." + body[: len(body) // 4 * 4] + b"A"),
            "segments: one": head,
            "segments: two": head + b"." + body,
            "segments: four": plain + b"." + signature,
            "segments: dot at the end": plain + b".",
            "segments: header empty": seal(b"." + body),
            "segments: payload empty": seal(head + b"."),
            "segments: payload detached": head + b".." + signature,
            "segments: signature empty": head + b"." + body + b".",
        },
    )


def _padded(data: bytes) -> bytes:
    """JSON in base64url, with padding."""
    return base64.urlsafe_b64encode(data if len(data) % 3 else data + b" ")


def _with_low_bits(data: bytes) -> bytes:
    """JSON in base64url, the unused low bits of the last character set."""
    spelled = b64url(data if len(data) % 3 else data + b" ")
    alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    return spelled[:-1] + alphabet[alphabet.index(spelled[-1]) + 1 :][:1]


def _headers() -> list[Case]:
    plain = header().decode()
    kid = f'"kid":"{EXAMPLE.kid}"'
    heads = {
        "header: alg none": header(alg="none"),
        "header: alg in lower case": header(alg="es256"),
        "header: alg ES384": header(alg="ES384"),
        "header: alg HS256": header(alg="HS256"),
        "header: alg an array": header(alg=["ES256"]),
        "header: alg absent": header(alg=ABSENT),
        "header: typ JWT": header(typ="JWT"),
        "header: typ of a journal's seal": header(typ="polygent-journal-seal+jwt"),
        "header: typ in upper case": header(typ="POLYGENT-LICENSE+JWT"),
        "header: typ with application/": header(typ="application/polygent-license+jwt"),
        "header: typ absent": header(typ=ABSENT),
        "header: kid absent": header(kid=ABSENT),
        "header: kid a number": header(kid=1),
        "header: kid null": header(kid=None),
        "header: crit": header(crit=["exp"]),
        "header: jwk": header(jwk=EXAMPLE.jwk),
        "header: jku": header(jku="https://example.internal/jwks.json"),
        "header: x5c": header(x5c=[]),
        "header: b64": header(b64=True),
        "header: zip": header(zip="DEF"),
        "header: cty": header(cty="json"),
        "header: a name repeated": plain.replace(kid, f"{kid},{kid}").encode(),
        "header: a name repeated, escaped": plain.replace(
            kid, f'{kid},"k\\u0069d":"{EXAMPLE.kid}"'
        ).encode(),
        "header: an array": f"[{plain}]".encode(),
        "header: not JSON": plain.encode()[:-1],
        "header: BOM": _BOM + plain.encode(),
        "header: something behind": plain.encode() + b"{}",
        "header: no-break space around": f"\u00a0{plain}".encode(),
        "header: not UTF-8": plain.encode().replace(b"ES256", b"ES\xff256"),
        "header: lone surrogate": plain.replace(EXAMPLE.kid, "\\ud800").encode(),
    }
    return [
        *cases("malformed", {name: file(payload(), head) for name, head in heads.items()}),
        *cases(
            "ok",
            {
                "header: JSON white space": file(payload(), f"\t{plain} \r\n".encode()),
                "header: another order": file(
                    payload(), f'{{"typ":"polygent-license+jwt",{kid},"alg":"ES256"}}'.encode()
                ),
            },
        ),
    ]


def _kids() -> list[Case]:
    stranger = header(kid=STRANGER.kid)
    return [
        *cases("ok", {"key: the second": file(payload(), header(kid=SECOND.kid), SECOND)}),
        *cases(
            "unknown_key",
            {
                "key: unknown": file(payload(), stranger, STRANGER),
                "key: unknown, with a foreign signature": file(payload(), stranger),
                "key: kid empty": file(payload(), header(kid="")),
                "key: kid with a space behind": file(payload(), header(kid=EXAMPLE.kid + " ")),
                "key: kid shortened": file(payload(), header(kid=EXAMPLE.kid[:8])),
                "key: kid in upper case": file(payload(), header(kid=EXAMPLE.kid.upper())),
                "key: unknown, payload not JSON": file(b"{", stranger, STRANGER),
            },
        ),
        *cases(
            "malformed",
            {
                "key: unknown, signature of 63 bytes": with_signature(bytes(63), stranger),
                "key: unknown, signature of 65 bytes": with_signature(bytes(65), stranger),
            },
        ),
    ]


def _signatures() -> list[Case]:
    plain = token(payload())
    signed, _, _ = plain.rpartition(b".")
    r, s = EXAMPLE.numbers(signed)
    flipped = bytearray(raw_signature(r, s))
    flipped[40] ^= 1
    head, _, signature = plain.split(b".")
    other = b64url(payload(exp=253_402_300_799))
    reordered = b64url(header().replace(b'"alg":"ES256",', b"")[:-1] + b',"alg":"ES256"}')
    return [
        *cases("ok", {"signature: high s": with_signature(raw_signature(r, max(s, ORDER - s)))}),
        *cases("ok", {"signature: low s": with_signature(raw_signature(r, min(s, ORDER - s)))}),
        *cases(
            "bad_signature",
            {
                "signature: a bit flipped": with_signature(bytes(flipped)),
                "signature: payload exchanged": b".".join([head, other, signature]) + b"\n",
                "signature: header spelled anew": b".".join(
                    [reordered, plain.split(b".")[1], signature]
                ),
                "signature: by another trusted key": file(payload(), None, SECOND),
                "signature: by a stranger": file(payload(), None, STRANGER),
                "signature: r and s exchanged": with_signature(raw_signature(s, r)),
                "signature: all zero": with_signature(bytes(64)),
                "signature: r is 0": with_signature(raw_signature(0, s)),
                "signature: s is 0": with_signature(raw_signature(r, 0)),
                "signature: r is n": with_signature(raw_signature(ORDER, s)),
                "signature: s is n": with_signature(raw_signature(r, ORDER)),
                "signature: s is n - 1": with_signature(raw_signature(r, ORDER - 1)),
                "signature: all ones": with_signature(b"\xff" * 64),
                "signature: wrong, payload not JSON": file(b"{", None, SECOND),
                "signature: wrong, claims invalid": file(b"{}", None, SECOND),
            },
        ),
        *cases(
            "malformed",
            {
                "signature: 63 bytes": with_signature(raw_signature(r, s)[:63]),
                "signature: 65 bytes": with_signature(raw_signature(r, s) + b"\0"),
                "signature: DER": with_signature(encode_dss_signature(r, s)),
            },
        ),
    ]
