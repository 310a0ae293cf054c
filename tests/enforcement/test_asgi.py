"""The middleware in a real Starlette app, a real FastAPI app, and a real server."""

import gc
import json
import tracemalloc
from collections.abc import MutableMapping
from typing import Any

import pytest
from fastapi import FastAPI, WebSocket
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, WebSocketRoute
from starlette.routing import Route as AppRoute
from support.asgi import fetch, http_scope, messages, send_raw, served, status, websocket_scope
from support.servers import DAY, Server

from polygent_issuer.enforcement import DEFAULT_ROUTES, WEBSOCKET, LicenseMiddleware, Route
from polygent_issuer.enforcement.asgi import App
from polygent_issuer.enforcement.paths import RECOVERY
from polygent_issuer.verifier import AllowedDomain

FEATURES = {"/api/workflows": "workflows"}


def page(request: Request) -> PlainTextResponse:
    """Answer any page."""
    return PlainTextResponse(f"page {request.url.path}")


async def api(request: Request) -> PlainTextResponse:
    """Answer any route of the API."""
    return PlainTextResponse(f"api {request.method}")


async def agent(websocket: WebSocket) -> None:
    """Accept an agent's connection."""
    await websocket.accept()
    await websocket.send_text("welcome")
    await websocket.close()


def starlette(server: Server) -> App:
    """A Starlette app of pages, an API and agents, with one line for the license."""
    methods = ["GET", "POST", "PUT"]
    app = Starlette(
        routes=[
            WebSocketRoute("/api/agents/session", agent),
            WebSocketRoute("/live", agent),
            AppRoute("/api/{rest:path}", api, methods=methods),
            AppRoute("/{rest:path}", page, methods=methods),
        ]
    )
    app.add_middleware(
        LicenseMiddleware, license=server.license, now=lambda: server.now, features=FEATURES
    )
    return app


def fastapi(server: Server) -> App:
    """The same app in FastAPI."""
    app = FastAPI()
    app.add_middleware(
        LicenseMiddleware, license=server.license, now=lambda: server.now, features=FEATURES
    )
    app.add_api_websocket_route("/api/agents/session", agent)
    app.add_api_websocket_route("/live", agent)
    app.add_route("/api/{rest:path}", api, ["GET", "POST", "PUT"])
    app.add_route("/{rest:path}", page, ["GET", "POST", "PUT"])
    return app


@pytest.fixture(params=[starlette, fastapi])
def app(request: pytest.FixtureRequest, server: Server) -> App:
    """An app of either framework."""
    made: App = request.param(server)
    return made


def test_one_line_in_an_app(app: App, server: Server) -> None:
    """API requests get 503 in every state except active, in which they pass unchanged."""
    refused = fetch(app, "GET", "/api/items")
    assert refused.status_code == 503
    assert refused.headers["content-type"] == "application/json"
    assert refused.headers["cache-control"] == "no-store"
    assert refused.json() == {
        "error": {
            "code": "license_none",
            "message": "no license is installed",
            "hint": "ask an admin to upload a license under Settings, License",
        }
    }
    server.install(0)
    assert fetch(app, "POST", "/api/items", content=b"x").text == "api POST"
    server.now += 365 * DAY
    assert fetch(app, "GET", "/api/items").json()["error"]["code"] == "license_expired"


@pytest.mark.parametrize(("method", "path"), [at for at in DEFAULT_ROUTES if at[0] != "WEBSOCKET"])
def test_exempt_routes_pass_in_every_state(app: App, method: str, path: str) -> None:
    """Status, machine info, upload, sign-in, sign-out and current user pass in every state."""
    assert fetch(app, method, path).text == f"api {method}"
    assert fetch(app, "PUT", path).status_code == 503
    assert fetch(app, method, f"{path}/").status_code == 503


@pytest.mark.parametrize("path", ["/", "/settings/license", "/apiary"])
def test_pages_pass(app: App, path: str) -> None:
    """Routes outside the API pass."""
    assert fetch(app, "GET", path).text == f"page {path}"


