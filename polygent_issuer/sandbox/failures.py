"""What is answered when something fails: in JSON to programs, in a page to people."""

from typing import Any, Final

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from polygent_issuer.enforcement import StoreFailed
from polygent_issuer.sandbox.api import API, error
from polygent_issuer.sandbox.auth import session_of, site_of
from polygent_issuer.sandbox.pages import LOCKED, to
from polygent_issuer.sandbox.rendering import render

_WORDS: Final = {
    400: ("bad_request", "Not understood"),
    404: ("not_found", "Nothing here"),
    405: ("method_not_allowed", "Not possible here"),
    413: ("too_large", "Too large"),
}
"""The code for programs, and the title for people."""


async def _not_served(request: Request, failed: Exception) -> Response:
    """No such page or endpoint, or a body that cannot be read.

    Without a valid license a page that does not exist leads where every page does.
    """
    status = failed.status_code if isinstance(failed, HTTPException) else 500
    why = str(getattr(failed, "detail", failed))
    code, title = _WORDS.get(status, ("error", "Not possible"))
    if request.scope["path"].startswith(API):
        return error(status, code, why)
    if status == 404 and session_of(request) and site_of(request).refusal_here():  # noqa: PLR2004 - not found
        return to(LOCKED)
    return render(request, "refused.html", status_code=status, title=title, why=f"{status}: {why}")


async def _store_failed(request: Request, failed: Exception) -> Response:
    """The server's database cannot be used: nothing else that it could show is known."""
    code = StoreFailed.code
    if request.scope["path"].startswith(API):
        return error(503, code, str(failed))
    return PlainTextResponse(f"{code}: {failed}\nStart the sandbox again.\n", 503)


ON: Final[dict[Any, Any]] = {HTTPException: _not_served, StoreFailed: _store_failed}
"""Each by what was raised."""
