"""Only the exact spelling of a route is exempt; any other of the API's paths is judged."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polygent_issuer.enforcement import DEFAULT_ROUTES, WEBSOCKET, Route
from polygent_issuer.enforcement.paths import Paths

FEATURES = {
    "/api/workflows": "workflows",
    "/api/agents/deploy/": "deployments",
    "/api/planner": "planner",
    "/api/planner/bots": "bots",
    "/reports": "insights",
}
PATHS = Paths(routes=DEFAULT_ROUTES, api="/api/", features=FEATURES)
EXEMPT = [at for at in DEFAULT_ROUTES if at[0] != WEBSOCKET]

API = [
    *("/api", "/api/", "/api/x", "/api/x/y.z", "/api/license/", "/api/license/x", "/api/me."),
    *("//api/x", "/api//x", "///api", "/./api/x", "/pages/../api/x", "/a/b/../../api/x"),
    *("/pages/../API/x", "/%41PI/x", "/API//x", "/API;a/x"),
    *("/API/x", "/Api/License", "/aPi"),
    *("/%61pi/x", "/%2561pi/x", "/api%2fx", "/api%2Flicense", "/pages/%2e%2e/api/x"),
    *("/\\api/x", "\\api\\x", "/pages\\..\\api", "/api\\license"),
    *("/api;v=1/x", "/pages/..;/api/x", "/;a/api/x", "/api/..;/pages"),
    *("/api/../pages", "/api/..", "/api/\x00", "/api/\ud800", "/api/\u2028"),
]
PAGES = [
    "/",
    "",
    "*",
    "/apiary",
    "/api-docs",
    "/settings/license",
    "/pages/api/x",
    "/assets/api.js",
]


@pytest.mark.parametrize(("method", "path"), EXEMPT)
def test_exempt_routes(method: str, path: str) -> None:
    """License status, machine info, upload, sign-in, sign-out and current user need no license."""
    assert PATHS.needs(method, path) is None


@pytest.mark.parametrize(("method", "path"), EXEMPT)
def test_another_method_is_judged(method: str, path: str) -> None:
    """The exemption is of a method and a path, exactly."""
    others = {"GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", method.lower(), "", WEBSOCKET}
    for other in others - {each for each, at in EXEMPT if at == path}:
        assert PATHS.needs(other, path) == ()


@pytest.mark.parametrize(("method", "path"), EXEMPT)
@pytest.mark.parametrize(
    "written", ["{}/", "{}//", "/{}", "{}/.", "{}?", "{};a", "{}%20", "{}\x00"]
)
def test_another_spelling_is_judged(method: str, path: str, written: str) -> None:
    """...and what only resembles it is part of the API."""
    assert PATHS.needs(method, written.format(path)) == ()


@pytest.mark.parametrize("path", API)
def test_no_spelling_of_the_api_is_a_page(path: str) -> None:
    """Encoded, doubled, folded, resolved, with parameters: judged."""
    for method in ("GET", "POST", WEBSOCKET):
        assert PATHS.needs(method, path) == ()


@pytest.mark.parametrize("path", PAGES)
def test_pages_pass(path: str) -> None:
    """Non-API routes pass."""
    assert PATHS.needs("GET", path) is None
    assert PATHS.needs(WEBSOCKET, path) is None


@pytest.mark.parametrize(
    ("path", "needs"),
    [
        ("/api/workflows", ("workflows",)),
        ("/api/workflows/", ("workflows",)),
        ("/api/workflows/1", ("workflows",)),
        ("/api/workflows-of-mine", ()),
        ("/api//workflows/1", ("workflows",)),
        ("/api/Workflows/1", ("workflows",)),
        ("/api/x/../workflows", ("workflows",)),
        ("/api/agents/deploy", ("deployments",)),
        ("/api/planner/1", ("planner",)),
        ("/api/planner/bots/1", ("bots",)),
        ("/api/planner/../workflows", ("planner", "workflows")),
        ("/reports/1", ("insights",)),
    ],
)
def test_features(path: str, needs: tuple[str, ...]) -> None:
    """A path and all below it need a feature; one that can be read twice needs both."""
    assert PATHS.needs("GET", path) == needs


def test_agents() -> None:
    """An agent's websocket is judged wherever it is, and may need a feature."""
    routes = {(WEBSOCKET, "/agents/deploy"): Route.DEPLOY_AGENT, ("GET", "/health"): Route.PAGE}
    paths = Paths(routes=routes, api="/api", features={"/agents": "deployments"})
    assert paths.needs(WEBSOCKET, "/agents/deploy") == ("deployments",)
    paths = Paths(routes=routes, api="/api", features={})
    assert paths.needs(WEBSOCKET, "/agents/deploy") == ()
    assert paths.needs(WEBSOCKET, "/agents//deploy") == ()
    assert paths.needs("GET", "/agents/deploy") is None


def test_a_route_may_be_exempted() -> None:
    """A health check below the API passes when the table calls it a page."""
    routes = {**DEFAULT_ROUTES, ("GET", "/api/health"): Route.PAGE}
    paths = Paths(routes=routes, api="/api/", features={})
    assert paths.needs("GET", "/api/health") is None
    assert paths.needs("POST", "/api/health") == ()


def test_a_server_that_is_all_api() -> None:
    """`api="/"`: everything is judged but the table's routes."""
    paths = Paths(routes=DEFAULT_ROUTES, api="/", features={})
    assert paths.needs("GET", "/") == paths.needs("GET", "/x") == paths.needs("GET", "") == ()
    assert paths.needs("GET", "/api/me") is None


@pytest.mark.parametrize(
    ("root_path", "path", "needs"),
    [
        ("/app", "/app/api/x", ()),
        ("/app", "/api/x", ()),
        ("/app", "/app/api/me", None),
        ("/app", "/app/pages", None),
        ("/api", "/x", ()),
        ("/api", "/api/x", ()),
        ("/api", "/me", None),
        ("/api", "/workflows", ("workflows",)),
        ("/app", "/app//api/x", ()),
        ("/app", "/app/API/me", ()),
    ],
)
def test_mounts_and_proxies(root_path: str, path: str, needs: tuple[str, ...] | None) -> None:
    """A path is judged with its `root_path` and without, whoever took it off."""
    assert PATHS.needs("GET", path, root_path) == needs


@given(st.text(st.sampled_from("/\\.;%2fFaApPiI5cCeE 1x"), max_size=12), st.booleans())
def test_what_is_below_the_api_is_never_a_page(text: str, again: bool) -> None:  # noqa: FBT001
    """Whatever follows, also when it was asked for before."""
    for path in (f"/api/{text}", f"//api/{text}"):
        for _ in range(1 + again):
            assert PATHS.needs("PATCH", path) is not None


def test_what_is_remembered_is_bounded() -> None:
    """Paths are the clients': neither many nor long ones fill the memory."""
    paths = Paths(routes=DEFAULT_ROUTES, api="/api", features={})
    for number in range(10_000):
        assert paths.needs("GET", f"/api/{number}") == ()
    assert paths.needs("GET", "/api/" + "x" * 10_000) == ()
    assert len(paths._seen) <= 4_096
    assert max(len(path) for _, path in paths._seen) <= 200
    assert paths.needs("GET", "/api/me") is None
