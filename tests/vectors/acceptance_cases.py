"""Vectors for the acceptance by a server (FORMAT §5 rows 5 to 10)."""

from typing import Any

from vectors.case import Case
from vectors.signing import ABSENT, ENTERPRISE, FINGERPRINT, file, payload

_STANDARD = file(payload())
_ENTERPRISE = file(payload(ENTERPRISE))
_ANY_DOMAIN = file(payload(ENTERPRISE, allowedDomain=ABSENT))
_EXACT = file(payload(ENTERPRISE, allowedDomain="intranet"))
_OPAQUE = file(payload(machineFingerprint="Board/7Q:a1b2"))

_DAY = 86_400
_NOW = "2026-06-01T12:00:00Z"


def every() -> list[Case]:
    """All these vectors."""
    return [*_times(), *_machines(), *_domains(), *_clocks(), *_order()]


def _case(name: str, expected: str, data: bytes = _STANDARD, **circumstances: Any) -> Case:
    return Case(name=name, file=data, expected=expected, **circumstances)


def _times() -> list[Case]:
    day: dict[str, Any] = {"freshness_window_seconds": _DAY}
    return [
        _case("expired: 1 µs before", "ok", now="2026-12-31T23:59:59.999999Z"),
        _case("expired: at exp", "expired", now="2027-01-01T00:00:00Z"),
        _case("expired: at exp, in another zone", "expired", now="2027-01-01T05:45:00+05:45"),
        _case("expired: an hour before, in another zone", "ok", now="2027-01-01T04:45:00+05:45"),
        _case("expired: long ago", "expired", now="9999-12-31T23:59:59.999999-14:00"),
        _case("not yet valid: 5 min before iat", "ok", now="2025-12-31T23:55:00Z"),
        _case("not yet valid: 1 µs earlier", "not_yet_valid", now="2025-12-31T23:54:59.999999Z"),
        _case("not yet valid: year 1", "not_yet_valid", now="0001-01-01T00:00:00+14:00"),
        _case("installation: at the end of the window", "ok", now="2026-01-02T00:00:00Z", **day),
        _case(
            "installation: 1 µs later", "stale_issue_date", now="2026-01-02T00:00:00.000001Z", **day
        ),
        _case("installation: before iat, within the skew", "ok", now="2025-12-31T23:56:00Z", **day),
        _case(
            "installation: a window of 0, at iat",
            "ok",
            now="2026-01-01T00:00:00Z",
            freshness_window_seconds=0,
        ),
        _case(
            "installation: a window of 0, later",
            "stale_issue_date",
            now="2026-01-01T00:00:01Z",
            freshness_window_seconds=0,
        ),
    ]


def _machines() -> list[Case]:
    other = "sha256:" + "0" * 64
    return [
        _case("machine: upper-case hexadecimal", "ok", fingerprint=FINGERPRINT.upper()),
        _case("machine: white space around", "ok", fingerprint=f"\t {FINGERPRINT}\r\n"),
        _case("machine: another", "machine_mismatch", fingerprint=other),
        _case("machine: without its prefix", "machine_mismatch", fingerprint=FINGERPRINT[7:]),
        _case("machine: cut off", "machine_mismatch", fingerprint=FINGERPRINT[:-1]),
        _case("machine: empty", "machine_mismatch", fingerprint=""),
        _case("machine: no canonical form", "machine_mismatch", fingerprint=f"{FINGERPRINT}\u00a0"),
        _case("machine: none given", "machine_mismatch", fingerprint=None),
        _case("machine: opaque", "ok", _OPAQUE, fingerprint="Board/7Q:a1b2"),
        _case(
            "machine: opaque, other case", "machine_mismatch", _OPAQUE, fingerprint="board/7Q:a1b2"
        ),
        _case("machine: any for enterprise", "ok", _ENTERPRISE, fingerprint=other),
        _case("machine: none for enterprise", "ok", _ENTERPRISE, fingerprint=None),
    ]


def _domains() -> list[Case]:
    wild = {
        "api.example.internal": "ok",
        "API.Example.INTERNAL:8443": "ok",
        "api.example.internal.": "ok",
        "example.internal": "domain_mismatch",
        "api.v2.example.internal": "domain_mismatch",
        "api.example.internal.evil.test": "domain_mismatch",
        "api-example.internal": "domain_mismatch",
        "": "domain_mismatch",
    }
    return [
        *(
            _case(f"domain: host {host!r}", expected, _ENTERPRISE, host=host)
            for host, expected in wild.items()
        ),
        _case("domain: no request", "ok", _ENTERPRISE, host=None),
        _case("domain: none in the license", "ok", _ANY_DOMAIN, host="elsewhere.test"),
        _case("domain: none on standard", "ok", host="elsewhere.test"),
        _case("domain: exact", "ok", _EXACT, host="intranet:80"),
        _case("domain: exact, another", "domain_mismatch", _EXACT, host="a.intranet"),
    ]


def _clocks() -> list[Case]:
    def guard(last_seen: str | None, *, tampered: bool = False) -> dict[str, Any]:
        return {"lastSeen": last_seen, "tampered": tampered}

    return [
        _case("clock: nothing seen", "ok", clock=guard(None)),
        _case("clock: runs on", "ok", clock=guard("2026-06-01T11:59:59Z")),
        _case("clock: a day back", "ok", clock=guard("2026-06-02T12:00:00Z")),
        _case(
            "clock: a day and 1 µs back",
            "clock_tampered",
            clock=guard("2026-06-02T12:00:00.000001Z"),
        ),
        _case(
            "clock: tampered, not caught up",
            "clock_tampered",
            clock=guard("2026-06-01T13:00:00Z", tampered=True),
        ),
        _case(
            "clock: tampered, at the last time seen",
            "clock_tampered",
            clock=guard(_NOW, tampered=True),
        ),
        _case(
            "clock: tampered, 1 µs past it",
            "ok",
            now="2026-06-01T12:00:00.000001Z",
            clock=guard(_NOW, tampered=True),
        ),
        _case("clock: tampered, nothing seen", "clock_tampered", clock=guard(None, tampered=True)),
        _case("clock: another zone", "clock_tampered", clock=guard("2026-06-02T18:00:00+05:45")),
    ]


def _order() -> list[Case]:
    """Files that fail two checks, each with the code of the earlier one."""
    late: dict[str, Any] = {"now": "2027-06-01T00:00:00Z", "fingerprint": None}
    early: dict[str, Any] = {"now": "2025-01-01T00:00:00Z", "fingerprint": None}
    tampered: dict[str, Any] = {"clock": {"lastSeen": None, "tampered": True}}
    return [
        _case("order: claims before expiry", "invalid_claims", file(payload(tier="?")), **late),
        _case("order: expiry before window", "expired", freshness_window_seconds=1, **late),
        _case(
            "order: not yet valid before window",
            "not_yet_valid",
            freshness_window_seconds=-(10**9),
            **early,
        ),
        _case("order: not yet valid before machine", "not_yet_valid", **early),
        _case(
            "order: window before machine",
            "stale_issue_date",
            freshness_window_seconds=1,
            fingerprint=None,
        ),
        _case("order: machine before clock", "machine_mismatch", fingerprint=None, **tampered),
        _case("order: domain before clock", "domain_mismatch", _ENTERPRISE, host="", **tampered),
    ]
