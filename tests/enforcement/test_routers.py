"""No path that Starlette's or FastAPI's router leads to a gated endpoint passes the gate."""

from collections.abc import Callable, Iterator
from collections.abc import Set as AbstractSet
from typing import Any
from urllib.parse import unquote

import pytest
from fastapi import APIRouter, FastAPI, WebSocket
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import BaseRoute, Mount, WebSocketRoute
from starlette.routing import Route as AppRoute
from support.asgi import http_scope, messages, websocket_scope
from support.servers import Server, running

from polygent_issuer.enforcement import DEFAULT_ROUTES, WEBSOCKET, LicenseMiddleware, Route
from polygent_issuer.enforcement.asgi import App

LICENSE = "a license"
FEATURES = {
    "/api/bots": "bots",
    "/api/a": "planner",
    "/api/a/b": "insights",
    "/api/mounted/deep": "workflows",
    "/reports": "memory",
}
ROUTES = {
    **DEFAULT_ROUTES,
    ("GET", "/jobs"): Route.API,
    (WEBSOCKET, "/agents"): Route.SESSION_AGENT,
}
PAGE: AbstractSet[str] = frozenset()
OF_ENDPOINTS: dict[str, AbstractSet[str]] = {
    "/api": {LICENSE},
    "/api/bots": {LICENSE, "bots"},
    "/api/bots/{id}": {LICENSE, "bots"},
    "/api/bots/{id:int}/{rest:path}": {LICENSE, "bots"},
    "/api/a/": {LICENSE, "planner"},
    "/api/a/b": {LICENSE, "planner", "insights"},
    "/api/a/b/{rest:path}": {LICENSE, "planner", "insights"},
    "/api/a/{rest:path}": {LICENSE, "planner"},
    "/api/{rest:path}": {LICENSE},
    "/reports": {LICENSE, "memory"},
    "/reports/{rest:path}": {LICENSE, "memory"},
    "/jobs": {LICENSE},
    "/{rest:path}": PAGE,
}
OF_SOCKETS: dict[str, AbstractSet[str]] = {
    "/api/bots": {LICENSE, "bots"},
    "/agents": {LICENSE},
    "/live": PAGE,
}
OF_MOUNTED: dict[str, AbstractSet[str]] = {
    "/": {LICENSE},
    "/deep": {LICENSE, "workflows"},
    "/{rest:path}": {LICENSE},
}
CONCRETE = [path.replace("{id}", "7").replace("{id:int}", "7") for path in OF_ENDPOINTS]

Reached = list[AbstractSet[str]]
"""The features of each endpoint that ran."""


def endpoint(reached: Reached, needs: AbstractSet[str]) -> Callable[[Request], Any]:
    """An endpoint that records its call."""

    async def run(request: Request) -> PlainTextResponse:  # noqa: ARG001 - as routers call it
        reached.append(needs)
        return PlainTextResponse("")

    return run


def agent(reached: Reached, needs: AbstractSet[str]) -> Callable[[WebSocket], Any]:
    """The same for a websocket."""

    async def run(websocket: WebSocket) -> None:
        reached.append(needs)
        await websocket.accept()
        await websocket.close()

    return run


def mounted(reached: Reached) -> list[BaseRoute]:
    """Routes of the app that is mounted below the API."""
    return [AppRoute(path, endpoint(reached, needs)) for path, needs in OF_MOUNTED.items()]


def starlette(reached: Reached) -> Starlette:
    """Routes, mounts and websockets of Starlette."""
    sockets = [WebSocketRoute(at, agent(reached, needs)) for at, needs in OF_SOCKETS.items()]
    routes = [AppRoute(at, endpoint(reached, needs)) for at, needs in OF_ENDPOINTS.items()]
    return Starlette(
        routes=[
            Mount("/api/mounted", routes=mounted(reached)),
            Mount("/pages", routes=[AppRoute("/{rest:path}", endpoint(reached, PAGE))]),
            *sockets,
            Mount("/outer", routes=[Mount("/inner", routes=routes[-1:])]),
            *routes[:-1],
            Mount("", routes=routes),
        ]
    )


def fastapi(reached: Reached) -> FastAPI:
    """The same in FastAPI: routers with a prefix, its own routes and Starlette's."""
    app = FastAPI(openapi_url=None)
    sub = FastAPI(openapi_url=None)
    for at, needs in OF_MOUNTED.items():
        sub.add_api_route(at, endpoint(reached, needs))
    app.mount("/api/mounted", sub)
    for at, needs in OF_SOCKETS.items():
        app.add_api_websocket_route(at, agent(reached, needs))
    below_api = APIRouter(prefix="/api")
    for at, needs in OF_ENDPOINTS.items():
        if at.startswith("/api/"):
            below_api.add_api_route(at.removeprefix("/api"), endpoint(reached, needs))
    app.include_router(below_api)
    for at, needs in OF_ENDPOINTS.items():
        app.add_route(at, endpoint(reached, needs))
    return app


KINDS = [starlette, fastapi]


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[tuple[Server, set[str]]]]:
    """Servers without a license and with a feature, each with the features that may be needed."""
    folder = tmp_path_factory.mktemp("servers")
    with running(folder / "none.db") as none, running(folder / "one.db") as one:
        one.install(0, features=("insights",))
        yield [(none, set()), (one, {LICENSE, "insights"})]


