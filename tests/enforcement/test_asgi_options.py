"""Options of the middleware, and its place among other middleware."""

import logging
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.middleware.cors import CORSMiddleware
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route as AppRoute
from support.asgi import fetch, http_scope, messages, status, websocket_scope
from support.servers import Server

from polygent_issuer.enforcement import LicenseMiddleware, Route, ServerLicense, StoreFailed
from polygent_issuer.enforcement.asgi import App
from polygent_issuer.enforcement.refusals import NOT_OPEN
from polygent_issuer.verifier import AllowedDomain

EVERY = ["GET", "POST", "PUT", "DELETE", "OPTIONS", "TRACE"]


async def anything(request: Request) -> PlainTextResponse:
    """Answer any request."""
    return PlainTextResponse(f"reached {request.method}")


def app_with(server: Server, **options: Any) -> Starlette:
    """An app of one endpoint for every path behind the middleware."""
    app = Starlette(routes=[AppRoute("/{rest:path}", anything, methods=EVERY)])
    app.add_middleware(
        LicenseMiddleware, **{"license": server.license, "now": lambda: server.now, **options}
    )
    return app


@pytest.mark.parametrize("before", [{"license": None}, {}])
def test_a_license_that_the_lifespan_opens(server: Server, before: dict[str, None]) -> None:
    """Until the callable returns a license, what needs one gets 503, and the rest passes."""
    app = Starlette(routes=[AppRoute("/{rest:path}", anything)])
    app.add_middleware(LicenseMiddleware, license=lambda: app.state.license, now=lambda: server.now)
    for name, value in before.items():
        setattr(app.state, name, value)
    for path in ("/api/license", "/api/me", "/pages"):
        assert fetch(app, "GET", path).text == "reached GET"
    refused = fetch(app, "GET", "/api/items")
    assert (refused.status_code, refused.json()) == (503, NOT_OPEN.to_json())
    sent = messages(app, websocket_scope("/api/agents/session"), "websocket.connect")
    assert sent[-1]["reason"] == "license_not_open: the server has not opened its license"
    app.state.license = server.license
    assert fetch(app, "GET", "/api/items").json()["error"]["code"] == "license_none"
    server.install(0)
    assert fetch(app, "GET", "/api/items").text == "reached GET"


def test_a_failing_callable_is_logged(server: Server, caplog: pytest.LogCaptureFixture) -> None:
    """The log has the reason, which the client does not get."""

    def opened() -> ServerLicense:
        raise LookupError("no secret here")

    with caplog.at_level(logging.ERROR):
        refused = fetch(app_with(server, license=opened), "GET", "/api/items")
    assert refused.json() == NOT_OPEN.to_json()
    assert caplog.messages == ["the license is not open: LookupError: no secret here"]


