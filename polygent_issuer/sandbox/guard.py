"""The checks of every request before it reaches the app.

1. The Host is a name of the loopback interface with our port, else 421. This stops DNS rebinding: a
   foreign page whose name resolves to 127.0.0.1.
2. A request that changes something comes from our own pages (`Sec-Fetch-Site`, else `Origin`), else
   403. A request with neither header does not come from a browser.
3. The request has the cookie of `Access`, since every user of the machine can reach the loopback
   interface. Without it, it gets the style sheet, or a page that explains how to get the cookie.
4. The body has at most `MAX_BODY` bytes, whatever length it declares, else 413.

The headers of every response restrict the browser to content and frames of this server.
"""

import secrets
from collections.abc import Collection
from typing import Final

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, HTTPConnection, Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from polygent_issuer.enforcement.router import MAX_BODY, read_body
from polygent_issuer.sandbox.api import API, cookie_name, error
from polygent_issuer.sandbox.pages import STYLE, no_access

HEADERS: Final = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; form-action 'self'; "
        "base-uri 'none'; frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}
_SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_THIRTY_DAYS: Final = 30 * 86_400


class Access:
    """The one-time token in the printed address, which is exchanged for a cookie.

    The token works once, because the address of a browser that was started with it is visible in
    the process list. The cookie remains valid after the browser is closed.
    """

    def __init__(self, url: str) -> None:
        """Start without a valid token; `url` is the address of the first page."""
        self._url = url
        self._cookie = secrets.token_urlsafe()
        self._token: str | None = None

    def new_address(self) -> str:
        """Return an address that works once; an earlier unused one becomes invalid."""
        self._token = secrets.token_urlsafe()
        return f"{self._url}?token={self._token}"

    def has(self, request: HTTPConnection) -> bool:
        """Return whether a request, or the handshake of a websocket, has the cookie."""
        return _equal(request.cookies.get(cookie_name(request, "_access"), ""), self._cookie)

    def answer(self, request: HTTPConnection) -> Response | None:
        """Return the response to an HTTP request, or None if the app may respond."""
        method, path = request.scope["method"], request.scope["path"]
        token = request.query_params.get("token")
        if method == "GET" and path == "/" and token is not None:
            # The redirect keeps the token out of the history and of links.
            first_page = RedirectResponse("/", 303)
            if self._token is not None and _equal(token, self._token):
                self._token = None
                first_page.set_cookie(
                    cookie_name(request, "_access"),
                    self._cookie,
                    max_age=_THIRTY_DAYS,
                    httponly=True,
                    samesite="strict",
                )
                return first_page
            if self.has(request):
                return first_page
        # For other methods the app responds with 405 and a page that shows the site.
        if (method == "GET" and path == STYLE) or self.has(request):
            return None
        if path.startswith(API):
            return error(
                403,
                "no_access",
                "the request does not have the cookie of this sandbox",
                "open the address in the terminal, and send the cookie that it sets",
            )
        return no_access()


def _equal(one: str, other: str) -> bool:
    return secrets.compare_digest(one.encode(), other.encode())


class Guard:
    """ASGI middleware that checks every request before the app."""

    def __init__(self, app: ASGIApp, *, hosts: Collection[str], access: Access) -> None:
        """Guard an app; `hosts` are the allowed Host headers, in lower case."""
        self.app = app
        self._access = access
        self._hosts = frozenset(hosts)
        self._names = " and ".join(f"http://{host}/" for host in hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Forward a request to the app, or refuse it."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        refusal = self._refusal(scope, Headers(scope=scope))
        if scope["type"] == "websocket":
            if refusal is None and self._access.has(HTTPConnection(scope)):
                await self.app(scope, receive, send)
            else:
                await send({"type": "websocket.close", "code": 1008})
            return
        refusal = refusal or self._access.answer(HTTPConnection(scope))
        if refusal is not None:
            await refusal(scope, receive, _with_headers(send))
            return
        try:
            received = await _received(Request(scope, receive))
        except ClientDisconnect:  # the client is gone
            return
        await self.app(scope, received, _with_headers(send))

    def _refusal(self, scope: Scope, headers: Headers) -> Response | None:
        hosts = headers.getlist("host")
        if len(hosts) != 1 or hosts[0].lower() not in self._hosts:
            return PlainTextResponse(f"this sandbox is available only at {self._names}\n", 421)
        changes = scope["type"] == "websocket" or scope["method"] not in _SAFE
        if changes and not _same_site(headers, hosts[0].lower()):
            return PlainTextResponse("requests from other sites are refused\n", 403)
        return None


def _same_site(headers: Headers, host: str) -> bool:
    if site := headers.get("sec-fetch-site"):
        return site == "same-origin"
    origin = headers.get("origin")
    return origin is None or origin.lower() in (f"http://{host}", f"https://{host}")


async def _received(request: Request) -> Receive:
    """Return an ASGI `receive` with the body; a GET has an empty one."""
    body = await read_body(request)
    if body is None and request.method not in _SAFE:
        return _too_large
    waiting: list[Message] = [{"type": "http.request", "body": body or b"", "more_body": False}]

    async def replay() -> Message:
        return waiting.pop() if waiting else await request.receive()

    return replay


async def _too_large() -> Message:
    """Raise an error in the app when it reads the body, so that the app renders the response."""
    message = f"the request is larger than {MAX_BODY:,} bytes; a license file is smaller"
    raise HTTPException(413, message)


def _with_headers(send: Send) -> Send:
    async def with_headers(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in HEADERS.items():
                headers.setdefault(name, value)
        await send(message)

    return with_headers
