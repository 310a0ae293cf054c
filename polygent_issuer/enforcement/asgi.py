"""The license before any ASGI app, in one line (ASGI 3.0; no dependency).

    app.add_middleware(LicenseMiddleware, license=server_license, now=lambda: datetime.now(UTC))

It answers for itself what the license refuses, and passes on everything else untouched. A request
is exempt when method and path are exactly those of a route that passes; whatever else could be
meant for the API is judged as such.
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
    """Asks the license about every request and websocket."""

    def __init__(
        self,
        app: App,
        *,
        license: ServerLicense,  # noqa: A002 - the noun of the field
        now: Callable[[], datetime],
        routes: Mapping[tuple[str, str], Route] = DEFAULT_ROUTES,
        api: str = "/api/",
        features: Mapping[str, str] | None = None,
    ) -> None:
        """Stand before an app.

        Args:
            license: of this process; a minute's first request stores the time seen, in the event
                loop's thread: one commit.
            now: the server's clock, aware.
            routes: method (or `WEBSOCKET`) and path of the routes that are more than API.
            api: what the paths of the API begin with.
            features: the feature that a path, and all below it, needs; a path that is below two
                of them needs both.

        Raises:
            ValueError: `api`, a feature's path or that of a route that is judged does not begin
                with a slash, or has a parameter (`{…}`): no request would match it.
        """
        self.app = app
        self._license = license
        self._now = now
        self._paths = Paths(routes=routes, api=api, features=features or {})
        # The last one that matched: most requests are for the same host.
        self._covered: tuple[AllowedDomain, bytes] | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or answer it with the refusal."""
        kind = scope["type"]
        if kind == "http":
            # A client may call its method `WEBSOCKET`: that opens no websocket.
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
        active = self._license.active(self._now())
        if isinstance(active, Refusal):
            return active
        domain = active.allowed_domain
        if domain is not None and not self._covers(domain, _host(scope["headers"])):
            return DOMAIN_MISMATCH
        if not needs:
            return None
        if isinstance(needs, Refusal):
            return needs
        return next(filter(None, (missing_feature(active, each) for each in needs)), None)

    def _covers(self, domain: AllowedDomain, host: bytes) -> bool:
        covered = self._covered
        if covered is not None and covered[0] is domain and covered[1] == host:
            return True
        if not domain.matches(host.decode("latin-1")):
            return False
        self._covered = domain, host
        return True


def _host(headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    """The Host header; the empty host when it is missing or repeated (FORMAT §3)."""
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
