"""The ASGI app of the sandbox: `LicenseMiddleware` first; the license is looked at each minute."""

import asyncio
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from typing import Any, Final

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from polygent_issuer.enforcement import LicenseMiddleware, StoreFailed
from polygent_issuer.sandbox import api, api_preview, controls, pages, rendering
from polygent_issuer.sandbox.access import Access
from polygent_issuer.sandbox.api import API, error
from polygent_issuer.sandbox.auth import Sessions, session_of, site_of
from polygent_issuer.sandbox.guard import Guard
from polygent_issuer.sandbox.pages import LOCKED, to
from polygent_issuer.sandbox.rendering import render
from polygent_issuer.sandbox.simulated_server import SimulatedServer

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


MINUTE = 60.0


def every(
    seconds: float, site: SimulatedServer
) -> Callable[[Starlette], AbstractAsyncContextManager[None]]:
    """The lifespan of an app that ticks, at once and then again."""

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        ticking = asyncio.create_task(_tick(seconds, site))
        try:
            yield
        finally:
            ticking.cancel()

    return lifespan


async def _tick(seconds: float, site: SimulatedServer) -> None:
    while True:
        with suppress(StoreFailed):  # the next request is answered with it
            site.tick()
        await asyncio.sleep(seconds)


class Restarting:
    """The license middleware over a site that may start over, and so have another license."""

    def __init__(self, app: ASGIApp, *, site: SimulatedServer) -> None:
        """Stand before an app."""
        self._app = app
        self._site = site

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Judge a request as if it had come for the pretended host."""
        site = self._site
        if scope["type"] in ("http", "websocket"):
            others = [header for header in scope["headers"] if header[0] != b"host"]
            host = b"host", site.host.encode("latin-1", "replace")
            scope = {**scope, "headers": [*others, host]}
        # This line is all that an integrator's own app needs.
        app = LicenseMiddleware(
            self._app, license=site.license, now=site.now, features=api.FEATURE_PATHS
        )
        await app(scope, receive, send)


def application(
    site: SimulatedServer, *, hosts: Collection[str], access: Access, tick_every: float = MINUTE
) -> Starlette:
    """The sandbox of a site.

    Args:
        hosts: the Host headers under which it answers.
        access: what a request must carry.
        tick_every: seconds between two looks at the license that nobody asked for.
    """
    app = Starlette(
        routes=[
            *pages.ROUTES,
            *api.ROUTES,
            *api_preview.ROUTES,
            *controls.ROUTES,
            *rendering.ROUTES,
        ],
        middleware=[
            Middleware(Guard, hosts=hosts, access=access),
            Middleware(Restarting, site=site),
        ],
        exception_handlers=ON,
        lifespan=every(tick_every, site),
    )
    # A redirect to the path with another slash would lead to the pretended host.
    app.router.redirect_slashes = False
    app.state.site = site
    app.state.access = access
    app.state.sessions = Sessions()
    app.state.notice = None
    return app
