"""Vectors for the states of a server at different times, and for clocks that were set back."""

from vectors.install_cases import refused_file
from vectors.server_licenses import OTHER_FINGERPRINT, license_id
from vectors.server_steps import (
    FIRST_DAY,
    TEN_YEARS,
    Json,
    install,
    machine,
    restart,
    state,
    step,
    vector,
)
from vectors.signing import FINGERPRINT

_JUNE = "2026-06-02T00:00:00Z"


def every() -> list[Json]:
    """All these vectors."""
    return [*_states(), *_machines_and_keys(), *_set_back(), *_ends_of_tampering()]


def _public(now: str, state: str, expires_at: str | None, days_left: int | None) -> Json:
    absent = dict.fromkeys(
        ("licenseId", "customer", "tier", "users", "features", "machineId", "allowedDomain")
    )
    times = {"expiresAt": expires_at, "daysLeft": days_left}
    return step("public status", now, {"state": state, **times, **absent})


def _states() -> list[Json]:
    return [
        vector(
            "expired at `exp`, to the microsecond; a day that has begun counts",
            install("standard"),
            state("2026-12-30T23:59:59.999999Z", "active", daysLeft=2),
            state("2026-12-31T00:00:00Z", "active", daysLeft=1),
            state("2026-12-31T23:59:59.999999Z", "active", daysLeft=1),
            state("2027-01-01T00:00:00Z", "expired", daysLeft=0, licenseId=license_id(1)),
            state("2027-05-01T00:00:00Z", "expired", daysLeft=0),
        ),
        vector(
            "users who are not admins see state and expiry alone",
            install("enterprise"),
            _public(FIRST_DAY, "active", "2027-01-01T00:00:00Z", 365),
            _public("2027-02-01T00:00:00Z", "expired", "2027-01-01T00:00:00Z", 0),
        ),
        vector("without a license", _public(FIRST_DAY, "none", None, None)),
        vector(
            "the time zone of the clock has no effect",
            install("standard"),
            state("2027-01-01T05:44:59.999999+05:45", "active"),
            state("2027-01-01T05:45:00+05:45", "expired"),
        ),
        vector(
            "a renewal ends the expiry at once",
            install("standard"),
            state("2027-01-02T00:00:00Z", "expired"),
            install("renewal", "2027-01-02T00:00:00Z"),
            window=TEN_YEARS,
        ),
    ]


def _machines_and_keys() -> list[Json]:
    return [
        vector(
            "the machine changes, and changes back",
            install("standard"),
            machine(OTHER_FINGERPRINT),
            state(FIRST_DAY, "machine_changed", licenseId=license_id(1)),
            machine("sha256:B09B44AD99942C4F8E2FD9D765274EE5C5A9EA54870FFB0CE0A163CE56CFA5C8"),
            state(FIRST_DAY, "active"),
            machine("unknown"),
            state(FIRST_DAY, "machine_changed"),
        ),
        vector(
            "an enterprise license has no machine",
            install("enterprise"),
            machine(OTHER_FINGERPRINT),
            state(FIRST_DAY, "active"),
        ),
        vector(
            "a clock within a day before the issue, and 5 minutes of skew",
            install("standard"),
            state("2025-12-31T23:55:00Z", "active"),
            state("2025-12-31T23:54:59.999999Z", "not_yet_valid"),
            state(FIRST_DAY, "active"),
        ),
        vector(
            "the key is no longer trusted, then it is again",
            install("signed with the second key"),
            restart(trusted=1),
            state(FIRST_DAY, "not_authentic", licenseId=None, features=[]),
            restart(),
            state(FIRST_DAY, "active", licenseId=license_id(30)),
        ),
        vector(
            "the first failed check is the state: expiry, machine, clock",
            install("standard"),
            state("2027-06-01T00:00:00Z", "expired"),
            machine(OTHER_FINGERPRINT),
            state("2027-06-01T00:01:00Z", "expired"),
            state("2026-06-01T00:00:00Z", "machine_changed"),
            machine(FINGERPRINT),
            state("2026-06-01T00:00:00Z", "clock_tampered"),
            state("2027-01-01T00:00:00Z", "expired"),
        ),
    ]


