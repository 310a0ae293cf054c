"""Sign-in to the sandbox: sessions without passwords, and the user of each request."""

import secrets
from enum import StrEnum
from typing import Final

from starlette.requests import HTTPConnection
from starlette.responses import Response

from polygent_issuer.sandbox.simulated_server import SimulatedServer

MOST_SESSIONS: Final = 1_000
"""The largest number of sessions; the oldest is dropped first."""


class User(StrEnum):
    """One user of each role. Admins upload licenses; members use the product."""

    ADMIN = "admin"
    MEMBER = "member"


def site_of(request: HTTPConnection) -> SimulatedServer:
    """Return the simulated server."""
    return request.app.state.site  # type: ignore[no-any-return]


def user_of(request: HTTPConnection) -> User | None:
    """Return the signed-in user of a request, or None."""
    return _sessions(request).get(request.cookies.get(cookie_name(request), ""))


def sign_in(request: HTTPConnection, response: Response, user: User) -> None:
    """Start a session; depending on the license, the user's other sessions end.

    If there are `MOST_SESSIONS` already, the oldest ends. Scripts and other sites cannot read the
    cookie.
    """
    site, sessions = site_of(request), _sessions(request)
    others = [token for token, each in sessions.items() if each is user]
    for token in site.license.sessions_to_revoke(others, site.now()):
        del sessions[token]
    if len(sessions) >= MOST_SESSIONS:
        del sessions[next(iter(sessions))]
    token = secrets.token_urlsafe(32)
    sessions[token] = user
    response.set_cookie(cookie_name(request), token, httponly=True, samesite="strict")


def sign_out(request: HTTPConnection, response: Response) -> None:
    """End a session."""
    _sessions(request).pop(request.cookies.get(cookie_name(request), ""), None)
    response.delete_cookie(cookie_name(request))


def _sessions(request: HTTPConnection) -> dict[str, User]:
    """Return the user of each session by the token in its cookie."""
    return request.app.state.sessions  # type: ignore[no-any-return]


def cookie_name(request: HTTPConnection, what: str = "") -> str:
    """Return a cookie name for this port, since browsers share cookies between ports."""
    return f"polygent_sandbox{what}_{request.scope['server'][1]}"
