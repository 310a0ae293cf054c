"""An API server with FastAPI: `uvicorn fastapi_app:app --workers 4`."""

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from datetime import datetime

import licensing
from fastapi import FastAPI, WebSocket
from fastapi.middleware.cors import CORSMiddleware

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
) -> FastAPI:
    """Return the app; tests pass a license and a clock."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncGenerator[None, None]:
        app.state.license = open_license()
        async with licensing.running(app.state.license, now):
            yield

    def license() -> ServerLicense:
        opened: ServerLicense = app.state.license
        return opened

    app = FastAPI(lifespan=lifespan)
    app.add_middleware(
        LicenseMiddleware,
        license=license,
        now=now,
        extra_routes=licensing.EXTRA_ROUTES,
        features=licensing.FEATURES,
    )
    app.add_middleware(  # the last is the outermost
        CORSMiddleware,
        allow_origins=["https://app.acme.internal"],
        allow_methods=["*"],
        allow_headers=["authorization"],
    )

    app.router.routes.extend(
        license_routes(
            license,
            user=licensing.signed_in,
            users_active=licensing.count_users,
            now=now,
        )
    )

    @app.get("/api/health")
    @app.head("/api/health")
    def health() -> dict[str, str]:
        return {"license": license().standing(now()).state}

    @app.get("/api/planner")
    def planner() -> list[str]:
        return []

    @app.post("/api/users", status_code=201)
    def add_user(name: str) -> None:
        licensing.add_user(license(), name, now())

    @app.websocket("/api/agents/session")
    async def session_agent(websocket: WebSocket, host: str) -> None:
        with license().connected(HostKind.SESSION, host, now()):
            await websocket.accept()
            async for _message in websocket.iter_text():
                pass  # the agent's work

    return app


app = create_app()
