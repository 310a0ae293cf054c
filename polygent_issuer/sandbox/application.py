"""The app: pages, API and controls behind the license, and the guard before them all."""

from collections.abc import Collection

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.types import ASGIApp, Receive, Scope, Send

from polygent_issuer.enforcement import LicenseMiddleware
from polygent_issuer.sandbox import answers, api, controls, failures, minutes, pages, rendering
from polygent_issuer.sandbox.access import Access
from polygent_issuer.sandbox.guard import Guard
from polygent_issuer.sandbox.sessions import Sessions
from polygent_issuer.sandbox.site import Site


class Restarting:
    """The license middleware over a site that may start over, and so have another license."""

    def __init__(self, app: ASGIApp, *, site: Site) -> None:
        """Stand before an app."""
        self._app = app
        self._site = site
        self._license = site.license
        self._standing = self._over()

    def _over(self) -> LicenseMiddleware:
        # This line is all that an integrator's own app needs.
        return LicenseMiddleware(
            self._app, license=self._license, now=self._site.now, features=api.FEATURE_PATHS
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Judge a request as if it had come for the pretended host."""
        if self._license is not self._site.license:
            self._license = self._site.license
            self._standing = self._over()
        if scope["type"] in ("http", "websocket"):
            scope = {**scope, "headers": _for_host(scope["headers"], self._site.host)}
        await self._standing(scope, receive, send)


def _for_host(headers: list[tuple[bytes, bytes]], host: str) -> list[tuple[bytes, bytes]]:
    others = [(name, value) for name, value in headers if name != b"host"]
    return [*others, (b"host", host.encode("latin-1", "replace"))]


def application(
    site: Site, *, hosts: Collection[str], access: Access, tick_every: float = minutes.MINUTE
) -> Starlette:
    """The sandbox of a site.

    Args:
        hosts: the Host headers under which it answers.
        access: what a request must carry.
        tick_every: seconds between two looks at the license that nobody asked for.
    """
    app = Starlette(
        routes=[*pages.ROUTES, *api.ROUTES, *answers.ROUTES, *controls.ROUTES, *rendering.ROUTES],
        middleware=[
            Middleware(Guard, hosts=hosts, access=access),
            Middleware(Restarting, site=site),
        ],
        exception_handlers=failures.ON,
        lifespan=minutes.every(tick_every, site),
    )
    # A redirect to the path with another slash would lead to the pretended host.
    app.router.redirect_slashes = False
    app.state.site = site
    app.state.access = access
    app.state.sessions = Sessions()
    app.state.notice = None
    return app
