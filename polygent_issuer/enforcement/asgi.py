"""License enforcement for any ASGI app, in one line (ASGI 3.0; no dependency).

    app.add_middleware(LicenseMiddleware, license=server_license, now=lambda: datetime.now(UTC))

The middleware answers the requests that the license refuses, and passes on all others unchanged.
A request is exempt if its method and path are exactly those of an exempt route. Any other request
that a server could route to the API is checked as one.
"""

import json
from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping
from datetime import datetime
from typing import Any, Final

from ..verifier import AllowedDomain
from .paths import DEFAULT_ROUTES, WEBSOCKET, Paths, Route
from .refusals import DOMAIN_MISMATCH, Refusal, missing_feature
from .server_license import ServerLicense
from .store import ProcessBound

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

POLICY_VIOLATION: Final = 1008
"""The close code of a refused websocket (RFC 6455 §7.4.1)."""


class LicenseMiddleware(ProcessBound):
    """Checks every request and websocket against the license."""

    def __init__(
        self,
        app: App,
        *,
        license: ServerLicense,  # noqa: A002 - the term of the field
        now: Callable[[], datetime],
        routes: Mapping[tuple[str, str], Route] = DEFAULT_ROUTES,
        api: str = "/api/",
        features: Mapping[str, str] | None = None,
    ) -> None:
        """Wrap an app.

        Args:
            license: that of this process. The first request of a minute stores the time seen, with
                one commit in the thread of the event loop.
            now: the server's clock, aware.
            routes: method (or `WEBSOCKET`) and path of the routes other than API and pages.
            api: the beginning of the paths of the API.
            features: the feature that a path, and all paths below it, need. A path below two of
                them needs both features.

        Raises:
            ValueError: `api`, or the path of a feature or of a checked route, does not begin with a
                slash or has a parameter (`{…}`), so that no request would match it.
        """
        self.app = app
        self._license = license
        self._now = now
        self._paths = Paths(routes=routes, api=api, features=features or {})
        # The last match, since most requests are for the same host.
        self._covered: tuple[AllowedDomain, bytes] | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or answer it with the refusal."""
        kind = scope["type"]
        if kind == "http":
            # A client may send the method `WEBSOCKET`, which does not open a websocket.
            method = scope["method"]
            refusal = self._refusal(scope, "" if method == WEBSOCKET else method)
        elif kind == "websocket":
            refusal = self._refusal(scope, WEBSOCKET)
        else:
            refusal = None
        if refusal is None:
            await self.app(scope, receive, send)
        elif kind == "http":
            await _answer(send, "http.response", refusal)
        else:
            await _close(scope, receive, send, refusal)

    def _refusal(self, scope: Scope, method: str) -> Refusal | None:
        needs = self._paths.needs(method, scope["path"], scope.get("root_path"))
        if needs is None:
            return None
        now = self._now()
        active = self._license.active(now)
        if isinstance(active, Refusal):
            return active
        domain = active.allowed_domain
        if domain is not None and not self._covers(domain, host := _host(scope["headers"])):
            return self._license.refused(DOMAIN_MISMATCH, now, host=host.decode("latin-1"))
        if not needs:
            return None
        if isinstance(needs, Refusal):
            return self._license.refused(needs, now)
        missing = next(filter(None, (missing_feature(active, each) for each in needs)), None)
        return None if missing is None else self._license.refused(missing, now)

    def _covers(self, domain: AllowedDomain, host: bytes) -> bool:
        covered = self._covered
        if covered is not None and covered[0] is domain and covered[1] == host:
            return True
        if not domain.matches(host.decode("latin-1")):
            return False
        self._covered = domain, host
        return True


def _host(headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    """Return the Host header; the empty host if it is missing or repeated (FORMAT §3)."""
    hosts = [value for name, value in headers if name == b"host"]
    return hosts[0] if len(hosts) == 1 else b""


async def _answer(send: Send, kind: str, refusal: Refusal) -> None:
    body = json.dumps(refusal.to_json()).encode()
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
        (b"cache-control", b"no-store"),
    ]
    await send({"type": f"{kind}.start", "status": refusal.status, "headers": headers})
    await send({"type": f"{kind}.body", "body": body})


async def _close(scope: Scope, receive: Receive, send: Send, refusal: Refusal) -> None:
    if (await receive())["type"] != "websocket.connect":
        return
    if "websocket.http.response" in scope.get("extensions", {}):
        await _answer(send, "websocket.http.response", refusal)
    else:
        reason = f"{refusal.code}: {refusal.message}"
        await send({"type": "websocket.close", "code": POLICY_VIOLATION, "reason": reason})
