"""Vectors for the payload: its JSON (row 1 again) and its claims (row 4)."""

from collections.abc import Mapping
from typing import Any

from vectors.case import Case, cases
from vectors.signing import (
    ABSENT,
    ENTERPRISE,
    EXP,
    IAT,
    JTI,
    OTHER_JTI,
    STANDARD,
    file,
    payload,
    with_ignored,
)

_LARGEST = 2**53 - 1
_LAST_SECOND = 253_402_300_799


def every() -> list[Case]:
    """All these vectors."""
    return [*_json(), *_types(), *_plain_claims(), *_tiers(), *_collections()]


def _json() -> list[Case]:
    plain = payload().decode()
    return [
        *_signed(
            "ok",
            {
                "JSON: white space around": f" \t\r\n{plain}\n".encode(),
                "JSON: a name escaped": plain.replace('"sub"', '"s\\u0075b"').encode(),
                "JSON: 8 levels": with_ignored("[" * 7 + "]" * 7),
                "JSON: brackets in a string": with_ignored('"' + "[{" * 20 + '"'),
                "JSON: brackets after an escaped quote": with_ignored('"\\"' + "[" * 20 + '"'),
                "JSON: 40 arrays side by side": with_ignored("[" + ",".join(["[]"] * 40) + "]"),
                "JSON: 2^53-1": with_ignored(str(_LARGEST)),
                "JSON: -(2^53-1)": with_ignored(str(-_LARGEST)),
                "JSON: -0": with_ignored("-0"),
                "JSON: -0 for 0": plain.replace('"deployHosts":1', '"deployHosts":-0').encode(),
                "JSON: a surrogate pair": with_ignored('"\\ud83d\\ude00"'),
                "JSON: true, false, null, ignored": with_ignored("[true,false,null]"),
            },
        ),
        *_signed(
            "malformed",
            {
                "JSON: nothing": b" ",
                "JSON: cut off": plain.encode()[:-1],
                "JSON: an array": f"[{plain}]".encode(),
                "JSON: a string": b'"{}"',
                "JSON: null": b"null",
                "JSON: BOM": b"\xef\xbb\xbf" + plain.encode(),
                "JSON: no-break space behind": f"{plain}\u00a0".encode(),
                "JSON: form feed behind": plain.encode() + b"\f",
                "JSON: something behind": plain.encode() + b"{}",
                "JSON: not UTF-8": with_ignored(b'"\xff"'),
                "JSON: overlong UTF-8": with_ignored(b'"\xc0\xaf"'),
                "JSON: surrogate in UTF-8": with_ignored(b'"\xed\xa0\x80"'),
                "JSON: UTF-16": plain.encode("utf-16"),
                "JSON: control character in a string": with_ignored(b'"\n"'),
                "JSON: trailing comma": plain.encode()[:-1] + b",}",
                "JSON: a comment": plain.encode() + b"/**/",
                "JSON: single quotes": plain.replace('"', "'").encode(),
                "JSON: unknown escape": with_ignored(b'"\\x41"'),
                "JSON: a name repeated": plain.encode()[:-1] + b',"sub":"example"}',
                "JSON: a name repeated, escaped": plain.encode()[:-1] + b',"s\\u0075b":"example"}',
                "JSON: a name repeated within an ignored value": with_ignored('{"a":1,"a":1}'),
                "JSON: a name repeated in limits": plain.replace(
                    '"users":25', '"users":25,"users":25'
                ).encode(),
                "JSON: 9 levels": with_ignored("[" * 8 + "]" * 8),
                "JSON: 9 levels of objects": with_ignored('{"a":' * 8 + "1" + "}" * 8),
                "JSON: 9 levels after a string": with_ignored('["\\\\",' + "[" * 7 + "]" * 8),
                "JSON: 5000 levels": with_ignored("[" * 5000 + "]" * 5000),
                "JSON: 5000 levels, never closed": b'{"x":' + b"[" * 5000,
                "JSON: 1.0": with_ignored("1.0"),
                "JSON: 1e3": with_ignored("1e3"),
                "JSON: -0.0": with_ignored("-0.0"),
                "JSON: NaN": with_ignored("NaN"),
                "JSON: Infinity": with_ignored("Infinity"),
                "JSON: -Infinity": with_ignored("-Infinity"),
                "JSON: 2^53": with_ignored(str(_LARGEST + 1)),
                "JSON: -2^53": with_ignored(str(-_LARGEST - 1)),
                "JSON: 5000 digits": with_ignored("9" * 5000),
                "JSON: leading zero": with_ignored("01"),
                "JSON: leading plus": with_ignored("+1"),
                "JSON: foreign digits": with_ignored("\u0661"),
                "JSON: lone high surrogate": with_ignored('"\\ud800"'),
                "JSON: lone low surrogate": with_ignored('"\\uDFFF"'),
                "JSON: surrogates exchanged": with_ignored('"\\ude00\\ud83d"'),
                "JSON: lone surrogate in a name": with_ignored('{"\\ud800":1}'),
                "JSON: exp 1e9": plain.replace(str(EXP), "1e9").encode(),
            },
        ),
    ]


