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
