"""The golden license files, which every later release must verify."""

import json
from typing import Any, Final

from vectors import times
from vectors.signing import ENTERPRISE, EXAMPLE, FINGERPRINT, OTHER_JTI, STANDARD, file, payload

_IDS: Final = [f"00000000-0000-4000-8000-{number:012x}" for number in range(100)]

CLAIMS: Final[dict[str, dict[str, Any]]] = {
    "standard": STANDARD,
    "enterprise": ENTERPRISE,
    "enterprise-any-domain": {n: v for n, v in ENTERPRISE.items() if n != "allowedDomain"},
    "renewed": {**STANDARD, "jti": OTHER_JTI, "replaces": [STANDARD["jti"]]},
    "names": {**STANDARD, "iss": "発行者", "customer": "漢字 & \U0001f680 « Société »"},
    "largest": {
        **ENTERPRISE,
        "sub": "a" * 64,
        "iat": 1,
        "exp": 253_402_300_799,
        "customer": "\U0001f680" * 200,
        "allowedDomain": "*." + "a." * 124 + "abc",
        "features": sorted(f"feature-{number}" for number in range(40)),
        "limits": dict.fromkeys(STANDARD["limits"], 1_000_000),
        "replaces": _IDS,
    },
}


def files() -> dict[str, bytes]:
    """Return the license files, and `golden.json` with the claims of each."""
    licenses = {f"{name}.lic": file(payload(claims)) for name, claims in CLAIMS.items()}
    entries = [
        {"file": f"{name}.lic", "kid": EXAMPLE.kid, "now": "2026-06-01T12:00:00Z",
         "fingerprint": FINGERPRINT, "claims": claims}
        for name, claims in CLAIMS.items()
    ]  # fmt: skip
    document = times.with_microseconds({"golden": entries})
    text = json.dumps(document, indent=1, ensure_ascii=False, sort_keys=True)
    return licenses | {"golden.json": text.encode() + b"\n"}
