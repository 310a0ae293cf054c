"""The endpoints under `/api/`, and the page that shows the response to any request.

`LicenseMiddleware` checks the license, so the endpoints themselves do not. Their content is
minimal: the operator needs to see only whether they respond. The page calls the real middleware,
but changes nothing.
"""

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import wraps
from typing import Any, Final

from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.types import Message, Receive, Scope, Send
from starlette.websockets import WebSocket

from polygent_issuer.enforcement import (
    DEFAULT_ROUTES,
    WEBSOCKET,
    HostKind,
    LicenseMiddleware,
    NoMachineInfo,
    Refusal,
    Refused,
    machine_info,
)
from polygent_issuer.sandbox.auth import User, sign_in, sign_out, site_of, user_of
from polygent_issuer.sandbox.pages import Endpoint, render
from polygent_issuer.sandbox.simulated_server import SimulatedServer
from polygent_issuer.verifier.tables import ENTERPRISE_FEATURES, FEATURES

API: Final = "/api/"
"""The prefix of every path here."""

ANSWERS: Final = "/sandbox"
"""The path of the page of API responses."""

FEATURE_PATHS: Final = {f"{API}{name}": name for name in (*FEATURES, *ENTERPRISE_FEATURES)}
"""One endpoint for each feature of the catalogue."""

METHODS: Final = ("GET", "POST", "PUT", "PATCH", "DELETE", WEBSOCKET)
"""The methods of requests on the page."""

_AGENTS: Final = {
    "/api/agents/session": HostKind.SESSION,
    "/api/agents/deploy": HostKind.DEPLOY,
}
_ADD_USER: Final = ("POST", "/api/users")
_ACTIVATE_USER: Final = ("POST", "/api/users/activate")
_GENERAL: Final = (("GET", "/api/projects"), _ADD_USER, _ACTIVATE_USER, *DEFAULT_ROUTES)
"""One route of each kind."""

_HOST_NAME: Final = 253
_LONGEST: Final = 300
_NO_HOST: Final = Refusal(
    status=400,
    code="bad_request",
    message="the name of the agent's host is missing",
    hint="add ?host=NAME to the address",
)
_PROBE_HOST: Final = "\0the probe's own"


def error(status: int, code: str, message: str, hint: str | None = None) -> JSONResponse:
    """Return an error in the form of a license refusal."""
    return _refused(Refusal(status=status, code=code, message=message, hint=hint))


def _refused(refusal: Refusal) -> JSONResponse:
    return JSONResponse(refusal.to_json(), refusal.status)


def _signed_in(endpoint: Endpoint, *, admin: bool = False) -> Endpoint:
    """Allow only signed-in users, or only admins."""

    @wraps(endpoint)
    async def guarded(request: Request) -> Response:
        user = user_of(request)
        if user is None:
            return error(401, "not_signed_in", "sign in first", "POST /api/sign-in")
        if admin and user is not User.ADMIN:
            return error(403, "not_an_admin", "only an admin may do this")
        return await endpoint(request)

    return guarded


async def _sign_in(request: Request) -> Response:
    try:
        user = User((await request.json())["user"])
    except (ValueError, TypeError, KeyError, RecursionError):
        message = 'the body must be {"user": "admin"} or {"user": "member"}'
        return error(400, "bad_request", message)
    response = JSONResponse({"user": user})
    sign_in(request, response, user)
    return response


async def _sign_out(request: Request) -> Response:
    response = Response(status_code=204)
    sign_out(request, response)
    return response


async def _me(request: Request) -> Response:
    user = user_of(request)
    return JSONResponse({"user": user, "role": user})


async def _license(request: Request) -> Response:
    site, is_admin = site_of(request), user_of(request) is User.ADMIN
    status = site.license.status(site.now(), users_active=site.users)
    return JSONResponse(status.to_json() if is_admin else status.to_public_json())


async def _upload(request: Request) -> Response:
    attempt = site_of(request).install(await request.body())
    if attempt.refused is not None:
        return JSONResponse(attempt.refused.to_json(), attempt.refused.status)
    return await _license(request)


async def _machine_info(request: Request) -> Response:
    site = site_of(request)
    installed = site.standing().license
    customer = None if installed is None else installed.customer
    try:
        content = machine_info(
            now=site.now(),
            fingerprint=site.fingerprint,
            customer=customer,
            hostname="polygent-sandbox",
        )
    except NoMachineInfo as problem:
        return JSONResponse(problem.to_json(), problem.status)
    headers = {"content-disposition": 'attachment; filename="machine-info.json"'}
    return Response(content, media_type="application/json", headers=headers)


async def _users(request: Request) -> Response:
    return JSONResponse({"active": site_of(request).users})


async def _add_user(request: Request) -> Response:
    site = site_of(request)
    refusal = site.add_user()
    return _refused(refusal) if refusal else JSONResponse({"active": site.users}, 201)


async def _activate_user(request: Request) -> Response:
    site = site_of(request)
    if not site.deactivated:
        return error(400, "no_deactivated_user", "no user is deactivated", "add a user instead")
    refusal = site.activate_user()
    return _refused(refusal) if refusal else JSONResponse({"active": site.users})


async def _features(request: Request) -> Response:
    site = site_of(request)
    return JSONResponse({"features": site.license.features(site.now())})


def _constant(content: dict[str, Any]) -> Endpoint:
    async def endpoint(_request: Request) -> Response:
        return JSONResponse(content)

    return endpoint


