"""The licenses of the vectors of a whole server."""

import base64
import json
from typing import Any, Final

from vectors.signing import (
    ABSENT,
    ENTERPRISE,
    EXAMPLE,
    SECOND,
    STANDARD,
    file,
    header,
    payload,
)
from vectors.times import microseconds

OTHER_FINGERPRINT: Final = "sha256:" + "0" * 64
JUNE: Final = 1_780_272_000  # 2026-06-01T00:00:00Z
DECEMBER: Final = 1_796_083_200  # 2026-12-01T00:00:00Z
YEAR_2028: Final = 1_830_297_600  # 2028-01-01T00:00:00Z


def license_id(number: int) -> str:
    """Return the ID of a license of these vectors."""
    return f"{number:08x}-0000-4000-8000-000000000000"


def _standard(number: int, **changes: object) -> bytes:
    return payload(STANDARD, jti=license_id(number), **changes)


def _enterprise(number: int, **changes: object) -> bytes:
    return payload(ENTERPRISE, jti=license_id(number), **changes)


_RENEWED: Final = {"iat": DECEMBER, "exp": YEAR_2028}
_FEW: Final = {"users": 5, "sessionHosts": 1, "deployHosts": 0}

_PAYLOADS: Final = {
    "standard": _standard(1),
    "renewal": _standard(2, **_RENEWED, replaces=[license_id(1)]),
    "issued later": _standard(3, **_RENEWED),
    "issued at the same time": _standard(4),
    "fewer rights": _standard(5, iat=JUNE, features=[], limits=_FEW),
    "other machine": _standard(6, iat=JUNE, machineFingerprint=OTHER_FINGERPRINT),
    "other customer": _standard(7, sub="another", customer="Another Ltd", iat=JUNE),
    "other machine, replaces standard": _standard(
        8, iat=JUNE, machineFingerprint=OTHER_FINGERPRINT, replaces=[license_id(1)]
    ),
    "several sessions": _standard(9, features=["multiple-active-sessions"]),
    "modules": _standard(10, features=["insights", "planner", "workflows"]),
    "no hosts": _standard(11, limits={"users": 1, "sessionHosts": 0, "deployHosts": 0}),
    "enterprise": _enterprise(20),
    "enterprise, any domain": _enterprise(21, allowedDomain=ABSENT),
    "enterprise, other domain": _enterprise(22, iat=JUNE, allowedDomain="*.example.test"),
    "enterprise, renewed": _enterprise(23, **_RENEWED),
}


# The licenses of the alerts, by their expiry.
_OFFSETS: Final = (
    *("+00:00", "+02:00", "+05:30", "+09:00", "+10:00", "+13:00", "-02:30", "-04:00", "-07:00"),
)
_EXPIRIES: Final = (
    *(f"2026-07-01T{hour}:00:00{offset}" for offset in _OFFSETS for hour in ("00", "09")),
    "2026-03-30T09:00:00+02:00",
    "2026-10-26T09:00:00+01:00",
)


def ends(expiry: str) -> str:
    """Return the name of the license with this expiry."""
    return f"ends {microseconds(expiry) // 1_000_000}"


def _payloads() -> dict[str, bytes]:
    expiring = {
        ends(expiry): _standard(100 + number, exp=microseconds(expiry) // 1_000_000)
        for number, expiry in enumerate(_EXPIRIES)
    }
    return {**_PAYLOADS, **expiring}


def files() -> dict[str, bytes]:
    """Return the license files by name; the last three are not of the first key, or not signed."""
    payloads = _payloads()
    return {
        **{name: file(data) for name, data in payloads.items()},
        "signed with the second key": file(_standard(30), header(kid=SECOND.kid), SECOND),
        "changed": file(payloads["standard"]).replace(b".eyJ", b".eyK", 1),
        "not a license": b"hello\n",
    }


def document() -> dict[str, Any]:
    """The document `enforcement/licenses.json`."""
    payloads = _payloads()
    return {
        "keys": [EXAMPLE.jwk, SECOND.jwk],
        "licenses": [
            {
                "name": name,
                "file": base64.b64encode(data).decode(),
                "claims": json.loads(payloads[name]) if name in payloads else None,
            }
            for name, data in files().items()
        ],
    }
