"""Vectors for several workers of one server."""

from typing import Any

from vectors.alert_cases import ADA, mail
from vectors.limit_cases import NO_HOST, connect, count
from vectors.server_licenses import ends, license_id
from vectors.server_steps import (
    ALLOWED,
    FIRST_DAY,
    TEN_YEARS,
    Json,
    install,
    refused,
    state,
    step,
    vector,
)

_DECEMBER = "2026-12-02T00:00:00Z"


def every() -> list[Json]:
    """All these vectors."""
    return [*_uploads(), *_hosts(), *_alerts()]


def _by(worker: int, given: Json) -> Json:
    """Return the same step, of one worker."""
    return {"event": given["event"], "worker": worker, **given}


def _uploads() -> list[Json]:
    ask: Any = {"method": "GET", "path": "/api/items", "headers": []}
    none = refused(503, "license_none")
    return [
        vector(
            "an upload to one worker takes effect in the others",
            _by(1, step("request", FIRST_DAY, none, **ask)),
            _by(2, step("request", FIRST_DAY, none, **ask)),
            _by(1, install("standard")),
            _by(2, step("request", FIRST_DAY, ALLOWED, **ask)),
            _by(3, state(FIRST_DAY, "active", licenseId=license_id(1))),
            _by(2, install("renewal", _DECEMBER)),
            _by(1, state(_DECEMBER, "active", licenseId=license_id(2))),
            _by(3, state(_DECEMBER, "active", licenseId=license_id(2))),
        ),
        vector(
            "what one worker installed supersedes in the others at once",
            _by(1, state(FIRST_DAY, "none")),
            _by(2, install("renewal", _DECEMBER)),
            _by(1, install("standard", _DECEMBER, code="superseded")),
            window=TEN_YEARS,
        ),
        vector(
            "the clock guard is that of the server",
            _by(1, install("standard")),
            _by(1, state("2026-03-01T00:00:00Z", "active")),
            _by(2, state("2026-02-01T00:00:00Z", "clock_tampered")),
            _by(1, state("2026-03-01T00:00:00Z", "clock_tampered")),
            _by(2, state("2026-03-01T00:00:01Z", "active")),
        ),
    ]


def _hosts() -> list[Json]:
    return [
        vector(
            "hosts are counted over all workers",
            _by(1, install("standard")),
            _by(2, state(FIRST_DAY, "active")),
            _by(3, state(FIRST_DAY, "active")),
            _by(1, connect("1", "a", ALLOWED)),
            _by(2, connect("2", "b", ALLOWED)),
            _by(3, connect("3", "c", NO_HOST)),
            _by(3, count((2, 2), (0, 1))),
            _by(3, connect("4", "a", ALLOWED)),
            {"event": "disconnect", "worker": 1, "connection": "1"},
            _by(2, connect("5", "c", NO_HOST)),
            {"event": "disconnect", "worker": 3, "connection": "4"},
            _by(2, connect("6", "c", ALLOWED)),
            _by(1, count((2, 2), (0, 1))),
        ),
        vector(
            "a worker that ends gives its hosts back, except those that others have, too",
            _by(1, install("standard")),
            _by(2, state(FIRST_DAY, "active")),
            _by(1, connect("1", "a", ALLOWED)),
            _by(2, connect("2", "a", ALLOWED)),
            _by(2, connect("3", "b", ALLOWED)),
            {"event": "end of worker", "worker": 2},
            _by(1, count((1, 2), (0, 1))),
            _by(1, connect("4", "c", ALLOWED)),
            _by(1, connect("5", "b", NO_HOST)),
        ),
    ]


def _alerts() -> list[Json]:
    installed = _by(1, install(ends("2026-07-01T09:00:00+00:00")))

    # Whether the run is still due for the other worker depends on the moment.
    no_mail: Json = {"milestone": None}

    def run(worker: int, now: str, expected: Json, *, delivered: bool = True) -> Json:
        given: Any = {"zone": "UTC", "admins": [ADA], "delivered": delivered}
        return _by(worker, step("daily alerts", now, expected, **given))

    return [
        vector(
            "one worker sends a mail",
            installed,
            _by(2, state(FIRST_DAY, "active")),
            run(2, "2026-06-24T09:00:00Z", mail(7, 7)),
            run(1, "2026-06-24T09:00:00Z", no_mail),
            run(1, "2026-06-25T09:00:00Z", no_mail),
            run(2, "2026-06-25T09:00:00Z", no_mail),
        ),
        vector(
            "a mail that one worker did not deliver is sent by another at the next run",
            installed,
            _by(2, state(FIRST_DAY, "active")),
            run(1, "2026-06-24T09:00:00Z", mail(7, 7), delivered=False),
            run(2, "2026-06-24T09:00:00Z", no_mail),
            run(2, "2026-06-25T09:00:00Z", mail(7, 6)),
        ),
    ]
