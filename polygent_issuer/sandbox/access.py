"""The one-time token in the printed address, and the cookie that it is exchanged for.

Every user of a machine reaches its loopback interface, so a request without the cookie gets the
style sheet and one page. The token works once, because a browser that is started with the address
shows it in the list of processes as long as it runs. The cookie is named after the port, since a
browser has one jar for all ports of 127.0.0.1. It remains when the browser is closed.
"""

import secrets
from typing import Final

from starlette.requests import HTTPConnection
from starlette.responses import RedirectResponse, Response

from polygent_issuer.sandbox.api import API, error
from polygent_issuer.sandbox.rendering import STYLE, no_access

_COOKIE: Final = "polygent_sandbox_access"
_DAYS: Final = 30
_DAY: Final = 86_400


class Access:
    """The token and the cookie of one sandbox, in memory."""

    def __init__(self, url: str) -> None:
        """Start without a valid address.

        Args:
            url: of the sandbox's first page.
        """
        self._url = url
        self._cookie = secrets.token_urlsafe()
        self._token: str | None = None

    def new_address(self) -> str:
        """Make an address that opens once. An earlier one that was not used becomes invalid."""
        self._token = secrets.token_urlsafe()
        return f"{self._url}?token={self._token}"

    def has(self, request: HTTPConnection) -> bool:
        """Check for the cookie in a request or the handshake of a websocket."""
        return _equal(request.cookies.get(_name(request), ""), self._cookie)

    def answer(self, request: HTTPConnection) -> Response | None:
        """Return the answer to an HTTP request, or None where the app answers."""
        method, path = request.scope["method"], request.scope["path"]
        token = request.query_params.get("token")
        if method == "GET" and path == "/" and token is not None:
            if self._redeem(token):
                return self._admitted(request)
            if self.has(request):
                return _first_page()
        # To another method the app answers 405, with a page that shows the site.
        if (method == "GET" and path == STYLE) or self.has(request):
            return None
        if path.startswith(API):
            return error(
                403,
                "no_access",
                "the request does not carry the cookie of this sandbox",
                "open the address that the terminal shows, and send the cookie that it sets",
            )
        return no_access()

    def _redeem(self, token: str) -> bool:
        if self._token is None or not _equal(token, self._token):
            return False
        self._token = None
        return True

    def _admitted(self, request: HTTPConnection) -> Response:
        response = _first_page()
        response.set_cookie(
            _name(request),
            self._cookie,
            max_age=_DAYS * _DAY,
            httponly=True,
            samesite="strict",
        )
        return response


def _first_page() -> Response:
    """Redirect to an address without the token, so that no history or link has it."""
    return RedirectResponse("/", 303)


def _name(request: HTTPConnection) -> str:
    return f"{_COOKIE}_{request.scope['server'][1]}"


def _equal(one: str, other: str) -> bool:
    return secrets.compare_digest(one.encode(), other.encode())
