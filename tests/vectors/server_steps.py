"""Steps of a server: an event, its input, and the answer that is expected.

The expected answers are written in the tables of cases, not computed.
"""

from typing import Any, Final

from vectors.signing import FINGERPRINT

Json = dict[str, Any]

ALLOWED: Final[Json] = {"allowed": True}
WEEK: Final = 7 * 86_400
TEN_YEARS: Final = 3_650 * 86_400
FIRST_DAY: Final = "2026-01-01T12:00:00Z"
"""Half a day after the issue of the license `standard`."""


def vector(
    name: str,
    *steps: Json,
    fingerprint: str = FINGERPRINT,
    window: int = WEEK,
    **more: Any,
) -> Json:
    """Return a vector: a new server with an empty store, and its steps."""
    server = {"fingerprint": fingerprint, "freshnessWindowSeconds": window, **more}
    return {"name": name, "server": server, "steps": list(steps)}


def step(event: str, now: str, expected: Any, **given: Any) -> Json:
    """Return one step."""
    return {"event": event, "now": now, **given, "expected": expected}


def refused(status: int, code: str, **more: Any) -> Json:
    """Return the answer of a refusal."""
    return {"allowed": False, "status": status, "code": code, **more}


def install(
    license_: str, now: str = FIRST_DAY, *, code: str = "ok", state: str = "active"
) -> Json:
    """Upload a license file; `state` is that of the server afterwards."""
    return step("install", now, {"code": code, "state": state}, license=license_)


def state(now: str, expected: str, **members: Any) -> Json:
    """Look at the status of the server; `members` are those of the status view to compare."""
    return step("status", now, {"state": expected, **members})


def machine(fingerprint: str) -> Json:
    """Give the server's machine another fingerprint."""
    return {"event": "machine", "fingerprint": fingerprint}


def restart(*, trusted: int = 2) -> Json:
    """Restart the server with its store; it trusts the first `trusted` keys."""
    return {"event": "restart", "trusted": trusted}
