"""Sign-in to the sandbox: sessions without passwords, and the user of each request."""

import secrets
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from starlette.requests import HTTPConnection
from starlette.responses import Response

from polygent_issuer.sandbox.simulated_server import SimulatedServer

MOST_SESSIONS: Final = 1_000
"""Sessions that are remembered: the newest."""


class Role(StrEnum):
    """What somebody may do: admins upload licenses, members use the product."""

    ADMIN = "admin"
    MEMBER = "member"


@dataclass(frozen=True, slots=True)
class Session:
    """One sign-in; the token is what the cookie holds."""

    token: str
    role: Role

    @property
    def name(self) -> str:
        """The user's name: there is one of each role."""
        return str(self.role)


class Sessions:
    """The sessions of the server, in memory."""

    def __init__(self) -> None:
        """With nobody signed in."""
        self._live: dict[str, Session] = {}

    def begin(self, role: Role) -> Session:
        """Sign in; beyond `MOST_SESSIONS` the oldest session ends."""
        session = Session(secrets.token_urlsafe(32), role)
        if len(self._live) >= MOST_SESSIONS:
            del self._live[next(iter(self._live))]
        self._live[session.token] = session
        return session

    def of(self, token: str | None) -> Session | None:
        """The session of a token; None when it has ended or never was."""
        return None if token is None else self._live.get(token)

    def others(self, session: Session) -> tuple[Session, ...]:
        """The other sessions of the same user."""
        return tuple(
            each for each in self._live.values() if each.role is session.role and each != session
        )

    def end(self, *sessions: Session) -> None:
        """Sign out."""
        for each in sessions:
            self._live.pop(each.token, None)


_COOKIE = "polygent_sandbox"


def site_of(request: HTTPConnection) -> SimulatedServer:
    """The pretended server."""
    return request.app.state.site  # type: ignore[no-any-return]


def new_address(request: HTTPConnection) -> str:
    """Make an address that gives one more browser or program access to the sandbox."""
    return request.app.state.access.new_address()  # type: ignore[no-any-return]


def session_of(request: HTTPConnection) -> Session | None:
    """The session of whoever asks; None when nobody is signed in."""
    return _sessions_of(request).of(request.cookies.get(_cookie(request)))


def sign_in(request: HTTPConnection, response: Response, role: Role) -> Session:
    """Begin a session; the license says whether the user's other ones end.

    The browser keeps its token out of reach of scripts and of other sites.
    """
    site, sessions = site_of(request), _sessions_of(request)
    session = sessions.begin(role)
    others = sessions.others(session)
    sessions.end(*site.license.sessions_to_revoke(others, site.now()))
    response.set_cookie(_cookie(request), session.token, httponly=True, samesite="strict")
    return session


def sign_out(request: HTTPConnection, response: Response, session: Session) -> None:
    """End a session."""
    _sessions_of(request).end(session)
    response.delete_cookie(_cookie(request))


def _sessions_of(request: HTTPConnection) -> Sessions:
    return request.app.state.sessions  # type: ignore[no-any-return]


def _cookie(request: HTTPConnection) -> str:
    """A name for each port: a browser sends cookies of 127.0.0.1 to every port of it."""
    return f"{_COOKIE}_{request.scope['server'][1]}"
