"""Vectors for the requests and websockets that a server refuses, by route, state and Host."""

from vectors.server_licenses import OTHER_FINGERPRINT
from vectors.server_steps import (
    ALLOWED,
    FIRST_DAY,
    Json,
    install,
    machine,
    refused,
    restart,
    state,
    step,
    vector,
)

_HOST = "api.example.internal"
_EXPIRED_AT = "2027-01-01T00:00:00Z"

# A recovery route is allowed only with this method and spelling.
_RECOVERY = [
    ("GET", "/api/license"),
    ("HEAD", "/api/license"),
    ("POST", "/api/license"),
    ("GET", "/api/machine-info"),
    ("HEAD", "/api/machine-info"),
    ("POST", "/api/sign-in"),
    ("POST", "/api/sign-out"),
    ("GET", "/api/me"),
    ("HEAD", "/api/me"),
]
_PAGES = [
    ("GET", "/"),
    ("GET", "/settings/license"),
    ("POST", "/contact"),
    ("GET", "/apiary"),
    ("GET", "/api-docs"),
    ("GET", "/pages/api/x"),
    ("GET", "/assets/api.js"),
]
_API = [
    ("GET", "/api/items"),
    ("HEAD", "/api/items"),
    ("POST", "/api/items"),
    ("PUT", "/api/items/1"),
    ("PATCH", "/api/items/1"),
    ("DELETE", "/api/items/1"),
    ("OPTIONS", "/api/items"),
    ("GET", "/api"),
    ("GET", "/api/"),
    ("DELETE", "/api/license"),
    ("OPTIONS", "/api/license"),
    ("HEAD", "/api/sign-in"),
    ("GET", "/api/sign-out"),
    ("POST", "/api/machine-info"),
    ("get", "/api/license"),
]
_SPELLINGS = [
    *("/api/license/", "/api/License", "/api//license", "//api/license", "/api/./license"),
    *("/api/license/x", "/api/license;a", "/api/license%20", "/api/license%3Fa"),
    *("/api%252Flicense", "/API/items", "/Api/items", "/%61PI/items", "/%2561pi/items"),
    *("/%25252561pi/items",),
    *("/pages/../api/items", "/pages/%2e%2e/api/items", "/pages/%252e%252e/api/items"),
    *("/pages/..;/api/items", "/api;v=1/items", "/;a/api/items", "/%5Capi%5Citems"),
    *("/api/../pages", "/api%3F", "/api%23x", "/pages/..%2Fapi", "/api%2fitems"),
    *("http://api.example.internal/api/items", "x:/api/items"),
]
_CONTROLS = [
    *("/api/items%0A", "/api%0a", "/api/%00", "/api/items%250d", "/api/x%7F", "/api/x%C2%85"),
    *("/%0Aapi/items", "/pages/%2e%2e/api/%09x", "/api%00/../pages"),
]
_FEATURES = {
    "/api/workflows": "workflows",
    "/api/planner": "planner",
    "/api/planner/bots": "bots",
    "/api/memory": "memory",
    "/reports": "insights",
    "/chats": "bots",
}


def every() -> list[Json]:
    """All these vectors."""
    return [*_states(), *_spellings(), *_hosts(), *_routes(), *_modules(), *_order()]


def _request(method: str, path: str, now: str, expected: Json, host: str | None = _HOST) -> Json:
    headers = [] if host is None else [["Host", host]]
    return step("request", now, expected, method=method, path=path, headers=headers)


def _websocket(path: str, now: str, expected: Json, host: str = _HOST) -> Json:
    return step("websocket", now, expected, path=path, headers=[["Host", host]])


def _every_route(now: str, of_api: Json) -> list[Json]:
    """Requests of every kind of route, with the answer that those of the API get."""
    return [
        *(_request(method, path, now, ALLOWED) for method, path in (*_RECOVERY, *_PAGES)),
        *(_request(method, path, now, of_api) for method, path in _API),
        _websocket("/live", now, ALLOWED),
        _websocket("/api/live", now, of_api),
        _websocket("/api/agents/session", now, of_api),
        _websocket("/api/agents/deploy", now, of_api),
        _websocket("/api/license", now, of_api),
    ]


