"""Direct ASGI calls, and a real server on its own socket."""

import asyncio
import socket
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from threading import Thread
from typing import Any

import httpx2
import uvicorn

from polygent_issuer.enforcement.asgi import App


def http_scope(path: str, *, method: str = "GET", **more: Any) -> dict[str, Any]:
    """Return the scope of a request, as a server passes it to an app."""
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": b"",
        "query_string": b"",
        "root_path": "",
        "headers": [(b"host", b"localhost")],
        **more,
    }


def websocket_scope(path: str, **more: Any) -> dict[str, Any]:
    """Return the scope of a websocket."""
    return {**http_scope(path), "type": "websocket", "scheme": "ws", "subprotocols": [], **more}


def messages(app: App, scope: MutableMapping[str, Any], first: str) -> list[Any]:
    """Return all messages that an app sends after it receives one."""
    sent: list[Any] = []

    async def receive() -> MutableMapping[str, Any]:
        return {"type": first, "body": b"", "more_body": False, "code": 1000}

    async def send(message: MutableMapping[str, Any]) -> None:
        sent.append(message)

    asyncio.run(_awaited(app, scope, receive, send))
    return sent


async def _awaited(app: App, *arguments: Any) -> None:
    await app(*arguments)


def status(app: App, scope: MutableMapping[str, Any]) -> int:
    """Return the status of the response to a request."""
    return int(messages(app, scope, "http.request")[0]["status"])


def fetch(app: App, method: str, path: str, **how: Any) -> httpx2.Response:
    """Return the response that an HTTP client gets."""

    async def ask() -> httpx2.Response:
        transport = httpx2.ASGITransport(app)
        async with httpx2.AsyncClient(transport=transport, base_url="http://localhost") as client:
            return await client.request(method, path, **how)

    return asyncio.run(ask())


@contextmanager
def served(app: App, *, ws: str = "wsproto") -> Iterator[int]:
    """Serve an app with uvicorn; yield the port."""
    listening = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(app, ws=ws, log_config=None, lifespan="off")
    server = uvicorn.Server(config)
    thread = Thread(target=server.run, kwargs={"sockets": [listening]})
    thread.start()
    try:
        yield listening.getsockname()[1]
    finally:
        server.should_exit = True
        thread.join()
        listening.close()


def send_raw(port: int, *lines: str) -> bytes:
    """Send a raw request; return the first bytes of the response."""
    with socket.create_connection(("127.0.0.1", port), timeout=30) as client:
        client.sendall("\r\n".join([*lines, "", ""]).encode())
        return client.recv(65_536)