def test_a_missing_feature_is_403(app: App, server: Server) -> None:
    """A missing feature gives 403 with its name, after the check of the state."""
    assert fetch(app, "GET", "/api/workflows/1").status_code == 503
    server.install(0)
    refused = fetch(app, "GET", "/api/workflows/1")
    assert (refused.status_code, refused.json()["error"]["feature"]) == (403, "workflows")
    server.now += DAY
    server.install(1, features=("workflows",))
    assert fetch(app, "GET", "/api/workflows/1").text == "api GET"


def test_a_control_character_in_a_path_of_the_api_is_400(app: App, server: Server) -> None:
    """The state is checked first, and a page with such a path passes."""
    assert fetch(app, "GET", "/api/workflows%0A").status_code == 503
    server.install(0, features=("workflows",))
    assert fetch(app, "GET", "/api/workflows").status_code == 200
    for path in ("/api/workflows%0A", "/api%0A", "/api/me%00"):
        refused = fetch(app, "GET", path)
        assert (refused.status_code, refused.json()["error"]["code"]) == (400, "malformed_path")
    assert fetch(app, "GET", "/pages%0A").status_code == 200


HOSTS = [
    ([b"api.acme.internal"], 200),
    ([b"API.ACME.internal.:8443"], 200),
    ([b"acme.internal"], 503),
    ([b"api.acme.internal@evil.example"], 503),
    ([b"evil.example"], 503),
    ([b"\xff\x00"], 503),
    ([b""], 503),
    ([], 503),
    ([b"api.acme.internal", b"api.acme.internal"], 503),
    ([b"api.acme.internal", b"evil.example"], 503),
    ([b"evil.example", b"api.acme.internal"], 503),
]


def test_a_domain_is_a_verdict_on_one_request(app: App, server: Server) -> None:
    """The allowed domain decides about one request; a missing or repeated Host is empty."""
    server.install(0, fingerprint=None, allowed_domain=AllowedDomain("*.acme.internal"))
    for hosts, expected in [*HOSTS, *reversed(HOSTS)]:
        headers = [(b"accept", b"*/*"), *((b"host", host) for host in hosts)]
        scope = http_scope("/api/x", headers=headers)
        assert status(app, scope) == expected, hosts
        assert status(app, http_scope("/api/me", headers=headers)) == 200
    server.held()


def test_a_host_that_matched_before_may_not_match_now(app: App, server: Server) -> None:
    """The cached match of a Host ends with its license."""
    server.install(0, fingerprint=None, allowed_domain=AllowedDomain("a.internal"))
    scope = http_scope("/api/x", headers=[(b"host", b"a.internal")])
    assert status(app, scope) == 200
    server.now += DAY
    server.install(1, fingerprint=None, allowed_domain=AllowedDomain("b.internal"))
    (start, body) = messages(app, scope, "http.request")
    assert start["status"] == 503
    assert json.loads(body["body"])["error"]["code"] == "domain_mismatch"
    assert b"internal" not in body["body"]


def test_agents_are_refused_with_a_license_error(app: App, server: Server) -> None:
    """Agents get 503 if the server can send that, or are accepted and closed with the reason."""
    scope = websocket_scope("/api/agents/session")
    assert messages(app, scope, "websocket.connect") == [
        {"type": "websocket.accept"},
        {
            "type": "websocket.close",
            "code": 1008,
            "reason": "license_none: no license is installed",
        },
    ]
    start, body = messages(
        app, {**scope, "extensions": {"websocket.http.response": {}}}, "websocket.connect"
    )
    assert (start["type"], start["status"]) == ("websocket.http.response.start", 503)
    assert json.loads(body["body"])["error"]["code"] == "license_none"
    server.install(0)
    accepted = messages(app, scope, "websocket.connect")
    assert accepted[1]["type"] == "websocket.send"