def _states() -> list[Json]:
    back = "2026-02-01T00:00:00Z"
    return [
        vector("routes: no license", *_every_route(FIRST_DAY, refused(503, "license_none"))),
        vector("routes: active", install("standard"), *_every_route(FIRST_DAY, ALLOWED)),
        vector(
            "routes: expired",
            install("standard"),
            *_every_route(_EXPIRED_AT, refused(503, "license_expired")),
        ),
        vector(
            "routes: not yet valid",
            install("standard"),
            *_every_route("2025-12-31T20:00:00Z", refused(503, "license_not_yet_valid")),
        ),
        vector(
            "routes: another machine",
            install("standard"),
            machine(OTHER_FINGERPRINT),
            *_every_route(FIRST_DAY, refused(503, "license_machine_changed")),
        ),
        vector(
            "routes: the clock was set back",
            install("standard"),
            state("2026-03-01T00:00:00Z", "active"),
            *_every_route(back, refused(503, "license_clock_tampered")),
        ),
        vector(
            "routes: no longer authentic",
            install("signed with the second key"),
            restart(trusted=1),
            *_every_route(FIRST_DAY, refused(503, "license_not_authentic")),
        ),
        vector(
            "an expiry and a renewal take effect at once",
            install("standard"),
            _request("GET", "/api/items", "2026-12-31T23:59:59.999999Z", ALLOWED),
            _request("GET", "/api/items", _EXPIRED_AT, refused(503, "license_expired")),
            _request("POST", "/api/license", _EXPIRED_AT, ALLOWED),
            install("renewal", _EXPIRED_AT),
            _request("GET", "/api/items", _EXPIRED_AT, ALLOWED),
            window=40 * 86_400,
        ),
    ]


def _spellings() -> list[Json]:
    none, malformed = refused(503, "license_none"), refused(400, "malformed_path")
    return [
        vector(
            "another spelling of a path of the API is not exempt and not a page",
            *(_request("GET", path, FIRST_DAY, none) for path in _SPELLINGS),
        ),
        vector(
            "a path is compared after one decoding",
            _request("GET", "/api/licens%65", FIRST_DAY, ALLOWED),
            _request("GET", "/api/licens%2565", FIRST_DAY, none),
            _request("GET", "/%70ages", FIRST_DAY, ALLOWED),
        ),
        vector(
            "a control character in a path of the API",
            *(_request("GET", path, FIRST_DAY, none) for path in _CONTROLS),
            _request("GET", "/pages%0A", FIRST_DAY, ALLOWED),
            install("standard"),
            *(_request("GET", path, FIRST_DAY, malformed) for path in _CONTROLS),
            _request("GET", "/pages%0A", FIRST_DAY, ALLOWED),
        ),
    ]


def _hosts() -> list[Json]:
    mismatch = refused(503, "domain_mismatch")
    matching = [_HOST, "API.Example.INTERNAL:8443", "api.example.internal.", "x.example.internal:"]
    others = [
        *("example.internal", "api.v2.example.internal", "api.example.internal.evil.test"),
        *("10.0.0.1", "[::1]:80", "user@api.example.internal", "", "localhost"),
    ]
    two = [["Host", _HOST], ["Host", _HOST]]
    forwarded = [["Host", "localhost:8000"], ["X-Forwarded-Host", _HOST]]
    ask = {"method": "GET", "path": "/api/items"}
    return [
        vector(
            "the Host of a request: one level below the domain",
            install("enterprise"),
            *(_request("GET", "/api/items", FIRST_DAY, ALLOWED, host) for host in matching),
            *(_request("GET", "/api/items", FIRST_DAY, mismatch, host) for host in others),
            _request("GET", "/api/items", FIRST_DAY, mismatch, host=None),
            step("request", FIRST_DAY, mismatch, **ask, headers=two),
            step("request", FIRST_DAY, mismatch, **ask, headers=forwarded),
            _request("GET", "/api/items", FIRST_DAY, ALLOWED),
            state(FIRST_DAY, "active"),
        ),
        vector(
            "the Host of a websocket",
            install("enterprise"),
            _websocket("/api/agents/session", FIRST_DAY, ALLOWED),
            _websocket("/api/agents/session", FIRST_DAY, mismatch, host="localhost"),
            _websocket("/live", FIRST_DAY, ALLOWED, host="localhost"),
        ),
        vector(
            "recovery routes and pages are allowed with any Host",
            install("enterprise"),
            *(
                _request(method, path, FIRST_DAY, ALLOWED, host)
                for method, path in (*_RECOVERY, *_PAGES)
                for host in ("localhost", None)
            ),
        ),
        vector(
            "a license without a domain: any Host",
            install("enterprise, any domain"),
            _request("GET", "/api/items", FIRST_DAY, ALLOWED, "localhost"),
            _request("GET", "/api/items", FIRST_DAY, ALLOWED, host=None),
            install("standard"),
            _request("GET", "/api/items", FIRST_DAY, ALLOWED, host=None),
        ),
        vector(
            "a reissue with another domain",
            install("enterprise"),
            install("enterprise, other domain", "2026-06-01T12:00:00Z"),
            _request("GET", "/api/items", "2026-06-01T12:00:00Z", mismatch),
            _request("GET", "/api/items", "2026-06-01T12:00:00Z", ALLOWED, "api.example.test"),
        ),
    ]


