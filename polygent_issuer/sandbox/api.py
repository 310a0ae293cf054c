"""Sign-in to the sandbox, and the endpoints under `/api/`.

A session has no password. `LicenseMiddleware` checks the license, so the endpoints themselves do
not. Their content is minimal: the operator needs to see only whether they respond.
"""

import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from functools import wraps
from typing import Any, Final

from starlette.requests import HTTPConnection, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

from polygent_issuer.enforcement import HostKind, NoMachineInfo, Refusal, Refused, machine_info
from polygent_issuer.sandbox.simulated_server import Attempt, SimulatedServer
from polygent_issuer.verifier.tables import ENTERPRISE_FEATURES, FEATURES

Endpoint = Callable[[Request], Awaitable[Response]]

MOST_SESSIONS: Final = 1_000
"""The largest number of sessions; the oldest is dropped first."""


class User(StrEnum):
    """One user of each role. Admins upload licenses; members use the product."""

    ADMIN = "admin"
    MEMBER = "member"


@dataclass(eq=False, kw_only=True, slots=True)
class Session:
    """A signed-in device.

    Attributes:
        since: the server's time of the sign-in, UTC.
        attempt: the result of an upload on a page, for the next page.
    """

    user: User
    since: datetime
    attempt: Attempt | None = None


def site_of(request: HTTPConnection) -> SimulatedServer:
    """Return the simulated server."""
    return request.app.state.site  # type: ignore[no-any-return]


def session_of(request: HTTPConnection) -> Session | None:
    """Return the session of a request; None if it is not signed in."""
    return _sessions(request).get(request.cookies.get(cookie_name(request), ""))


def user_of(request: HTTPConnection) -> User | None:
    """Return the signed-in user of a request, or None."""
    session = session_of(request)
    return None if session is None else session.user


def devices(request: HTTPConnection) -> list[Session]:
    """Return the sessions of the user of a request, the oldest first."""
    user = user_of(request)
    return [session for session in _sessions(request).values() if session.user is user]


def sign_in(request: HTTPConnection, response: Response, user: User) -> None:
    """Start a session; depending on the license, the user's other sessions end.

    If there are `MOST_SESSIONS` already, the oldest ends. Scripts and other sites cannot read the
    cookie.
    """
    site, sessions = site_of(request), _sessions(request)
    others = [token for token, each in sessions.items() if each.user is user]
    for token in site.license.sessions_to_revoke(others, site.now()):
        del sessions[token]
    if len(sessions) >= MOST_SESSIONS:
        del sessions[next(iter(sessions))]
    token = secrets.token_urlsafe(32)
    sessions[token] = Session(user=user, since=site.now())
    response.set_cookie(cookie_name(request), token, httponly=True, samesite="strict")


def sign_out(request: HTTPConnection, response: Response) -> None:
    """End a session."""
    _sessions(request).pop(request.cookies.get(cookie_name(request), ""), None)
    response.delete_cookie(cookie_name(request))


def _sessions(request: HTTPConnection) -> dict[str, Session]:
    """Return the sessions by the token in their cookie."""
    return request.app.state.sessions  # type: ignore[no-any-return]


def cookie_name(request: HTTPConnection, what: str = "") -> str:
    """Return a cookie name for this port, since browsers share cookies between ports."""
    return f"polygent_sandbox{what}_{request.scope['server'][1]}"


API: Final = "/api/"
"""The prefix of every path here."""

FEATURE_PATHS: Final = {f"{API}{name}": name for name in (*FEATURES, *ENTERPRISE_FEATURES)}
"""One endpoint for each feature of the catalogue."""

AGENTS: Final = {"/api/agents/session": HostKind.SESSION, "/api/agents/deploy": HostKind.DEPLOY}
_HOST_NAME: Final = 253
_NO_HOST: Final = Refusal(
    status=400,
    code="bad_request",
    message="the name of the agent's host is missing",
    hint="add ?host=NAME to the address",
)


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
    *(WebSocketRoute(path, _agents(kind)) for path, kind in AGENTS.items()),
)
"""All endpoints."""