def test_other_websockets(app: App) -> None:
    """Websockets below the API are checked; others pass."""
    refused = messages(app, websocket_scope("/api/me"), "websocket.connect")
    assert refused[1]["type"] == "websocket.close"
    passed = messages(app, websocket_scope("/live"), "websocket.connect")
    assert passed[1]["type"] == "websocket.send"


def test_a_client_that_left_gets_no_answer(app: App) -> None:
    """A client that left before its refusal is not an error."""
    assert messages(app, websocket_scope("/api/x"), "websocket.disconnect") == []


def test_a_close_reason_fits_into_its_frame(server: Server) -> None:
    """A close reason has at most 123 bytes (RFC 6455 §5.5)."""
    from polygent_issuer.enforcement import refusals  # noqa: PLC0415 - only this test uses it

    all_of_them = (
        *refusals.OF_STATE.values(),
        *(refusals.STORE_FAILED, refusals.DOMAIN_MISMATCH, refusals.HOST_LIMIT),
        refusals.MALFORMED_PATH,
    )
    for each in all_of_them:
        assert len(f"{each.code}: {each.message}".encode()) <= 123
    server.install(0)


def test_a_failing_store_is_503(app: App, server: Server) -> None:
    """A transition that cannot be stored has no effect, and exempt routes pass."""
    server.install(0)
    server.store.close()
    server.now += DAY
    refused = fetch(app, "GET", "/api/x")
    assert (refused.status_code, refused.json()["error"]["code"]) == (503, "license_store_failed")
    assert fetch(app, "GET", "/api/license").status_code == 200


def test_a_lifespan_passes(server: Server) -> None:
    """An event other than a request or websocket is passed to the app."""
    seen = []

    async def inner(scope: MutableMapping[str, Any], _receive: Any, _send: Any) -> None:
        seen.append(scope["type"])

    app = LicenseMiddleware(inner, license=server.license, now=lambda: server.now)
    assert messages(app, {"type": "lifespan"}, "lifespan.startup") == []
    assert seen == ["lifespan"]


def test_a_naive_clock_is_the_integrators_mistake(server: Server) -> None:
    """A naive clock is an error at the first request."""
    server.install(0)
    app = LicenseMiddleware(
        starlette(server), license=server.license, now=lambda: server.now.replace(tzinfo=None)
    )
    with pytest.raises(ValueError, match="timezone-aware"):
        status(app, http_scope("/api/x"))


TRICKS = st.lists(
    st.sampled_from(
        ["/", "//", "api", "API", "x", "me", ".", "..", "\\", "%61pi", ";a", "%2f", ""]
    ),
    max_size=8,
).map("".join)


@given(path=TRICKS | st.text(max_size=8), root_path=st.sampled_from(["", "/app", "/api", "/ap"]))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_router_never_reaches_the_api(server: Server, path: str, root_path: str) -> None:
    """Starlette runs no endpoint of the API without a license, whatever the path."""
    reached = []

    async def guarded(request: Request) -> PlainTextResponse:
        reached.append(request.url.path)
        return PlainTextResponse("api")

    inner = Starlette(
        routes=[
            Mount("/mounted", routes=[AppRoute("/{rest:path}", page)]),
            AppRoute("/api", guarded),
            AppRoute("/api/{rest:path}", guarded),
            AppRoute("/{rest:path}", page),
        ]
    )
    elsewhere = {("GET", f"/away/{kind}"): kind for kind in RECOVERY}
    app = LicenseMiddleware(inner, license=server.license, now=lambda: server.now, routes=elsewhere)
    for each in (f"/{path}", root_path + path, root_path + "/" + path):
        status(app, http_scope(each, root_path=root_path))
    assert reached == []