def _types() -> list[Case]:
    """Vectors with each claim absent, null and of another type."""
    wrong: dict[str, Any] = dict.fromkeys(STANDARD, 1) | {"ver": "1", "iat": "1", "exp": "1"}
    return [
        *_claims("invalid_claims", {f"{name}: absent": {name: ABSENT} for name in STANDARD}),
        *_claims("invalid_claims", {f"{name}: null": {name: None} for name in STANDARD}),
        *_claims(
            "invalid_claims",
            {f"{name}: of another type": {name: value} for name, value in wrong.items()},
        ),
        *_claims("invalid_claims", {"replaces: null": {"replaces": None}}),
        *_claims("invalid_claims", {"allowedDomain: null": {"allowedDomain": None}}, ENTERPRISE),
        *_claims("invalid_claims", {"allowedDomain: a number": {"allowedDomain": 1}}, ENTERPRISE),
    ]


def _plain_claims() -> list[Case]:
    return [
        *_claims(
            "ok",
            {
                "unknown claim: null": {"later": None},
                "unknown claim: anything": {"later": {"limits": [1, "a"]}},
                "iss: one character": {"iss": "x"},
                "customer: 200 characters": {"customer": "\u6f22" * 200},
                "customer: beyond the BMP": {"customer": "\U0001f680" * 200},
                "customer: markup": {"customer": "[/red] <b>&amp;</b> ../CON"},
                "customer: joiner within": {"customer": "\U0001f469\u200d\U0001f4bb Ltd"},
                "customer: space within": {"customer": "Example  GmbH\u3000KK"},
                "sub: one character": {"sub": "0"},
                "sub: 64 characters": {"sub": "a" * 64},
                "iat: 1": {"iat": 1},
                "exp: the last second of 9999": {"exp": _LAST_SECOND},
            },
        ),
        *_claims(
            "invalid_claims",
            {
                "ver: 0": {"ver": 0},
                "ver: 2": {"ver": 2},
                "ver: 2, the rest unknown": {"ver": 2, "tier": "galactic"},
                "ver: true": {"ver": True},
                "iss: empty": {"iss": ""},
                "iss: 201 characters": {"iss": "x" * 201},
                "customer: empty": {"customer": ""},
                "customer: 201 characters": {"customer": "\u6f22" * 201},
                "customer: escape sequence": {"customer": "Ex\u001b[31mample"},
                "customer: newline": {"customer": "Example\nGmbH"},
                "customer: bidi override": {"customer": "Example\u202eHbmG"},
                "customer: zero width space": {"customer": "Exa\u200bmple"},
                "customer: soft hyphen": {"customer": "Exa\u00admple"},
                "customer: noncharacter": {"customer": "Example\uffff"},
                "customer: noncharacter of plane 1": {"customer": "Example\U0001fffe."},
                "customer: tag character": {"customer": "Example\U000e0041."},
                "customer: space before": {"customer": " Example"},
                "customer: space behind": {"customer": "Example "},
                "customer: no-break space behind": {"customer": "Example\u00a0"},
                "customer: joiner at the end": {"customer": "Example\u200d"},
                "sub: empty": {"sub": ""},
                "sub: 65 characters": {"sub": "a" * 65},
                "sub: upper case": {"sub": "Example"},
                "sub: hyphen at the end": {"sub": "example-"},
                "sub: hyphen first": {"sub": "-example"},
                "sub: newline behind": {"sub": "example\n"},
                "jti: upper case": {"jti": JTI.upper()},
                "jti: braces": {"jti": f"{{{JTI}}}"},
                "jti: no hyphens": {"jti": JTI.replace("-", "")},
                "jti: newline behind": {"jti": JTI + "\n"},
                "iat: 0": {"iat": 0},
                "iat: true": {"iat": True},
                "iat: equal to exp": {"iat": EXP},
                "iat: after exp": {"iat": EXP + 1},
                "exp: before iat": {"exp": IAT - 1},
                "exp: year 10000": {"exp": _LAST_SECOND + 1},
            },
        ),
    ]