def test_a_flood_of_requests_does_not_fill_the_log(
    server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    """An error that every request meets is logged once a minute, with the number in between."""

    def opened() -> ServerLicense:
        raise LookupError("no store")

    async def failing(*_: object) -> None:
        raise StoreFailed("/srv/license.db is locked")

    for app, path in (
        (app_with(server, license=opened), "/api/items"),
        (LicenseMiddleware(failing, license=server.license, now=lambda: server.now), "/pages"),
    ):
        caplog.clear()
        with caplog.at_level(logging.ERROR):
            assert {status(app, http_scope(path)) for _ in range(10)} == {503}
            (first,) = caplog.messages
            server.now += timedelta(minutes=1)
            status(app, http_scope(path))
        assert caplog.messages == [first, f"{first} (and 9 more before)"]


def test_another_license_from_the_callable_counts_at_once(server: Server) -> None:
    """The callable is called at each request; nothing is kept of the license that it replaces."""
    server.install(0, features=("bots",))
    licenses: list[ServerLicense | None] = [server.license]
    app = app_with(server, license=lambda: licenses[-1], features={"/api/bots": "bots"})
    assert [status(app, http_scope("/api/bots")) for _ in range(3)] == [200] * 3
    licenses.append(None)
    assert status(app, http_scope("/api/bots")) == 503


def broken_clock() -> Any:
    """Raise as a clock does that cannot be read."""
    raise OSError("no clock")


def test_a_clock_that_fails_locks_no_admin_out(server: Server) -> None:
    """The recovery routes and pages need neither clock nor machine; the API fails."""
    server.install(0)
    app = app_with(server, now=broken_clock)
    for path in ("/api/license", "/pages"):
        assert status(app, http_scope(path)) == 200
    with pytest.raises(OSError, match="no clock"):
        status(app, http_scope("/api/items"))


def test_extra_routes_extend_the_table(server: Server) -> None:
    """A health check and the callback of a single sign-on pass in every state, the rest stays."""
    app = app_with(
        server,
        extra_routes={
            ("GET", "/api/health"): Route.HEALTH,
            ("POST", "/api/sso/callback"): Route.SIGN_IN,
            ("GET", "/export"): Route.API,
        },
    )
    for method, path in [
        ("GET", "/api/health"),
        ("HEAD", "/api/health"),
        ("POST", "/api/sso/callback"),
        ("GET", "/api/license"),
        ("POST", "/api/sign-in"),
    ]:
        assert fetch(app, method, path).status_code == 200, path
    for method, path in [
        ("POST", "/api/health"),
        ("GET", "/api/health/"),
        ("GET", "/api/sso/callback"),
        ("GET", "/export"),
        ("HEAD", "/export"),
        ("HEAD", "/api/items"),
    ]:
        assert fetch(app, method, path).status_code == 503, path


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"routes": {}}, "no route for current_user, license_status, .*DEFAULT_ROUTES"),
        ({"extra_routes": {("POST", "/api/license"): Route.API}}, "no route for license_upload"),
        ({"extra_routes": {("GET", "/api/{id}"): Route.SIGN_IN}}, "has a parameter"),
        ({"features": {"/api/bots": "bot"}}, "no license has the feature 'bot'"),
    ],
)
def test_options_without_effect_are_refused_when_made(
    server: Server, options: dict[str, Any], message: str
) -> None:
    """A mistake in a table is an error before the first request."""
    with pytest.raises(ValueError, match=message):
        LicenseMiddleware(Starlette(), license=server.license, now=lambda: server.now, **options)


def complete(server: Server) -> Callable[[str], int]:
    """A server whose license has every feature of the paths; return the status of a path."""
    app = app_with(server, features={"/api/bots": "bots"})

    def answer(path: str) -> int:
        return status(app, http_scope(path))

    server.install(0, features=("bots",))
    assert [answer("/api/bots"), answer("/api/bots")] == [200, 200]
    return answer


def test_a_license_with_every_feature_still_refuses_control_characters(server: Server) -> None:
    """Also encoded and below a prefix of a proxy, after requests that passed."""
    answer = complete(server)
    for path in ("/api/items\n", "/api/items%0A", "/api/%250a", "/\x85/../api", "/api/\x00"):
        assert answer(path) == 400, path
    assert [answer("/pages\n"), answer("/api/100%"), answer("/api/a b.PDF")] == [200, 200, 200]
    app = app_with(server)
    assert [status(app, http_scope("/x", root_path=root)) for root in ("/api", "/api\n")] == [
        200,
        400,
    ]


def test_a_license_with_every_feature_ends_like_any_other(server: Server) -> None:
    """A path that passed before the expiry does not pass afterwards."""
    answer = complete(server)
    server.now = server.held().expires_at
    assert answer("/api/bots") == 503


def test_a_renewal_without_a_feature_counts_at_once(server: Server) -> None:
    """The path of the feature is refused from the next request on, and the others are not."""
    answer = complete(server)
    server.install(1, iat=int(server.now.timestamp()), features=())
    assert [answer("/api/bots"), answer("/api/Bots/1"), answer("/api/items")] == [403, 403, 200]
    server.install(2, iat=int(server.now.timestamp()) + 1, features=("bots",))
    assert answer("/api/bots") == 200


