"""An API server with Starlette: `uvicorn starlette_app:app --workers 4`."""

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from datetime import datetime

import licensing
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

from polygent_issuer.enforcement import (
    HostKind,
    LicenseMiddleware,
    ServerLicense,
)
from polygent_issuer.enforcement.daily import server_now
from polygent_issuer.enforcement.router import license_routes


def create_app(
    open_license: Callable[[], ServerLicense] = licensing.open_license,
    now: Callable[[], datetime] = server_now,
) -> Starlette:
    """Return the app; tests pass a license and a clock."""

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncGenerator[None, None]:
        app.state.license = open_license()
        async with licensing.running(app.state.license, now):
            yield

    def license() -> ServerLicense:
        opened: ServerLicense = app.state.license
        return opened

    def health(_request: Request) -> Response:
        return JSONResponse({"license": license().standing(now()).state})

    def planner(_request: Request) -> Response:
        return JSONResponse([])

    def add_user(request: Request) -> Response:
        licensing.add_user(license(), request.query_params["name"], now())
        return Response(status_code=201)

    async def session_agent(websocket: WebSocket) -> None:
        host = websocket.query_params["host"]
        with license().connected(HostKind.SESSION, host, now()):
            await websocket.accept()
            async for _message in websocket.iter_text():
                pass  # the agent's work

    app = Starlette(
        lifespan=lifespan,
        routes=[
            *license_routes(
                license,
                user=licensing.signed_in,
                users_active=licensing.count_users,
                now=now,
            ),
            Route("/api/health", health),
            Route("/api/planner", planner),
            Route("/api/users", add_user, methods=["POST"]),
            WebSocketRoute("/api/agents/session", session_agent),
        ],
        middleware=[
            Middleware(  # the first is the outermost
                CORSMiddleware,
                allow_origins=["https://app.acme.internal"],
                allow_methods=["*"],
                allow_headers=["authorization"],
            ),
            Middleware(
                LicenseMiddleware,
                license=license,
                now=now,
                extra_routes=licensing.EXTRA_ROUTES,
                features=licensing.FEATURES,
            ),
        ],
    )
    return app


app = create_app()
