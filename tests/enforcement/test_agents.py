"""A real websocket client of an agent and uvicorn, with each of its implementations."""

import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest
from starlette.applications import Starlette
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket
from support.asgi import served
from support.servers import Server
from websockets.exceptions import ConnectionClosedError, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from polygent_issuer.enforcement import HostKind, LicenseMiddleware
from polygent_issuer.enforcement.asgi import App, Receive, Scope, Send
from polygent_issuer.enforcement.refusals import HOST_LIMIT

pytestmark = [
    pytest.mark.slow,
    # Uvicorn still has the implementation with the legacy package of websockets.
    pytest.mark.filterwarnings("ignore:.*websockets", "ignore::DeprecationWarning"),
]
IMPLEMENTATIONS = ["wsproto", "websockets-sansio", "websockets"]
PATH = "/api/agents/session"
CLOSED = "host_limit: concurrent host limit reached"


def agents(server: Server) -> Starlette:
    """An app whose agents name their host in a query, or in their first message."""

    async def agent(websocket: WebSocket) -> None:
        host = websocket.query_params.get("host")
        if host is None:
            await websocket.accept()
            host = await websocket.receive_text()
        with server.license.connected(HostKind.SESSION, host, server.now):
            if "host" in websocket.query_params:
                await websocket.accept()
            await websocket.send_text("welcome")
            await websocket.receive()

    app = Starlette(routes=[WebSocketRoute(PATH, agent)])
    app.add_middleware(LicenseMiddleware, license=server.license, now=lambda: server.now)
    return app


def without_denials(app: App) -> App:
    """A server that lacks the extension for denial responses."""

    async def older(scope: Scope, receive: Receive, send: Send) -> None:
        scope.get("extensions", {}).pop("websocket.http.response", None)
        await app(scope, receive, send)

    return older


@contextmanager
def agent_of(port: int, host: str) -> Iterator[ClientConnection]:
    """Connect a host, which is welcome."""
    with connect(f"ws://127.0.0.1:{port}{PATH}?host={host}", proxy=None) as agent:
        assert agent.recv(timeout=30) == "welcome"
        yield agent


@pytest.mark.parametrize("ws", IMPLEMENTATIONS)
def test_one_host_too_many_gets_503_and_the_reason(server: Server, ws: str) -> None:
    """A host above the limit is denied, one that reconnects is not, and a free place is given."""
    cap = server.install(0).limits.session_hosts
    with served(agents(server), ws=ws) as port, ExitStack() as connected:
        for number in range(cap):
            connected.enter_context(agent_of(port, f"host-{number}"))
        with pytest.raises(InvalidStatus) as denied, agent_of(port, "one-more"):
            pass
        response = denied.value.response
        assert response.status_code == 503
        assert response.headers["content-type"] == "application/json"
        assert json.loads(response.body or b"") == HOST_LIMIT.to_json()
        assert b'"concurrent host limit reached"' in (response.body or b"")
        with agent_of(port, "host-0"):
            pass
        with connect(f"ws://127.0.0.1:{port}{PATH}", proxy=None) as agent:
            agent.send("one-more")
            with pytest.raises(ConnectionClosedError) as closed:
                agent.recv(timeout=30)
        assert closed.value.rcvd is not None
        assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (1008, CLOSED)


@pytest.mark.parametrize("ws", IMPLEMENTATIONS)
def test_without_a_license_an_agent_gets_its_code(server: Server, ws: str) -> None:
    """The refusal of the middleware itself reaches the agent in the same way."""
    with served(agents(server), ws=ws) as port:
        with pytest.raises(InvalidStatus) as denied, agent_of(port, "host-1"):
            pass
        assert denied.value.response.status_code == 503
        assert json.loads(denied.value.response.body or b"")["error"]["code"] == "license_none"


@pytest.mark.parametrize("ws", IMPLEMENTATIONS)
def test_a_server_without_denials_closes_with_the_reason(server: Server, ws: str) -> None:
    """The agent is accepted and closed with 1008, since a plain denial would hide the reason."""
    with served(without_denials(agents(server)), ws=ws) as port:
        assert closed_with(port, "host-1") == (1008, "license_none: no license is installed")
        cap = server.install(0).limits.session_hosts
        with ExitStack() as connected:
            for number in range(cap):
                connected.enter_context(agent_of(port, f"host-{number}"))
            assert closed_with(port, "one-more") == (1008, CLOSED)


def closed_with(port: int, host: str) -> tuple[int, str]:
    """Return code and reason of the close that a refused host gets."""
    with pytest.raises(ConnectionClosedError) as closed, agent_of(port, host):
        pass
    assert closed.value.rcvd is not None
    return closed.value.rcvd.code, closed.value.rcvd.reason
