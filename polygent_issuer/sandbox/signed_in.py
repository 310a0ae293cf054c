"""Who asks: the session of a request, and the cookie that holds its token."""

from starlette.requests import HTTPConnection
from starlette.responses import Response

from polygent_issuer.sandbox.sessions import Role, Session, Sessions
from polygent_issuer.sandbox.site import Site

_COOKIE = "polygent_sandbox"


def site_of(request: HTTPConnection) -> Site:
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