def test_the_same_license_for_another_host(server: Server) -> None:
    """A license with every feature is refused for a host that it does not cover."""
    app = app_with(server)
    server.install(0, fingerprint=None, allowed_domain=AllowedDomain("localhost"))
    for host, expected in [(b"localhost", 200), (b"evil", 503), (b"localhost", 200)]:
        assert status(app, http_scope("/api/x", headers=[(b"host", host)])) == expected
        assert status(app, http_scope("/pages", headers=[(b"host", host)])) == 200
    twice = [(b"host", b"localhost"), (b"x", b""), (b"host", b"localhost")]
    assert status(app, http_scope("/api/x", headers=twice)) == 503
    assert status(app, http_scope("/api/x", headers=[])) == 503


@pytest.mark.parametrize(
    "method", ["OPTIONS", "TRACE", "CONNECT", "PROPFIND", "options", "get", ""]
)
def test_no_other_method_is_exempt(server: Server, method: str) -> None:
    """A preflight, too, is a request of the API: the gate exempts none."""
    app = app_with(server)
    for path in ("/api/license", "/api/me", "/api/items"):
        assert status(app, http_scope(path, method=method)) == 503


def test_a_lifespan_runs_without_a_license(server: Server) -> None:
    """The app's lifespan, which opens the license, passes through the middleware."""
    events: list[str] = []

    async def inner(scope: Any, _receive: Any, _send: Any) -> None:
        events.append(scope["type"])

    gate = LicenseMiddleware(inner, license=lambda: None, now=lambda: server.now)
    messages(gate, {"type": "lifespan"}, "lifespan.startup")
    assert events == ["lifespan"]


ORIGIN = "https://app.acme.internal"


def cors_outside(kind: Callable[[], Starlette], server: Server) -> App:
    """Add the license first and CORS after it: the middleware that is added last is outermost."""
    app = kind()
    app.add_route("/{rest:path}", anything, ["GET", "DELETE", "OPTIONS"])
    app.add_middleware(LicenseMiddleware, license=server.license, now=lambda: server.now)
    app.add_middleware(CORSMiddleware, allow_origins=[ORIGIN], allow_methods=["GET", "DELETE"])
    return app


@pytest.mark.parametrize("kind", [Starlette, FastAPI])
def test_cors_belongs_outside(kind: Callable[[], Starlette], server: Server) -> None:
    """A preflight is answered in every state, and a browser may read the refusal."""
    app = cors_outside(kind, server)
    asked = {"origin": ORIGIN, "access-control-request-method": "DELETE"}
    preflight = fetch(app, "OPTIONS", "/api/items/1", headers=asked)
    assert (preflight.status_code, preflight.text) == (200, "OK")
    assert preflight.headers["access-control-allow-origin"] == ORIGIN
    refused = fetch(app, "DELETE", "/api/items/1", headers={"origin": ORIGIN})
    assert (refused.status_code, refused.json()["error"]["code"]) == (503, "license_none")
    assert refused.headers["access-control-allow-origin"] == ORIGIN
    assert fetch(app, "OPTIONS", "/api/items/1", headers={"origin": ORIGIN}).status_code == 503
    server.install(0)
    reached = fetch(app, "DELETE", "/api/items/1", headers={"origin": ORIGIN})
    assert (reached.text, reached.headers["access-control-allow-origin"]) == (
        "reached DELETE",
        ORIGIN,
    )


@pytest.mark.parametrize("kind", [Starlette, FastAPI])
def test_cors_inside_would_not_work(kind: Callable[[], Starlette], server: Server) -> None:
    """In the other order the license refuses the preflight: why the order matters."""
    app = kind()
    app.add_middleware(CORSMiddleware, allow_origins=[ORIGIN], allow_methods=["DELETE"])
    app.add_middleware(LicenseMiddleware, license=server.license, now=lambda: server.now)
    asked = {"origin": ORIGIN, "access-control-request-method": "DELETE"}
    refused = fetch(app, "OPTIONS", "/api/items/1", headers=asked)
    assert refused.status_code == 503
    assert "access-control-allow-origin" not in refused.headers