@pytest.mark.slow
def test_requests_leave_no_memory_behind(server: Server) -> None:
    """Long methods, paths and hosts are not cached, refused or not."""
    server.install(0, fingerprint=None, allowed_domain=AllowedDomain("*.acme.internal"))

    async def inner(_scope: Any, _receive: Any, _send: Any) -> None:
        pass

    app = LicenseMiddleware(inner, license=server.license, now=lambda: server.now)

    def requests(number: int) -> None:
        long = f"{number:060000}"
        for host in (b"a.acme.internal", long.encode()):
            headers = [(b"host", host), (b"x", long.encode())]
            for path in ("/api/x", f"/api/{long}", f"/pages/{long}", "/api/me"):
                messages(app, http_scope(path, method=long, headers=headers), "http.request")
        messages(app, websocket_scope(f"/api/{long}"), "websocket.connect")

    # What the first requests load and cache, in Python too, is not what a request leaves behind.
    requests(0)
    tracemalloc.start()
    for number in range(1, 101):
        requests(number)
    gc.collect()
    memory, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert memory < 2 * 2**20


def test_mounted_below_another_app(server: Server) -> None:
    """The middleware of a mounted app checks the whole path."""
    inner = Starlette(routes=[AppRoute("/x", api), AppRoute("/me", api)])
    inner.add_middleware(LicenseMiddleware, license=server.license, now=lambda: server.now)
    outer = Starlette(routes=[Mount("/api", app=inner), Mount("/pages", app=inner)])
    statuses = [status(outer, http_scope(path)) for path in ("/api/x", "/api/me", "/pages/x")]
    assert statuses == [503, 200, 200]


def test_behind_a_proxy_that_takes_the_prefix_off(server: Server) -> None:
    """The server's `root_path` is part of the path that is checked."""
    app = FastAPI()
    app.add_middleware(LicenseMiddleware, license=server.license, now=lambda: server.now)
    app.add_route("/x", api)
    app.add_route("/me", api)
    paths = ("/x", "/me", "/api/x", "/api/me")
    statuses = [status(app, http_scope(path, root_path="/api")) for path in paths]
    assert statuses == [503, 200, 503, 200]


def test_on_a_real_server(server: Server) -> None:
    """Uvicorn passes requests, a websocket's handshake and a repeated Host to the middleware."""
    with served(starlette(server)) as port:
        request = ("GET /api/x HTTP/1.1", "Host: localhost")
        handshake = (
            "GET /api/agents/session HTTP/1.1",
            *("Host: localhost", "Upgrade: websocket", "Connection: Upgrade"),
            *("Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA=="),
        )
        assert send_raw(port, *request).startswith(b"HTTP/1.1 503 ")
        assert send_raw(port, "GET /%61pi/x HTTP/1.1", "Host: a").startswith(b"HTTP/1.1 503 ")
        assert send_raw(port, "GET /x/../api/x HTTP/1.1", "Host: a").startswith(b"HTTP/1.1 503 ")
        assert send_raw(port, "GET /api/me HTTP/1.1", "Host: a").startswith(b"HTTP/1.1 200 ")
        assert send_raw(port, *handshake).startswith(b"HTTP/1.1 503 ")
        server.install(0, fingerprint=None, allowed_domain=AllowedDomain("localhost"))
        assert send_raw(port, *request).startswith(b"HTTP/1.1 200 ")
        assert send_raw(port, *request, "Host: localhost").startswith(
            (b"HTTP/1.1 503 ", b"HTTP/1.1 400 ")
        )
        assert send_raw(port, *handshake).startswith(b"HTTP/1.1 101 ")


def test_a_method_called_websocket(server: Server) -> None:
    """The exemption of a websocket does not apply to a request with the method WEBSOCKET."""
    routes = {(WEBSOCKET, "/api/live"): Route.PAGE}
    reached: list[str] = []

    async def endpoint(scope: MutableMapping[str, Any], *_: object) -> None:
        reached.append(scope["type"])

    gate = LicenseMiddleware(
        endpoint, license=server.license, now=lambda: server.now, extra_routes=routes
    )
    assert status(gate, http_scope("/api/live", method=WEBSOCKET)) == 503
    messages(gate, websocket_scope("/api/live"), "websocket.connect")
    assert reached == ["websocket"]
