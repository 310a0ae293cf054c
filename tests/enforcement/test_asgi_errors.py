"""Errors of enforcement that the app raises: the middleware answers with them."""

import asyncio
import gc
import json
import logging
import tracemalloc
import weakref
from collections.abc import AsyncIterator, Callable, MutableMapping
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import pytest
from fastapi import Depends, FastAPI
from starlette.applications import Starlette
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, StreamingResponse
from starlette.routing import Route as AppRoute
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket
from support.asgi import fetch, http_scope, messages, websocket_scope
from support.servers import Server

from polygent_issuer.enforcement import (
    HostKind,
    InstallRefused,
    LicenseMiddleware,
    Refusal,
    Refused,
    StoreFailed,
)
from polygent_issuer.enforcement.asgi import App
from polygent_issuer.enforcement.refusals import HOST_LIMIT, STORE_FAILED

SUPERSEDED = InstallRefused("superseded", "a later license is installed", hint="upload that one")
ERRORS = [
    (Refused(HOST_LIMIT), 503, HOST_LIMIT.to_json()),
    (SUPERSEDED, 400, SUPERSEDED.to_json()),
    (StoreFailed("/srv/license.db is locked", hint="stop process 7"), 503, STORE_FAILED.to_json()),
]


def gate(server: Server, app: App) -> App:
    """The app behind the middleware."""
    return LicenseMiddleware(app, license=server.license, now=lambda: server.now)


@pytest.mark.parametrize(("error", "code", "body"), ERRORS)
def test_an_error_of_a_request_is_answered(
    server: Server, error: Exception, code: int, body: dict[str, Any]
) -> None:
    """An endpoint of Starlette or FastAPI, a dependency or an inner middleware may raise it."""

    def failing() -> None:
        raise error

    async def endpoint(_request: Request) -> PlainTextResponse:
        raise error

    async def inner(request: Request, call_next: Any) -> Any:
        return await call_next(request)

    starlette = Starlette(routes=[AppRoute("/api/license", endpoint, methods=["POST"])])
    starlette.add_middleware(BaseHTTPMiddleware, dispatch=inner)
    fastapi = FastAPI()
    fastapi.add_api_route("/api/license", failing, methods=["POST"])
    depending = FastAPI(dependencies=[Depends(failing)])
    depending.add_api_route("/api/license", lambda: None, methods=["POST"])
    for app in (starlette, fastapi, depending):
        app.add_middleware(LicenseMiddleware, license=server.license, now=lambda: server.now)
        answer = fetch(app, "POST", "/api/license", content=b"x")
        assert (answer.status_code, answer.json()) == (code, body)
        assert answer.headers["content-type"] == "application/json"
        assert answer.headers["cache-control"] == "no-store"


@pytest.mark.parametrize("kind", ["http.request", "websocket.connect"])
@pytest.mark.parametrize(
    "make",
    [lambda: Refused(HOST_LIMIT), lambda: InstallRefused("x", "y")],
    ids=["refused", "install"],
)
def test_an_answered_request_is_not_kept_in_memory(
    server: Server, kind: str, make: Callable[[], Exception]
) -> None:
    """The traceback of an error leads to the request, such as an upload; the answer must not."""
    server.install(0)
    uploads: list[weakref.ref[set[bytes]]] = []

    async def app(*_: object) -> None:
        upload = {b"x"}
        uploads.append(weakref.ref(upload))
        raise make()

    scope = http_scope("/live") if kind == "http.request" else websocket_scope("/live")
    gc.disable()
    try:
        messages(gate(server, app), scope, kind)
        assert [each() for each in uploads] == [None]
    finally:
        gc.enable()


def test_a_request_is_not_kept_in_memory_while_the_store_fails(server: Server) -> None:
    """Each request meets the failure again, so none may stay in memory by its error."""
    server.install(0)
    server.store.close()
    server.now += timedelta(days=1)

    async def app(*_: object) -> None:
        raise AssertionError

    class Body(set[bytes]):
        pass

    body = Body({b"x"})
    held = weakref.ref(body)
    scope = http_scope("/api/x", body=body)
    del body
    gc.disable()
    try:
        assert messages(gate(server, app), scope, "http.request")[0]["status"] == 503
        del scope
        assert held() is None
    finally:
        gc.enable()


