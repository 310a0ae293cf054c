"""What the API would answer, asked of the real middleware without changing anything."""

import json
from dataclasses import dataclass
from typing import Any, Final

from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import Message, Receive, Scope, Send

from polygent_issuer.enforcement import (
    DEFAULT_ROUTES,
    WEBSOCKET,
    HostKind,
    LicenseMiddleware,
    Refusal,
)
from polygent_issuer.sandbox.api import FEATURE_PATHS
from polygent_issuer.sandbox.auth import site_of
from polygent_issuer.sandbox.rendering import render
from polygent_issuer.sandbox.simulated_server import SimulatedServer

METHODS: Final = ("GET", "POST", "PUT", "PATCH", "DELETE", WEBSOCKET)
"""Of the requests that may be asked about."""

_GENERAL: Final = (("GET", "/api/projects"), ("POST", "/api/users"), *DEFAULT_ROUTES)
"""One route of each kind."""

_AGENTS: Final = {
    "/api/agents/session": HostKind.SESSION,
    "/api/agents/deploy": HostKind.DEPLOY,
}
_PROBE_HOST: Final = "\0the probe's own"


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """What a request would be answered.

    Attributes:
        method: of HTTP, or `WEBSOCKET` for an agent.
        status: of HTTP; 101 for an agent that is let in.
        code: the machine-readable reason of a refusal.
        message: the reason for people.
        body: of a refusal, as it is sent; None where the endpoint's own answer would be.
    """

    method: str
    path: str
    status: int
    code: str | None = None
    message: str | None = None
    body: str | None = None

    @property
    def feature(self) -> str | None:
        """The feature that the path needs."""
        return FEATURE_PATHS.get(self.path)

    @property
    def good(self) -> bool:
        """Whether it is let through."""
        return self.code is None


async def general(site: SimulatedServer) -> list[Answer]:
    """The answer of one route of each kind."""
    return [await answer(site, method, path) for method, path in _GENERAL]


async def features(site: SimulatedServer) -> list[Answer]:
    """The answer of each feature's route."""
    return [await answer(site, "GET", path) for path in FEATURE_PATHS]


async def answer(
    site: SimulatedServer, method: str, path: str, *, feature: str | None = None
) -> Answer:
    """What a signed-in admin's request would be answered, as far as the license decides it.

    Args:
        method: of HTTP, or `WEBSOCKET`.
        path: decoded, as ASGI has it.
        feature: that the endpoint asks for by itself, with `ServerLicense.feature`.
    """
    sent: list[Message] = []

    async def beyond(scope: Scope, receive: Receive, send: Send) -> None:
        refusal = _refused_beyond(site, method, path, feature)
        if refusal is not None:
            await JSONResponse(refusal.to_json(), refusal.status)(scope, receive, send)
            return
        status = 101 if method == WEBSOCKET else 200
        await send({"type": "http.response.start", "status": status, "headers": []})
        await send({"type": "http.response.body", "body": b"{}"})

    async def send(message: Message) -> None:
        sent.append(message)

    async def receive() -> Message:
        return {"type": "websocket.connect"}

    app = LicenseMiddleware(beyond, license=site.license, now=site.now, features=FEATURE_PATHS)
    await app(_scope(site, method, path), receive, send)
    body = json.loads(sent[1]["body"])
    error: dict[str, Any] = body.get("error", {})
    return Answer(
        method=method,
        path=path,
        status=sent[0]["status"],
        code=error.get("code"),
        message=error.get("message"),
        body=json.dumps(body, indent=2, ensure_ascii=False) if error else None,
    )


def _refused_beyond(
    site: SimulatedServer, method: str, path: str, feature: str | None
) -> Refusal | None:
    """What the endpoint itself refuses: a feature that it asks for, a user or a host too many."""
    if feature is not None and (refusal := site.license.feature(feature, site.now())):
        return refusal
    if (method, path) == ("POST", "/api/users"):
        return site.license.may_add_user(site.population.users, site.now())
    if method == WEBSOCKET and path in _AGENTS:
        connection = site.license.connect(
            _AGENTS[path], _PROBE_HOST, site.now(), request_host=site.host
        )
        if isinstance(connection, Refusal):
            return connection
        site.license.hosts.disconnect(connection)
    return None


def _scope(site: SimulatedServer, method: str, path: str) -> Scope:
    headers = [(b"host", site.host.encode("latin-1", "replace"))]
    if method == WEBSOCKET:
        extensions: dict[str, Any] = {"websocket.http.response": {}}
        return {"type": "websocket", "path": path, "headers": headers, "extensions": extensions}
    return {"type": "http", "method": method, "path": path, "headers": headers}


ANSWERS: Final = "/sandbox"
"""The path of the page."""

_LONGEST: Final = 300


async def _page(request: Request) -> Response:
    site, query = site_of(request), request.query_params
    return render(
        request,
        "answers.html",
        general=await general(site),
        features=await features(site),
        methods=METHODS,
        asked=await _asked(site, query),
        asked_feature=query.get("feature"),
    )


async def _asked(site: SimulatedServer, query: QueryParams) -> Answer | None:
    """The answer to what the form asks, if anything."""
    method, path = query.get("method", "GET"), query.get("path", "")[:_LONGEST]
    if not path or method not in METHODS:
        return None
    feature = query.get("feature", "")[:_LONGEST]
    return await answer(site, method, "/" + path.lstrip("/"), feature=feature or None)


ROUTES: Final = (Route(ANSWERS, _page, methods=["GET"]),)
"""The page."""
