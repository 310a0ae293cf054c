"""License enforcement for any ASGI app, in one line (ASGI 3.0; no dependency).

    app.add_middleware(LicenseMiddleware, license=server_license, now=lambda: datetime.now(UTC))

The middleware answers the requests that the license refuses, and passes on all others unchanged.
A request is exempt if its method and path are exactly those of an exempt route. Any other request
that a server could route to the API is checked as one, an `OPTIONS` too: a middleware that answers
preflights of CORS belongs outside.

It also answers with the `Refused`, `InstallRefused` or `StoreFailed` that the app raises before it
answered itself.
"""

import json
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from datetime import datetime
from functools import partial
from typing import Any, Final

from ..verifier import License
from .events import Events
from .paths import DEFAULT_ROUTES, WEBSOCKET, Needs, Paths, Route, allows
from .refusals import (
    DOMAIN_MISMATCH,
    NOT_OPEN,
    STORE_FAILED,
    InstallRefused,
    Refusal,
    Refused,
    missing_feature,
)
from .server_license import ServerLicense
from .store import ProcessBound, StoreFailed

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

POLICY_VIOLATION: Final = 1008
"""The close code of a refused websocket (RFC 6455 §7.4.1)."""
MAX_REASON: Final = 123
"""The bytes of a close frame that are left for the reason (RFC 6455 §5.5)."""

_ANSWERED: Final = Refused, InstallRefused, StoreFailed
_NO_LAST: Final = None, (), None