def _routes() -> list[Json]:
    none = refused(503, "license_none")
    extra = [
        {"method": "GET", "path": "/api/sso/callback", "kind": "sign_in"},
        {"method": "GET", "path": "/api/health", "kind": "health"},
        {"method": "GET", "path": "/api/docs", "kind": "page"},
        {"method": "GET", "path": "/hooks/agent", "kind": "session_agent"},
        {"method": "POST", "path": "/rpc", "kind": "api"},
    ]
    return [
        vector(
            "routes of the server's own",
            _request("GET", "/api/sso/callback", FIRST_DAY, ALLOWED),
            _request("POST", "/api/sso/callback", FIRST_DAY, none),
            _request("GET", "/api/health", FIRST_DAY, ALLOWED),
            _request("HEAD", "/api/health", FIRST_DAY, ALLOWED),
            _request("GET", "/api/health/db", FIRST_DAY, none),
            _request("GET", "/api/docs", FIRST_DAY, ALLOWED),
            _request("GET", "/hooks/agent", FIRST_DAY, none),
            _request("HEAD", "/hooks/agent", FIRST_DAY, none),
            _request("GET", "/Hooks//agent/", FIRST_DAY, none),
            _request("POST", "/hooks/agent", FIRST_DAY, ALLOWED),
            _request("POST", "/rpc", FIRST_DAY, none),
            _request("GET", "/rpc", FIRST_DAY, ALLOWED),
            _request("GET", "/api/license", FIRST_DAY, ALLOWED),
            routes=extra,
        ),
    ]


def _modules() -> list[Json]:
    def lacks(feature: str) -> Json:
        return refused(403, "feature_missing", feature=feature)

    return [
        vector(
            "the paths of features",
            install("modules"),
            _request("GET", "/api/workflows", FIRST_DAY, ALLOWED),
            _request("GET", "/api/workflows/1", FIRST_DAY, ALLOWED),
            _request("GET", "/api/memory", FIRST_DAY, lacks("memory")),
            _request("POST", "/api/memory/1", FIRST_DAY, lacks("memory")),
            _request("GET", "/API//Memory/1", FIRST_DAY, lacks("memory")),
            _request("GET", "/api/workflows/../memory", FIRST_DAY, lacks("memory")),
            _request("GET", "/api/memory-of-mine", FIRST_DAY, ALLOWED),
            _request("GET", "/api/planner/1", FIRST_DAY, ALLOWED),
            _request("GET", "/api/planner/bots", FIRST_DAY, lacks("bots")),
            _request("GET", "/api/planner/bots/1", FIRST_DAY, lacks("bots")),
            _request("GET", "/api/planner/botsy", FIRST_DAY, ALLOWED),
            _request("GET", "/reports/1", FIRST_DAY, ALLOWED),
            _request("GET", "/chats", FIRST_DAY, lacks("bots")),
            _websocket("/api/memory/live", FIRST_DAY, lacks("memory")),
            features=_FEATURES,
        ),
        vector(
            "a path below two features needs both",
            install("fewer rights", "2026-06-01T12:00:00Z"),
            _request("GET", "/api/planner/bots", "2026-06-01T12:00:00Z", lacks("bots")),
            _request("GET", "/api/planner", "2026-06-01T12:00:00Z", lacks("planner")),
            features=_FEATURES,
        ),
        vector(
            "a path of a feature needs an active license, also outside the API",
            _request("GET", "/reports", FIRST_DAY, refused(503, "license_none")),
            _request("GET", "/other", FIRST_DAY, ALLOWED),
            features=_FEATURES,
        ),
    ]


def _order() -> list[Json]:
    return [
        vector(
            "the order of the checks: state, Host, path, feature",
            _request("GET", "/api/memory%0A", FIRST_DAY, refused(503, "license_none"), "x.test"),
            install("enterprise"),
            _request("GET", "/api/memory%0A", FIRST_DAY, refused(503, "domain_mismatch"), "x.test"),
            _request("GET", "/api/memory%0A", FIRST_DAY, refused(400, "malformed_path")),
            _request(
                "GET", "/api/memory", FIRST_DAY, refused(403, "feature_missing", feature="memory")
            ),
            features=_FEATURES,
        ),
    ]
