"""Vectors for features, users, sessions and agent hosts."""

from collections.abc import Sequence

from vectors.server_steps import (
    ALLOWED,
    FIRST_DAY,
    TEN_YEARS,
    Json,
    install,
    machine,
    refused,
    restart,
    state,
    step,
    vector,
)

_JUNE = "2026-06-01T12:00:00Z"
_EXPIRED_AT = "2027-01-01T00:00:00Z"
_FULL = refused(400, "user_limit")
NO_HOST = refused(503, "host_limit", message="concurrent host limit reached")


def every() -> list[Json]:
    """All these vectors."""
    return [*_features(), *_users(), *_sessions(), *_hosts(), *_connected_hosts()]


def _feature(name: str, expected: Json, now: str = FIRST_DAY) -> Json:
    return step("feature", now, expected, feature=name)


def _names(expected: Sequence[str], now: str = FIRST_DAY) -> Json:
    return step("features", now, list(expected))


def _add(active: int, expected: Json, now: str = FIRST_DAY) -> Json:
    return step("add user", now, expected, active=active)


def _activate(active: int, expected: Json, now: str = FIRST_DAY) -> Json:
    return step("activate user", now, expected, active=active)


def _sign_in(others: Sequence[str], revoked: Sequence[str], now: str = FIRST_DAY) -> Json:
    return step("sign in", now, {"revoked": list(revoked)}, others=list(others))


def connect(
    label: str, host: str, expected: Json, kind: str = "session", now: str = FIRST_DAY, **more: str
) -> Json:
    """Connect a host; the label names the connection."""
    return step("connect", now, expected, connection=label, kind=kind, host=host, **more)


def _disconnect(label: str) -> Json:
    return {"event": "disconnect", "connection": label}


def count(
    session: tuple[int, int | None], deploy: tuple[int, int | None], now: str = FIRST_DAY
) -> Json:
    """Compare connected hosts and caps in the status."""
    session_hosts = {"connected": session[0], "cap": session[1]}
    deploy_hosts = {"connected": deploy[0], "cap": deploy[1]}
    members = {"sessionHosts": session_hosts, "deployHosts": deploy_hosts}
    return step("status", now, members)


def _features() -> list[Json]:
    return [
        vector(
            "a feature of the license, one that it lacks, and an unknown one",
            install("standard"),
            _names(["automations", "planner", "workflows"]),
            _feature("planner", ALLOWED),
            _feature("bots", refused(403, "feature_missing", feature="bots")),
            _feature("Planner", refused(403, "feature_missing", feature="Planner")),
        ),
        vector(
            "no features without an active license",
            _names([]),
            _feature("planner", refused(503, "license_none")),
            install("standard"),
            _names([], _EXPIRED_AT),
            _feature("planner", refused(503, "license_expired"), _EXPIRED_AT),
            _feature("bots", refused(503, "license_expired"), _EXPIRED_AT),
        ),
        vector(
            "features of enterprise",
            install("enterprise"),
            _feature("sso-saml", ALLOWED),
            _feature("audit-export", ALLOWED),
            _feature("multi-tenant", refused(403, "feature_missing", feature="multi-tenant")),
        ),
    ]


def _users() -> list[Json]:
    return [
        vector(
            "one more user, to the limit",
            install("standard"),
            _add(0, ALLOWED),
            _add(24, ALLOWED),
            _add(25, _FULL),
            _add(26, _FULL),
        ),
        vector(
            "a deactivated user is activated, to the limit",
            install("standard"),
            _activate(24, ALLOWED),
            _activate(25, _FULL),
            _activate(0, refused(503, "license_expired"), _EXPIRED_AT),
        ),
        vector(
            "a license with a lower limit: no new user until the number is below it",
            install("standard"),
            _add(24, ALLOWED),
            install("fewer rights", _JUNE),
            step("status", _JUNE, {"users": {"active": 20, "limit": 5}}, usersActive=20),
            _add(20, _FULL, _JUNE),
            _add(5, _FULL, _JUNE),
            _add(4, ALLOWED, _JUNE),
        ),
        vector(
            "no license, and an expired one",
            _add(0, refused(503, "license_none")),
            install("standard"),
            _add(0, refused(503, "license_expired"), _EXPIRED_AT),
            step("status", _EXPIRED_AT, {"users": {"active": 9, "limit": 25}}, usersActive=9),
        ),
    ]