def gated(app: Any, server: Server) -> App:
    """An app behind the license."""
    app.add_middleware(
        LicenseMiddleware,
        license=server.license,
        now=lambda: server.now,
        routes=ROUTES,
        features=FEATURES,
    )
    gate: App = app
    return gate


def ask(app: App, method: str, target: str, **more: Any) -> None:
    """Send a request for a target, which a server decodes once."""
    path = unquote(target)
    if method == WEBSOCKET:
        messages(app, websocket_scope(path, **more), "websocket.connect")
    else:
        messages(app, http_scope(path, method=method, **more), "http.request")


PIECES = [
    *("/", "//", "/.", "/..", "/x/..", "/../api", "\\", "%2f", "%252f", "%5c", ";a", ";/"),
    *("%0A", "%0a", "%250A", "%25250a", "\n", "%0D", "%0D%0A", "%00", "%09", "%0B", "%0C"),
    *(" ", "%20", "%C2%85", "%C2%A0", "%E2%80%A8", "%E2%80%A9", "%1F", "%7F", "%ff"),
    *(".", "..", "%2e%2e", "?", "#", "*", "%", "api", "API", "%61pi", "%2561", "bots", "7"),
]
SPLITS = st.tuples(st.sampled_from(CONCRETE), st.integers(0, 20), st.sampled_from(PIECES))
NEAR = SPLITS.map(lambda it: it[0][: it[1]] + it[2] + it[0][it[1] :])
ENDED = st.tuples(
    st.sampled_from([*CONCRETE, "/api/mounted/deep", "/api/mounted", "/agents"]),
    st.lists(st.sampled_from(PIECES), max_size=2).map("".join),
).map("".join)
SPELT = ENDED.flatmap(
    lambda text: st.sampled_from(
        [text, text.upper(), text.replace("/", "//"), text.replace("o", "%6f"), "//pages/.." + text]
    )
)
FREE = st.lists(st.sampled_from(["/", *PIECES]), max_size=8).map(lambda parts: "/" + "".join(parts))
TARGETS = NEAR | ENDED | SPELT | FREE | st.text(max_size=6).map(lambda text: "/api/" + text)
METHODS = st.sampled_from(["GET", "HEAD", "POST", WEBSOCKET])
ROOTS = st.sampled_from(["", "/app", "/api", "/ap", "/", "/app/", "/api/bots", "/a\n"])
LOOSE = settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])


@pytest.mark.parametrize("kind", KINDS)
@given(target=TARGETS, method=METHODS, root=ROOTS)
@LOOSE
def test_the_router_reaches_nothing_that_the_gate_refuses(
    servers: list[tuple[Server, set[str]]], kind: Any, target: str, method: str, root: str
) -> None:
    """Only allowed endpoints run, with any path, encoding and prefix of a proxy."""
    for server, may_need in servers:
        reached: Reached = []
        app = gated(kind(reached), server)
        for path in (target, root + target):
            ask(app, method, path, root_path=root)
            scope = http_scope(unquote(path), method=method)
            del scope["raw_path"], scope["root_path"]
            if method != WEBSOCKET:
                messages(app, scope, "http.request")
        assert all(needs <= may_need for needs in reached), reached


@pytest.mark.parametrize("kind", KINDS)
@given(target=TARGETS, method=METHODS, prefix=st.sampled_from(["/app", "/app/v1", "/{tenant}"]))
@LOOSE
def test_a_mounted_app(
    servers: list[tuple[Server, set[str]]], kind: Any, target: str, method: str, prefix: str
) -> None:
    """The gate of a mounted app checks the path that its router uses."""
    for server, may_need in servers:
        reached: Reached = []
        outer = Starlette(routes=[Mount(prefix, app=gated(kind(reached), server))])
        for tenant in ("acme", "ac\nme", "api"):
            ask(outer, method, prefix.replace("{tenant}", tenant) + target)
        assert all(needs <= may_need for needs in reached), reached


REACHED = [
    ("GET", "/api%0A", {LICENSE}),
    ("GET", "/api/bots%0A", {LICENSE, "bots"}),
    ("GET", "/api/bots/7%0a", {LICENSE, "bots"}),
    ("GET", "/api/a/b%0A", {LICENSE, "planner", "insights"}),
    ("GET", "/api/a/b/c", {LICENSE, "planner", "insights"}),
    ("GET", "/api/mounted/deep", {LICENSE, "workflows"}),
    ("GET", "/api/mounted/deep%0A", {LICENSE}),
    ("GET", "/reports%0A", {LICENSE, "memory"}),
    ("HEAD", "/jobs", {LICENSE}),
    ("GET", "/jobs%0A", {LICENSE}),
    (WEBSOCKET, "/api/bots%0A", {LICENSE, "bots"}),
    (WEBSOCKET, "/agents%0A", {LICENSE}),
]


@pytest.mark.parametrize(("method", "target", "needs"), REACHED)
@pytest.mark.parametrize("kind", KINDS)
def test_paths_that_a_router_accepts(
    servers: list[tuple[Server, set[str]]], kind: Any, method: str, target: str, needs: set[str]
) -> None:
    """These paths reach their endpoint without the gate, and with it only if its needs are met."""
    reached: Reached = []
    ask(kind(reached), method, target)
    assert reached == [needs]
    for server, may_need in servers:
        reached.clear()
        ask(gated(kind(reached), server), method, target)
        assert reached == ([needs] if needs <= may_need and "%" not in target else [])