def _tiers() -> list[Case]:
    enterprise: dict[str, dict[str, Any]] = {
        "allowedDomain: an address": {"allowedDomain": "10.0.0.1"},
        "allowedDomain: empty": {"allowedDomain": ""},
        "allowedDomain: upper case": {"allowedDomain": "API.example.internal"},
        "allowedDomain: star and one label": {"allowedDomain": "*.internal"},
        "allowedDomain: star within": {"allowedDomain": "api.*.internal"},
        "enterprise: a machine": {"machineFingerprint": "sha256:0123"},
        "enterprise: a machine, null": {"machineFingerprint": None},
    }
    return [
        *_claims(
            "invalid_claims",
            {
                "tier: unknown": {"tier": "trial"},
                "tier: upper case": {"tier": "Standard"},
                "standard: a domain": {"allowedDomain": "example.internal"},
                "machineFingerprint: upper-case hexadecimal": {"machineFingerprint": "ABCDEF01"},
                "machineFingerprint: upper-case prefix": {"machineFingerprint": "SHA256:abcdef"},
                "machineFingerprint: space behind": {"machineFingerprint": "abcdef01 "},
                "machineFingerprint: space within": {"machineFingerprint": "abcd ef01"},
                "machineFingerprint: not ASCII": {"machineFingerprint": "abcdef0\u00e9"},
                "machineFingerprint: 7 characters": {"machineFingerprint": "abcdef0"},
                "machineFingerprint: 257 characters": {"machineFingerprint": "a" * 257},
                "features: sso-saml on standard": {"features": ["sso-saml"]},
                "features: audit-export on standard": {"features": ["audit-export"]},
                "features: multi-tenant on standard": {"features": ["multi-tenant"]},
            },
        ),
        *_claims("invalid_claims", enterprise, ENTERPRISE),
        *_claims(
            "ok",
            {
                "allowedDomain: absent": {"allowedDomain": ABSENT},
                "allowedDomain: one label": {"allowedDomain": "intranet"},
                "features: all of enterprise": {
                    "features": ["audit-export", "multi-tenant", "sso-saml"]
                },
            },
            ENTERPRISE,
        ),
    ]


def _collections() -> list[Case]:
    limits = STANDARD["limits"]
    ids = [f"00000000-0000-4000-8000-{number:012x}" for number in range(101)]
    return [
        *_claims(
            "ok",
            {
                "features: none": {"features": []},
                "features: not sorted": {"features": ["workflows", "automations"]},
                "features: unknown": {"features": ["time-travel"]},
                "features: 64 characters": {"features": ["a" * 64]},
                "limits: the least": {"limits": {"users": 1, "sessionHosts": 0, "deployHosts": 0}},
                "limits: the most": {"limits": dict.fromkeys(limits, 1_000_000)},
                "limits: an unknown name": {"limits": {**limits, "pets": None}},
                "replaces: one": {"replaces": [OTHER_JTI]},
                "replaces: 100": {"replaces": ids[:100]},
            },
        ),
        *_claims(
            "invalid_claims",
            {
                "features: twice the same": {"features": ["planner", "planner"]},
                "features: upper case": {"features": ["Planner"]},
                "features: 65 characters": {"features": ["a" * 65]},
                "features: two hyphens": {"features": ["round--table"]},
                "features: empty name": {"features": [""]},
                "features: a number": {"features": [1]},
                "features: holds null": {"features": [None]},
                "features: newline behind": {"features": ["planner\n"]},
                "limits: no users": {"limits": {**limits, "users": 0}},
                "limits: too many users": {"limits": {**limits, "users": 1_000_001}},
                "limits: -1 session hosts": {"limits": {**limits, "sessionHosts": -1}},
                "limits: too many session hosts": {"limits": {**limits, "sessionHosts": 1_000_001}},
                "limits: -1 deploy hosts": {"limits": {**limits, "deployHosts": -1}},
                "limits: too many deploy hosts": {"limits": {**limits, "deployHosts": 1_000_001}},
                "limits: users true": {"limits": {**limits, "users": True}},
                "limits: users a string": {"limits": {**limits, "users": "25"}},
                "limits: users null": {"limits": {**limits, "users": None}},
                "limits: users absent": {"limits": {"sessionHosts": 2, "deployHosts": 1}},
                "limits: session hosts absent": {"limits": {"users": 2, "deployHosts": 1}},
                "limits: deploy hosts absent": {"limits": {"users": 2, "sessionHosts": 1}},
                "replaces: empty": {"replaces": []},
                "replaces: 101": {"replaces": ids},
                "replaces: itself": {"replaces": [OTHER_JTI, JTI]},
                "replaces: twice the same": {"replaces": [OTHER_JTI, OTHER_JTI]},
                "replaces: no id": {"replaces": ["example"]},
                "replaces: upper case": {"replaces": [OTHER_JTI.upper()]},
                "replaces: a number": {"replaces": [1]},
            },
        ),
    ]


def _signed(expected: str, payloads: dict[str, bytes]) -> list[Case]:
    return cases(expected, {name: file(data) for name, data in payloads.items()})


def _claims(
    expected: str, changes: Mapping[str, Mapping[str, Any]], base: dict[str, Any] = STANDARD
) -> list[Case]:
    return _signed(expected, {name: payload(base, **change) for name, change in changes.items()})