def _sessions() -> list[Json]:
    return [
        vector(
            "a sign-in ends the user's other sessions",
            _sign_in(["a", "b"], ["a", "b"]),
            install("standard"),
            _sign_in(["a", "b"], ["a", "b"]),
            _sign_in([], []),
        ),
        vector(
            "unless the license has `multiple-active-sessions`, even if it has expired",
            install("several sessions"),
            _sign_in(["a", "b"], []),
            _sign_in(["a", "b"], [], _EXPIRED_AT),
        ),
    ]


def _hosts() -> list[Json]:
    return [
        vector(
            "one host more than the cap is refused until another disconnects",
            install("standard"),
            connect("1", "a", ALLOWED),
            connect("2", "b", ALLOWED),
            connect("3", "c", NO_HOST),
            count((2, 2), (0, 1)),
            _disconnect("1"),
            connect("4", "c", ALLOWED),
            count((2, 2), (0, 1)),
        ),
        vector(
            "each kind has its own cap",
            install("standard"),
            connect("1", "a", ALLOWED),
            connect("2", "b", ALLOWED),
            connect("3", "a", ALLOWED, "deploy"),
            connect("4", "b", NO_HOST, "deploy"),
            count((2, 2), (1, 1)),
        ),
        vector(
            "a reconnect is not counted twice and always succeeds",
            install("standard"),
            connect("1", "a", ALLOWED),
            connect("2", "b", ALLOWED),
            connect("3", "a", ALLOWED),
            count((2, 2), (0, 1)),
            _disconnect("1"),
            connect("4", "c", NO_HOST),
            count((2, 2), (0, 1)),
            _disconnect("3"),
            _disconnect("3"),
            count((1, 2), (0, 1)),
            connect("5", "c", ALLOWED),
        ),
        vector(
            "names of hosts are compared exactly",
            install("standard"),
            connect("1", "a", ALLOWED),
            connect("2", "A", ALLOWED),
            connect("3", "a ", NO_HOST),
        ),
        vector(
            "a cap of 0",
            install("no hosts"),
            connect("1", "a", NO_HOST),
            connect("2", "a", NO_HOST, "deploy"),
        ),
    ]


def _connected_hosts() -> list[Json]:
    return [
        vector(
            "a lower cap: connected hosts stay and may reconnect",
            install("standard"),
            connect("1", "a", ALLOWED),
            connect("2", "b", ALLOWED),
            connect("3", "d", ALLOWED, "deploy"),
            install("fewer rights", _JUNE),
            count((2, 1), (1, 0), _JUNE),
            connect("4", "b", ALLOWED, now=_JUNE),
            connect("5", "d", ALLOWED, "deploy", now=_JUNE),
            _disconnect("1"),
            connect("6", "a", NO_HOST, now=_JUNE),
        ),
        vector(
            "without an active license a host is refused, and a connected one stays counted",
            connect("1", "a", refused(503, "license_none")),
            install("standard"),
            connect("2", "a", ALLOWED),
            connect("3", "a", refused(503, "license_expired"), now=_EXPIRED_AT),
            count((1, 2), (0, 1), _EXPIRED_AT),
            install("renewal", _EXPIRED_AT),
            connect("4", "a", ALLOWED, now=_EXPIRED_AT),
            machine("sha256:" + "0" * 64),
            connect("5", "a", refused(503, "license_machine_changed"), now=_EXPIRED_AT),
            window=TEN_YEARS,
        ),
        vector(
            "the Host of an agent's request",
            install("enterprise"),
            connect("1", "a", ALLOWED, requestHost="api.example.internal"),
            connect("2", "b", refused(503, "domain_mismatch"), requestHost="localhost"),
            connect("3", "b", refused(503, "domain_mismatch"), requestHost=""),
            count((1, 2), (0, 1)),
        ),
        vector(
            "after a restart no host is connected",
            install("standard"),
            connect("1", "a", ALLOWED),
            connect("2", "b", ALLOWED),
            restart(),
            state(FIRST_DAY, "active"),
            count((0, 2), (0, 1)),
            connect("3", "c", ALLOWED),
        ),
    ]