def _agents(kind: HostKind) -> Callable[[WebSocket], Awaitable[None]]:
    """Return the socket of agents; a host counts as connected while its socket is open.

    The middleware answers with the refusal that it raises.
    """

    async def connected(socket: WebSocket) -> None:
        site, host = site_of(socket), socket.query_params.get("host", "")[:_HOST_NAME]
        if not host:
            raise Refused(_NO_HOST)
        with site.connected(kind, host):
            await socket.accept()
            while (await socket.receive())["type"] != "websocket.disconnect":
                pass

    return connected


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """The response to a request; for a refusal with its code, message and body.

    Attributes:
        method: the HTTP method, or `WEBSOCKET` for an agent.
        status: the HTTP status; 101 for an accepted agent.
        closed: for a refused agent, the close code and reason that it gets instead from a server
            that cannot deny the handshake of a websocket.
    """

    method: str
    path: str
    status: int
    code: str | None = None
    message: str | None = None
    body: str | None = None
    closed: str | None = None

    @property
    def feature(self) -> str | None:
        """The feature that the path needs."""
        return FEATURE_PATHS.get(self.path)

    @property
    def good(self) -> bool:
        """True if the request is allowed."""
        return self.code is None


async def general(site: SimulatedServer) -> list[Answer]:
    """Return the response of one route of each kind."""
    return [await answer(site, method, path) for method, path in _GENERAL]


async def features(site: SimulatedServer) -> list[Answer]:
    """Return the response of the route of each feature."""
    return [await answer(site, "GET", path) for path in FEATURE_PATHS]


async def answer(
    site: SimulatedServer, method: str, path: str, *, feature: str | None = None
) -> Answer:
    """Return the response to a signed-in admin, as far as the license decides it.

    Args:
        site: the simulated server.
        method: one of `METHODS`.
        path: decoded, as in ASGI.
        feature: a feature that the endpoint itself checks.
    """
    host = [(b"host", site.host.encode("latin-1", "replace"))]
    scope: dict[str, Any] = {"type": "http", "method": method, "path": path, "headers": host}
    if method == WEBSOCKET:
        scope |= {"type": "websocket", "extensions": {"websocket.http.response": {}}}
    sent = await _sent(site, scope, method, feature)
    if sent[0]["type"] == "websocket.accept":
        return Answer(method=method, path=path, status=101)
    body = json.loads(sent[1]["body"])
    error: dict[str, Any] = body.get("error", {})
    closed = None
    if method == WEBSOCKET:
        *_, close = await _sent(site, {**scope, "extensions": {}}, method, feature)
        closed = f"{close['code']} {close['reason']}"
    return Answer(
        method=method,
        path=path,
        status=sent[0]["status"],
        code=error.get("code"),
        message=error.get("message"),
        body=json.dumps(body, indent=2, ensure_ascii=False) if error else None,
        closed=closed,
    )


async def _sent(
    site: SimulatedServer, scope: Scope, method: str, feature: str | None
) -> list[Message]:
    """Return what the real middleware sends for a request."""
    sent: list[Message] = []

    async def beyond(scope: Scope, receive: Receive, send: Send) -> None:
        refusal = _refused_beyond(site, method, scope["path"], feature)
        if refusal is not None:
            raise Refused(refusal)
        if method == WEBSOCKET:
            await send({"type": "websocket.accept"})
        else:
            await Response(b"{}")(scope, receive, send)

    async def send(message: Message) -> None:
        sent.append(message)

    async def receive() -> Message:
        return {"type": "websocket.connect"}

    app = LicenseMiddleware(beyond, license=site.license, now=site.now, features=FEATURE_PATHS)
    await app(scope, receive, send)
    return sent


def _refused_beyond(
    site: SimulatedServer, method: str, path: str, feature: str | None
) -> Refusal | None:
    """Return the refusal of the endpoint itself: for a feature, a user or a host."""
    now = site.now()
    if feature is not None and (refusal := site.license.feature(feature, now)):
        return refusal
    if (method, path) == _ADD_USER:
        return site.license.may_add_user(site.users, now)
    if (method, path) == _ACTIVATE_USER:
        return site.license.may_activate_user(site.users, now)
    if method == WEBSOCKET and path in _AGENTS:
        made = site.license.connect(_AGENTS[path], _PROBE_HOST, now, request_host=site.host)
        if isinstance(made, Refusal):
            return made
        site.license.hosts.disconnect(made)
    return None


async def _answers(request: Request) -> Response:
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
    """Return the response to the request in the form, if there is one."""
    method, path = query.get("method", "GET"), query.get("path", "")[:_LONGEST]
    if not path or method not in METHODS:
        return None
    feature = query.get("feature", "")[:_LONGEST]
    return await answer(site, method, "/" + path.lstrip("/"), feature=feature or None)


ROUTES: Final = (
    Route("/api/sign-in", _sign_in, methods=["POST"]),
    Route("/api/sign-out", _signed_in(_sign_out), methods=["POST"]),
    Route("/api/me", _signed_in(_me)),
    Route("/api/license", _signed_in(_license), methods=["GET"]),
    Route("/api/license", _signed_in(_upload, admin=True), methods=["POST"]),
    Route("/api/machine-info", _signed_in(_machine_info, admin=True)),
    Route("/api/projects", _signed_in(_constant({"projects": ["sandbox"]}))),
    Route("/api/users", _signed_in(_users), methods=["GET"]),
    Route("/api/users", _signed_in(_add_user, admin=True), methods=["POST"]),
    Route("/api/users/activate", _signed_in(_activate_user, admin=True), methods=["POST"]),
    Route("/api/features", _signed_in(_features)),
    *(Route(at, _signed_in(_constant({"feature": name}))) for at, name in FEATURE_PATHS.items()),
    *(WebSocketRoute(path, _agents(kind)) for path, kind in _AGENTS.items()),
    Route(ANSWERS, _answers, methods=["GET"]),
)
"""All endpoints, and the page."""
