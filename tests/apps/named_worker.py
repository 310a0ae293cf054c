"""The app that `APP` names; each answer has the number of its process."""

import os
from importlib import import_module

from polygent_issuer.enforcement.asgi import App, Message, Receive, Scope, Send

_WITH_HEADERS = {"http.response.start", "websocket.http.response.start", "websocket.accept"}
inner: App = import_module(os.environ["APP"]).app


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """Pass everything on, with a header."""

    async def named(message: Message) -> None:
        if message["type"] in _WITH_HEADERS:
            worker = (b"x-worker", str(os.getpid()).encode())
            message["headers"] = [*message.get("headers", ()), worker]
        await send(message)

    await inner(scope, receive, named)
