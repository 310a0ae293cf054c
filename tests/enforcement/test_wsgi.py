"""A WSGI app (Flask) behind a2wsgi is an ASGI app like any other."""

from typing import Any, cast

from a2wsgi import WSGIMiddleware
from flask import Flask, request
from support.asgi import fetch, http_scope, messages, status, websocket_scope
from support.servers import Server

from polygent_issuer.enforcement import LicenseMiddleware, Refused, Route
from polygent_issuer.enforcement.asgi import App
from polygent_issuer.enforcement.refusals import HOST_LIMIT


def flask_app(server: Server, **config: object) -> App:
    """A Flask app behind the license."""
    flask = Flask(__name__)
    flask.config.update(config)

    @flask.get("/api/items/<path:name>")
    @flask.get("/api/workflows/<path:name>")
    @flask.get("/pages/<path:name>")
    def item(name: str) -> str:
        return f"item {name}"

    @flask.get("/api/health")
    def health() -> str:
        return "healthy"

    @flask.post("/api/license")
    def upload() -> dict[str, str]:
        return {"customer": server.upload(request.get_data()).customer}

    @flask.get("/api/full")
    def full() -> str:
        raise Refused(HOST_LIMIT)

    return LicenseMiddleware(
        cast("App", WSGIMiddleware(cast("Any", flask))),  # a2wsgi has types of its own
        license=server.license,
        now=lambda: server.now,
        extra_routes={("GET", "/api/health"): Route.HEALTH},
        features={"/api/workflows": "workflows"},
    )


def test_flask_behind_the_license(server: Server) -> None:
    """Its routes are judged like those of an ASGI framework, from the upload on."""
    app = flask_app(server)
    assert fetch(app, "GET", "/api/items/1").json()["error"]["code"] == "license_none"
    assert fetch(app, "GET", "/api/health").text == "healthy"
    assert fetch(app, "GET", "/pages/1").text == "item 1"
    for path in ("//api/items/1", "/pages/..//api/items/1", "/API/items/1", "/%61pi/items/1"):
        assert status(app, http_scope(path)) == 503, path
    file = server.issuer.file(0)
    assert fetch(app, "POST", "/api/license", content=file).json() == {"customer": "Acme GmbH"}
    assert fetch(app, "GET", "/api/items/Report%202026.PDF").text == "item Report 2026.PDF"
    refused = fetch(app, "GET", "/api/workflows/1")
    assert (refused.status_code, refused.json()["error"]["feature"]) == (403, "workflows")


def test_an_error_that_flask_does_not_handle(server: Server) -> None:
    """With `PROPAGATE_EXCEPTIONS`, the middleware answers with an error of enforcement."""
    app = flask_app(server, PROPAGATE_EXCEPTIONS=True)
    server.install(0)
    refused = fetch(app, "GET", "/api/full")
    assert (refused.status_code, refused.json()) == (503, HOST_LIMIT.to_json())
    refused = fetch(app, "POST", "/api/license", content=b"x")
    assert (refused.status_code, refused.json()["error"]["code"]) == (400, "malformed")


def test_an_agent_of_a_wsgi_app(server: Server) -> None:
    """WSGI has no websockets: the license refuses one first, then the bridge closes it."""
    scope = websocket_scope("/api/agents/session")
    assert messages(flask_app(server), scope, "websocket.connect")[-1]["code"] == 1008
    server.install(0)
    assert messages(flask_app(server), scope, "websocket.connect")[-1]["code"] == 1000
