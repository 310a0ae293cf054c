"""Sign-in to the sandbox: sessions without passwords, and the user of each request."""

import secrets
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from starlette.requests import HTTPConnection
from starlette.responses import Response

from polygent_issuer.sandbox.simulated_server import Attempt, SimulatedServer

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