def test_a_long_answer_needs_no_memory_for_what_was_sent(server: Server) -> None:
    """A stream of events may last for weeks."""
    server.install(0)
    chunk: MutableMapping[str, Any] = {"type": "http.response.body", "more_body": True}

    async def app(_scope: object, _receive: object, send: Callable[..., Any]) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send(chunk)
        before, _ = tracemalloc.get_traced_memory()
        for _ in range(20_000):
            await send(chunk)
        after, _ = tracemalloc.get_traced_memory()
        assert after - before < 10_000

    async def receive() -> None:
        raise AssertionError

    async def send(_message: object) -> None:
        pass

    tracemalloc.start()
    try:
        asyncio.run(gate(server, app)(http_scope("/api/x"), receive, send))  # type: ignore[arg-type]
    finally:
        tracemalloc.stop()


def test_a_failing_store_is_named_in_the_log_alone(
    server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    """Any client may get the answer, so file and process are for the log."""

    async def app(*_: object) -> None:
        raise StoreFailed("/srv/license.db is locked", hint="end process 7")

    with caplog.at_level(logging.ERROR):
        _, body = messages(gate(server, app), http_scope("/api/license"), "http.request")
    assert b"/srv" not in body["body"]
    assert "/srv/license.db is locked; end process 7" in caplog.text


def test_a_failing_store_is_logged_once_a_minute(
    server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    """Any client can cause any number of these failures."""

    async def app(*_: object) -> None:
        raise StoreFailed("/srv/license.db is locked")

    gated = gate(server, app)
    with caplog.at_level(logging.ERROR):
        for _ in range(3):
            messages(gated, http_scope("/api/license"), "http.request")
        assert len(caplog.records) == 1
        server.now += timedelta(minutes=1)
        messages(gated, http_scope("/api/license"), "http.request")
    assert caplog.records[-1].getMessage().endswith("(and 2 more before)")


@pytest.mark.parametrize("path", ["/pages", "/api/items"])
def test_an_error_after_the_answer_began_is_raised(server: Server, path: str) -> None:
    """A client must not take half an answer and an error for the whole."""
    server.install(0)
    sent: list[Any] = []

    async def parts() -> AsyncIterator[bytes]:
        yield b"half"
        raise Refused(HOST_LIMIT)

    async def receive() -> MutableMapping[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: MutableMapping[str, Any]) -> None:
        sent.append(message)

    app = gate(server, StreamingResponse(parts()))
    with pytest.raises((Refused, ExceptionGroup)):
        asyncio.run(_called(app, http_scope(path), receive, send))
    assert [message["type"] for message in sent] == ["http.response.start", "http.response.body"]


async def _called(app: App, *arguments: Any) -> None:
    await app(*arguments)


def test_another_error_is_not_answered(server: Server) -> None:
    """Only the errors of enforcement are."""

    async def app(*_: object) -> None:
        raise LookupError("mine")

    for scope in (http_scope("/api/me"), websocket_scope("/live")):
        with pytest.raises(LookupError, match="mine"):
            messages(gate(server, app), scope, "http.request")


def test_a_context_manager_that_raises_at_its_end(server: Server) -> None:
    """A block that raises before the answer is answered, though its clean-up runs."""
    cleaned = []

    @asynccontextmanager
    async def block() -> AsyncIterator[None]:
        try:
            yield
        finally:
            cleaned.append(True)

    async def app(*_: object) -> None:
        async with block():
            raise Refused(HOST_LIMIT)

    start, _ = messages(gate(server, app), http_scope("/pages"), "http.request")
    assert (start["status"], cleaned) == (503, [True])


AGENT = "/api/agents/session"
DENIAL: dict[str, Any] = {"extensions": {"websocket.http.response": {}}}
REASON = "host_limit: concurrent host limit reached"


def agents(server: Server, *, accept_first: bool = False) -> App:
    """An app that counts its agents, before or after it accepts them."""

    async def agent(websocket: WebSocket) -> None:
        if accept_first:
            await websocket.accept()
        with server.license.connected(HostKind.SESSION, "host-1", server.now):
            if not accept_first:
                await websocket.accept()
            await websocket.close()

    app = Starlette(routes=[WebSocketRoute(AGENT, agent)])
    app.add_middleware(LicenseMiddleware, license=server.license, now=lambda: server.now)
    return app


def full(server: Server) -> None:
    """Install a license whose session hosts are all connected."""
    installed = server.install(0)
    for number in range(installed.limits.session_hosts):
        server.license.connect(HostKind.SESSION, f"other-{number}", server.now)


def test_an_agent_over_the_limit_is_denied(server: Server) -> None:
    """It gets 503 with the reason; without that extension a close with it."""
    app = agents(server)
    full(server)
    start, body = messages(app, websocket_scope(AGENT, **DENIAL), "websocket.connect")
    assert (start["type"], start["status"]) == ("websocket.http.response.start", 503)
    assert json.loads(body["body"]) == HOST_LIMIT.to_json()
    others: list[Any] = [None, {}, {"tls": {}}]
    for extensions in others:
        scope = websocket_scope(AGENT, extensions=extensions)
        assert messages(app, scope, "websocket.connect") == [
            {"type": "websocket.accept"},
            {"type": "websocket.close", "code": 1008, "reason": REASON},
        ]


def test_an_agent_that_was_accepted_is_closed_with_the_reason(server: Server) -> None:
    """An app may accept an agent before it knows its host."""
    app = agents(server, accept_first=True)
    full(server)
    sent = messages(app, websocket_scope(AGENT, **DENIAL), "websocket.connect")
    assert [message["type"] for message in sent] == ["websocket.accept", "websocket.close"]
    assert (sent[1]["code"], sent[1]["reason"]) == (1008, REASON)


@pytest.mark.parametrize("accepted", [False, True])
def test_an_app_that_has_received_the_connect(server: Server, *, accepted: bool) -> None:
    """The middleware does not wait for a second one, which never comes."""
    events = iter(["websocket.connect"])

    async def app(_scope: Any, receive: Any, send: Any) -> None:
        assert (await receive())["type"] == "websocket.connect"
        if accepted:
            await send({"type": "websocket.accept"})
            await send({"type": "websocket.send", "text": "welcome"})
        raise Refused(HOST_LIMIT)

    sent: list[Any] = []

    async def receive() -> MutableMapping[str, Any]:
        return {"type": next(events)}

    async def send(message: MutableMapping[str, Any]) -> None:
        sent.append(message)

    asyncio.run(_called(gate(server, app), websocket_scope("/live"), receive, send))
    kinds = [message["type"].removeprefix("websocket.") for message in sent]
    assert kinds == (["accept", "send", "close"] if accepted else ["accept", "close"])


@pytest.mark.parametrize(
    "ended",
    [
        {"type": "websocket.close", "code": 1000},
        {"type": "websocket.http.response.start", "status": 200, "headers": []},
    ],
)
def test_an_error_after_a_websocket_has_ended_is_raised(
    server: Server, ended: dict[str, Any]
) -> None:
    """The app itself has closed or denied it, so no client waits for an answer."""

    async def app(_scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send(ended)
        raise Refused(HOST_LIMIT)

    with pytest.raises(Refused):
        messages(gate(server, app), websocket_scope("/live"), "websocket.connect")


def test_an_error_after_the_client_left_is_raised(server: Server) -> None:
    """Nothing is sent to a client that has left, also if the app still tries to."""

    async def app(_scope: Any, receive: Any, send: Any) -> None:
        assert (await receive())["type"] == "websocket.disconnect"
        await send({"type": "websocket.send", "text": "late"})
        raise Refused(HOST_LIMIT)

    with pytest.raises(Refused):
        messages(gate(server, app), websocket_scope("/live"), "websocket.disconnect")


def test_a_long_reason_is_cut_between_characters(server: Server) -> None:
    """A close reason has at most 123 bytes (RFC 6455 §5.5), and is text."""
    refusal = Refusal(status=503, code="mine", message="ü" * 200, hint="none")

    async def app(*_: object) -> None:
        raise Refused(refusal)

    _, close = messages(gate(server, app), websocket_scope("/live"), "websocket.connect")
    assert close["reason"] == "mine: " + "ü" * 58
    assert len(close["reason"].encode()) == 122
