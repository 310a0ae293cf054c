"""The endpoints under `/api/`. `LicenseMiddleware` stands before them; none asks for the license.

What they answer when the license allows them is small: an operator wants to know that they answer.
"""

from collections.abc import Awaitable, Callable
from functools import wraps
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

from polygent_issuer.enforcement import Connection, HostKind, Refusal
from polygent_issuer.sandbox.auth import Role, Session, session_of, sign_in, sign_out, site_of
from polygent_issuer.sandbox.simulated_server import machine_info
from polygent_issuer.verifier.identifiers import ENTERPRISE_FEATURES, FEATURES

API: Final = "/api/"
"""What every path here begins with."""

FEATURE_PATHS: Final = {f"{API}{name}": name for name in (*FEATURES, *ENTERPRISE_FEATURES)}
"""One endpoint for each feature of the catalogue."""

_POLICY_VIOLATION: Final = 1008
_HOST_NAME: Final = 253


def error(status: int, code: str, message: str, hint: str | None = None) -> JSONResponse:
    """A refusal in the form that those of the license have."""
    refusal = Refusal(status=status, code=code, message=message, hint=hint)
    return JSONResponse(refusal.to_json(), status)


Endpoint = Callable[[Request, Session], Awaitable[Response]]


def _signed_in(endpoint: Endpoint, *, admin: bool = False) -> Callable[[Request], Any]:
    """Let only users, or only admins, through."""

    @wraps(endpoint)
    async def guarded(request: Request) -> Response:
        session = session_of(request)
        if session is None:
            return error(401, "not_signed_in", "nobody is signed in", "POST /api/sign-in")
        if admin and session.role is not Role.ADMIN:
            return error(403, "not_an_admin", "only an admin may do this")
        return await endpoint(request, session)

    return guarded


async def _sign_in(request: Request) -> Response:
    try:
        role = Role((await request.json())["user"])
    except (ValueError, TypeError, KeyError, RecursionError):
        return error(400, "bad_request", 'the body is not {"user": "admin"} or "member"')
    response = JSONResponse({"user": str(role)})
    sign_in(request, response, role)
    return response


async def _sign_out(request: Request, session: Session) -> Response:
    response = Response(status_code=204)
    sign_out(request, response, session)
    return response


async def _me(_request: Request, session: Session) -> Response:
    return JSONResponse({"user": session.name, "role": str(session.role)})


async def _license(request: Request, _session: Session) -> Response:
    site = site_of(request)
    return JSONResponse(
        site.license.status(site.now(), users_active=site.population.users).to_json()
    )


async def _upload(request: Request, session: Session) -> Response:
    attempt = site_of(request).install(await request.body(), by=session.name)
    if attempt.refused is not None:
        return error(400, attempt.refused.code, attempt.refused.message, attempt.refused.hint)
    return await _license(request, session)


async def _machine_info(request: Request, _session: Session) -> Response:
    site = site_of(request)
    installed = site.standing().license
    content = machine_info(
        site.fingerprint, now=site.now(), customer=None if installed is None else installed.customer
    )
    headers = {"content-disposition": 'attachment; filename="machine-info.json"'}
    return Response(content, media_type="application/json", headers=headers)


async def _users(request: Request, _session: Session) -> Response:
    return JSONResponse({"active": site_of(request).population.users})


async def _add_user(request: Request, _session: Session) -> Response:
    site = site_of(request)
    if refusal := site.population.add_user():
        return JSONResponse(refusal.to_json(), refusal.status)
    return JSONResponse({"active": site.population.users}, 201)


async def _features(request: Request, _session: Session) -> Response:
    site = site_of(request)
    return JSONResponse({"features": site.license.features(site.now())})


def _constant(content: dict[str, Any]) -> Endpoint:
    async def endpoint(_request: Request, _session: Session) -> Response:
        return JSONResponse(content)

    return endpoint


def _agents(kind: HostKind) -> Callable[[WebSocket], Awaitable[None]]:
    """An agent's socket: its host counts for as long as it is open."""

    async def connected(socket: WebSocket) -> None:
        site, host = site_of(socket), socket.query_params.get("host", "")[:_HOST_NAME]
        if not host:
            await socket.close(_POLICY_VIOLATION, "bad_request: the agent does not name its host")
            return
        license = site.license  # noqa: A001 - starting over brings another, which counts anew
        made = license.connect(kind, host, site.now(), request_host=site.host)
        if not isinstance(made, Connection):
            await socket.close(_POLICY_VIOLATION, f"{made.code}: {made.message}")
            return
        try:
            await socket.accept()
            while (await socket.receive())["type"] != "websocket.disconnect":
                pass
        finally:
            license.hosts.disconnect(made)

    return connected


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
    Route("/api/features", _signed_in(_features)),
    *(
        Route(path, _signed_in(_constant({"feature": name})))
        for path, name in FEATURE_PATHS.items()
    ),
    WebSocketRoute("/api/agents/session", _agents(HostKind.SESSION)),
    WebSocketRoute("/api/agents/deploy", _agents(HostKind.DEPLOY)),
)
"""Every endpoint."""