def _set_back() -> list[Json]:
    return [
        vector(
            "a clock is set back by a day: allowed; by 1 µs more: until it passes the last time",
            install("standard"),
            state("2026-01-11T12:00:00Z", "active"),
            state("2026-01-10T12:00:00Z", "active"),
            state("2026-01-10T11:59:59.999999Z", "clock_tampered"),
            state("2026-01-10T12:00:00Z", "clock_tampered"),
            state("2026-01-11T12:00:00Z", "clock_tampered"),
            state("2026-01-11T12:00:00.000001Z", "active"),
        ),
        vector(
            "the last time seen survives a restart",
            install("standard"),
            state("2026-03-01T00:00:00Z", "active"),
            restart(),
            state("2026-02-27T00:00:00Z", "clock_tampered"),
            restart(),
            state("2026-02-28T23:59:59Z", "clock_tampered"),
            state("2026-03-01T00:00:01Z", "active"),
        ),
        vector(
            "a clock may go back within a day any number of times",
            install("standard"),
            state("2026-01-02T12:00:00Z", "active"),
            state("2026-01-01T12:00:00Z", "active"),
            state("2026-01-02T11:00:00Z", "active"),
        ),
        vector(
            "an expired license does not become valid by a clock that is set back",
            install("standard"),
            state("2027-01-10T00:00:00Z", "expired"),
            state("2026-12-31T00:00:00Z", "clock_tampered"),
        ),
        vector(
            "a clock that is set back without a license",
            state("2026-06-01T00:00:00Z", "none"),
            state("2026-01-01T12:00:00Z", "none"),
            install("standard"),
        ),
    ]


def _ends_of_tampering() -> list[Json]:
    ahead = state("2031-01-01T00:00:00Z", "expired")
    return [
        vector(
            "a license issued after all others proves the time, and ends it",
            install("standard"),
            ahead,
            state("2026-06-02T00:00:00Z", "clock_tampered"),
            install("fewer rights", "2026-06-01T12:00:00Z"),
            state("2026-06-01T11:00:00Z", "active"),
            state("2026-05-31T23:55:00Z", "active"),
            state("2026-05-31T11:59:59Z", "not_yet_valid"),
            state("2026-06-01T12:00:00Z", "clock_tampered"),
            state("2026-06-01T12:00:01Z", "active"),
        ),
        vector(
            "the guard then follows the clock again",
            install("standard"),
            ahead,
            install("renewal", "2026-11-30T23:57:00Z"),
            state("2026-11-30T23:56:00Z", "active"),
            state("2026-12-01T23:59:00Z", "active"),
            state("2026-11-30T23:59:00Z", "active"),
            state("2026-11-30T23:58:59Z", "clock_tampered"),
        ),
        vector(
            "a license that is not newer than all others does not end it",
            install("standard"),
            ahead,
            refused_file("standard", _JUNE, "clock_tampered", "clock_tampered"),
            refused_file("issued at the same time", _JUNE, "clock_tampered", "clock_tampered"),
            refused_file("enterprise", _JUNE, "clock_tampered", "clock_tampered"),
            state(_JUNE, "clock_tampered", licenseId=license_id(1)),
            window=TEN_YEARS,
        ),
        vector(
            "it ends it once: the same file again does not",
            install("standard"),
            install("fewer rights", _JUNE),
            ahead,
            refused_file("fewer rights", _JUNE, "clock_tampered", "clock_tampered"),
            window=TEN_YEARS,
        ),
        vector(
            "the other checks come first",
            install("standard"),
            ahead,
            refused_file("other machine", _JUNE, "machine_mismatch", "clock_tampered"),
            refused_file("changed", _JUNE, "bad_signature", "clock_tampered"),
            install("renewal", "2026-12-02T00:00:00Z"),
            state("2031-01-02T00:00:00Z", "expired"),
            refused_file("standard", _JUNE, "superseded", "not_yet_valid"),
            window=TEN_YEARS,
        ),
    ]
