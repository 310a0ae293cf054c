"""Vectors for the installation of license files on a server."""

from vectors.server_licenses import OTHER_FINGERPRINT, license_id
from vectors.server_steps import (
    FIRST_DAY,
    TEN_YEARS,
    Json,
    install,
    machine,
    restart,
    state,
    vector,
)
from vectors.signing import FINGERPRINT

_DECEMBER = "2026-12-02T00:00:00Z"
_JUNE = "2026-06-02T00:00:00Z"


def every() -> list[Json]:
    """All these vectors."""
    return [*_checks(), *_acceptance(), *_supersession(), *_scopes(), *_log()]


def refused_file(license_: str, now: str, code: str, state: str = "active") -> Json:
    """Upload a file that is refused with this code."""
    return install(license_, now, code=code, state=state)


def _checks() -> list[Json]:
    none = {"state": "none"}
    return [
        vector("a new server has no license", state(FIRST_DAY, "none", licenseId=None)),
        vector(
            "an upload takes effect at once",
            install("standard"),
            state(FIRST_DAY, "active", licenseId=license_id(1)),
        ),
        vector(
            "an installed license survives a restart",
            install("standard"),
            restart(),
            state(FIRST_DAY, "active", licenseId=license_id(1)),
        ),
        vector(
            "files that are not authentic",
            refused_file("not a license", FIRST_DAY, "malformed", **none),
            refused_file("changed", FIRST_DAY, "bad_signature", **none),
            restart(trusted=1),
            refused_file("signed with the second key", FIRST_DAY, "unknown_key", **none),
            restart(),
            install("signed with the second key"),
        ),
        vector(
            "a file that is refused leaves the installed license",
            install("standard"),
            refused_file("changed", FIRST_DAY, "bad_signature"),
            refused_file("other machine", _JUNE, "machine_mismatch"),
            state(_JUNE, "active", licenseId=license_id(1)),
        ),
    ]


def _acceptance() -> list[Json]:
    none = {"state": "none"}
    return [
        vector(
            "the freshness window, to the microsecond",
            refused_file("standard", "2026-01-08T00:00:00.000001Z", "stale_issue_date", **none),
            install("standard", "2026-01-08T00:00:00Z"),
        ),
        vector(
            "the window is for the upload alone",
            install("standard"),
            state("2026-12-31T23:59:59.999999Z", "active"),
        ),
        vector(
            "an expired file",
            refused_file("standard", "2027-01-01T00:00:00Z", "expired", **none),
            window=TEN_YEARS,
        ),
        vector(
            "a file that was issued in the future, and 5 minutes of skew",
            refused_file("standard", "2025-12-31T23:54:59.999999Z", "not_yet_valid", **none),
            install("standard", "2025-12-31T23:55:00Z"),
        ),
        vector(
            "a standard license on another machine",
            refused_file("standard", FIRST_DAY, "machine_mismatch", **none),
            fingerprint=OTHER_FINGERPRINT,
        ),
        vector(
            "no Host is checked at the upload",
            install("enterprise"),
            state(FIRST_DAY, "active", allowedDomain="*.example.internal", machineId=None),
            fingerprint=OTHER_FINGERPRINT,
        ),
        vector(
            "the same file again",
            install("standard"),
            install("standard", "2026-01-03T00:00:00Z"),
            refused_file("standard", "2026-01-09T00:00:00Z", "stale_issue_date"),
        ),
    ]


def _supersession() -> list[Json]:
    return [
        vector(
            "a renewal, then the license that it replaces",
            install("standard"),
            install("renewal", _DECEMBER),
            refused_file("standard", _DECEMBER, "superseded"),
            state("2027-06-01T00:00:00Z", "active", licenseId=license_id(2)),
            window=TEN_YEARS,
        ),
        vector(
            "one of the same customer and machine that was issued later",
            install("issued later", _DECEMBER),
            refused_file("standard", _DECEMBER, "superseded"),
            window=TEN_YEARS,
        ),
        vector(
            "a later one with fewer rights supersedes, too",
            install("standard"),
            install("fewer rights", _JUNE),
            refused_file("standard", _JUNE, "superseded"),
            state(_JUNE, "active", licenseId=license_id(5), features=[]),
            window=TEN_YEARS,
        ),
        vector(
            "issued at the same time: neither supersedes the other",
            install("standard"),
            install("issued at the same time"),
            install("standard"),
            state(FIRST_DAY, "active", licenseId=license_id(1)),
        ),
    ]


def _scopes() -> list[Json]:
    return [
        vector(
            "another customer",
            install("other customer", _JUNE),
            install("standard", _JUNE),
            window=TEN_YEARS,
        ),
        vector(
            "another machine, without and with `replaces`",
            machine(OTHER_FINGERPRINT),
            install("other machine", _JUNE),
            machine(FINGERPRINT),
            install("standard", _JUNE),
            machine(OTHER_FINGERPRINT),
            install("other machine, replaces standard", _JUNE),
            machine(FINGERPRINT),
            refused_file("standard", _JUNE, "superseded", "machine_changed"),
            window=TEN_YEARS,
        ),
        vector(
            "another domain, and any domain, are other scopes",
            install("enterprise, other domain", _JUNE),
            install("enterprise", _JUNE),
            install("enterprise, any domain", _JUNE),
            install("enterprise, renewed", _DECEMBER),
            refused_file("enterprise", _DECEMBER, "superseded"),
            install("enterprise, any domain", _DECEMBER),
            window=TEN_YEARS,
        ),
        vector(
            "what was superseded is remembered after a restart and another installation",
            install("standard"),
            install("renewal", _DECEMBER),
            install("enterprise", _DECEMBER),
            restart(),
            refused_file("standard", _DECEMBER, "superseded"),
            install("renewal", _DECEMBER),
            window=TEN_YEARS,
        ),
        vector(
            "the checks of FORMAT come before supersession",
            install("renewal", _DECEMBER),
            refused_file("standard", "2027-01-02T00:00:00Z", "expired"),
            machine(OTHER_FINGERPRINT),
            refused_file("standard", "2026-12-31T00:00:00Z", "machine_mismatch", "machine_changed"),
            window=TEN_YEARS,
        ),
    ]


def _log() -> list[Json]:
    enterprise = {"licenseId": license_id(20), "customer": "Example GmbH", "by": "ada"}
    unread = {"licenseId": None, "customer": None, "by": "ada"}
    return [
        vector(
            "the log of installations, the newest first",
            refused_file("not a license", FIRST_DAY, "malformed", "none"),
            install("enterprise"),
            refused_file("enterprise", "2026-01-09T00:00:00Z", "stale_issue_date"),
            state(
                "2026-01-09T00:00:00Z",
                "active",
                installLog=[
                    {"at": "2026-01-09T00:00:00Z", **enterprise, "outcome": "stale_issue_date"},
                    {"at": FIRST_DAY, **enterprise, "outcome": "installed"},
                    {"at": FIRST_DAY, **unread, "outcome": "malformed"},
                ],
            ),
        ),
        vector(
            "a standard license shows no log",
            install("standard"),
            state(FIRST_DAY, "active", installLog=[]),
        ),
    ]