class LicenseMiddleware(ProcessBound):
    """Checks every request and websocket against the license."""

    def __init__(
        self,
        app: App,
        *,
        license: ServerLicense | Callable[[], ServerLicense | None],
        now: Callable[[], datetime],
        routes: Mapping[tuple[str, str], Route] = DEFAULT_ROUTES,
        extra_routes: Mapping[tuple[str, str], Route] | None = None,
        api: str = "/api/",
        features: Mapping[str, str] | None = None,
    ) -> None:
        """Wrap an app.

        Args:
            license: that of this process, or a callable that returns it at each request, for an app
                that opens it in its lifespan. While that returns None or raises an error (which is
                logged), requests that need a license get 503 `license_not_open`. A thread of the
                store writes the time seen; a request does so only if that has failed for a minute.
            now: the server's clock, aware.
            routes: method (or `WEBSOCKET`) and path of the routes other than API and pages. A
                `HEAD` is of the kind of its `GET`, unless it is in the table.
            extra_routes: routes in addition to these, such as a health check (`Route.HEALTH`) or
                the callback of a single sign-on (`Route.SIGN_IN`).
            api: the beginning of the paths of the API.
            features: the feature that a path, and all paths below it, need. A path below two of
                them needs both features.

        Raises:
            ValueError: a path does not begin with a slash or has a parameter (`{…}`), so that no
                request would match it; a method is not in capitals; one of the six kinds of route
                that let an admin upload a license is missing; a feature is not one of FORMAT's.
        """
        self.app = app
        self._events = Events()
        self._license = opener(license, now, self._events)
        self._now = now
        self._paths = Paths(
            routes={**routes, **(extra_routes or {})}, api=api, features=features or {}
        )
        # The last license, clues to the paths that it does not allow, and the last Host header that
        # it covers, if it is for a domain: most requests are for the same host.
        self._last: tuple[License | None, tuple[str, ...], bytes | None] = _NO_LAST

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or answer it with the refusal."""
        kind = scope["type"]
        if kind != "http":
            await (self._websocket if kind == "websocket" else self.app)(scope, receive, send)
            return
        begun: list[bool] = []
        try:
            refusal = None if self._still_allows(scope) else self._refusal(scope)
            if refusal is None:
                await self.app(scope, receive, partial(_send, send, begun))
                return
        except _ANSWERED as error:
            if begun:
                raise
            refusal = self._refusal_of(error)
        await _answer(send, "http.response", refusal)

    async def _websocket(self, scope: Scope, receive: Receive, send: Send) -> None:
        socket = _Websocket(scope, receive, send)
        try:
            refusal = None if self._still_allows(scope) else self._refusal(scope)
            if refusal is None:
                await self.app(scope, socket.receive, socket.send)
                return
        except _ANSWERED as error:
            if socket.ended:
                raise
            refusal = self._refusal_of(error)
        await socket.refuse(refusal)

    def _refusal(self, scope: Scope) -> Refusal | None:
        needs = self._needs(scope)
        if needs is None:
            return None
        license, now = self._license(), self._now()
        if license is None:
            return NOT_OPEN
        active = license.active(now)
        if isinstance(active, Refusal):
            return active
        host = None if active.allowed_domain is None else _host(scope)
        if host is not None and not _covers(active, host):
            return license.refused(DOMAIN_MISMATCH, now, host=host.decode("latin-1"))
        self._last = active, self._paths.clues(active.features), host
        return self._unmet(needs, active, license, now)

    def _refusal_of(self, error: Refused | InstallRefused | StoreFailed) -> Refusal:
        """Return the answer; the error itself would keep the request in memory by its traceback."""
        if isinstance(error, Refused):
            return error.refusal
        if isinstance(error, InstallRefused):
            status, code, message, hint = error.status, error.code, error.message, error.hint
            return Refusal(status=status, code=code, message=message, hint=hint)
        # Its message may name a file or a process, and any client may get this answer.
        self._events.request_failed(error, self._now())
        return STORE_FAILED

    def _unmet(
        self,
        needs: tuple[str, ...] | Refusal,
        active: License,
        license: ServerLicense,
        now: datetime,
    ) -> Refusal | None:
        if isinstance(needs, Refusal):
            return license.refused(needs, now)
        missing = next(filter(None, (missing_feature(active, each) for each in needs)), None)
        return None if missing is None else license.refused(missing, now)

    def _still_allows(self, scope: Scope) -> bool:
        """Return whether the license of the last request allows this one at first glance."""
        last, clues, host = self._last
        if last is None:
            return False
        path, root_path = scope["path"], scope.get("root_path")
        if not allows(clues, root_path + path if root_path else path):
            return False
        try:
            license = self._license()
            if license is None or license.active(self._now()) is not last:
                self._last = _NO_LAST
                return False
        except Exception:  # noqa: BLE001 - raised again if the request needs a license
            return False
        if host is not None and (other := _host(scope)) != host:
            if not _covers(last, other):
                return False
            self._last = last, clues, other
        return True

    def _needs(self, scope: Scope) -> Needs:
        if scope["type"] == "websocket":
            method = WEBSOCKET
        else:
            # A client may send the method `WEBSOCKET`, which does not open a websocket.
            method = "" if scope["method"] == WEBSOCKET else scope["method"]
        return self._paths.needs(method, scope["path"], scope.get("root_path"))


def _covers(license: License, host: bytes) -> bool:
    domain = license.allowed_domain
    return domain is None or domain.matches(host.decode("latin-1"))


def _host(scope: Scope) -> bytes:
    """Return the Host header; the empty host if it is missing or repeated (FORMAT §3)."""
    host: bytes | None = None
    for name, value in scope["headers"]:
        if name == b"host":
            host = value if host is None else b""
    return host or b""


def opener(
    license: ServerLicense | Callable[[], ServerLicense | None],
    now: Callable[[], datetime],
    events: Events,
) -> Callable[[], ServerLicense | None]:
    """Return a callable that returns None, and logs the reason, where the given one raises."""
    if isinstance(license, ServerLicense):
        return lambda: license

    def opened() -> ServerLicense | None:
        try:
            return license()
        except Exception as error:  # noqa: BLE001 - a license that does not open is not active
            events.not_opened(error, now())
            return None

    return opened


def _send(send: Send, begun: list[bool], message: Message) -> Awaitable[None]:
    begun[:] = (True,)
    return send(message)


class _Websocket:
    """A websocket, and how far its app has come with it."""

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._scope = scope
        self._receive = receive
        self._send = send
        self._connected = self._accepted = self.ended = False

    async def receive(self) -> Message:
        message = await self._receive()
        self._connected = True
        self.ended = self.ended or message["type"] == "websocket.disconnect"
        return message

    async def send(self, message: Message) -> None:
        self._accepted = self._accepted or message["type"] == "websocket.accept"
        self.ended = self.ended or message["type"] not in {"websocket.accept", "websocket.send"}
        await self._send(message)

    async def refuse(self, refusal: Refusal) -> None:
        """Answer in the place of the app, or close what it accepted."""
        if not self._connected:
            await self.receive()
        if self.ended:
            return
        if not self._accepted:
            if "websocket.http.response" in (self._scope.get("extensions") or {}):
                await _answer(self._send, "websocket.http.response", refusal)
                return
            # Closed before it is accepted, it would get a 403 without the reason.
            await self._send({"type": "websocket.accept"})
        reason = f"{refusal.code}: {refusal.message}".encode()[:MAX_REASON].decode(errors="ignore")
        await self._send({"type": "websocket.close", "code": POLICY_VIOLATION, "reason": reason})


async def _answer(send: Send, kind: str, refusal: Refusal) -> None:
    body = json.dumps(refusal.to_json()).encode()
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
        (b"cache-control", b"no-store"),
    ]
    await send({"type": f"{kind}.start", "status": refusal.status, "headers": headers})
    await send({"type": f"{kind}.body", "body": body})
