"""Only the exact spelling of a route is exempt; other paths of the API are checked."""

import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polygent_issuer.enforcement import DEFAULT_ROUTES, WEBSOCKET, Route
from polygent_issuer.enforcement.paths import Paths
from polygent_issuer.enforcement.refusals import MALFORMED_PATH

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
    *("/a/b%2fc/../../api/x", "/a/b%252fc/../../api/x", "/a/b;/c/../../../api/x"),
    *("/api/../pages", "/api/..", "/api/\ud800", "/api/\u2028"),
    *("api", "api/x", "API/x", "%61pi/x", "./api/x"),
    *("/api?", "/api?x", "/api#x", "/api%3Fx", "/api%2523", "/pages/../api?/../..", "/API?a#b"),
]
MALFORMED = [
    *("/api\n", "/api/\n", "/api/x\n", "/api/license\n", "\n/api", "/\napi/x", "/ap\ri/x"),
    *("/api/\x00", "/api\x00/../pages", "/api/x\ty", "/API\x7f", "/pages/../api/\x85"),
    *("/api%0A", "/api/x%250d", "/pages/%2e%2e/api/%00", "/reports\n", "/reports\x00x"),
    *("//api/me\n", "/\n/api/x", "/reports%0a/1", "/\t/..//reports"),
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
    "/pages/x\n",
    "/apiary\n",
]


@pytest.mark.parametrize(("method", "path"), EXEMPT)
def test_exempt_routes(method: str, path: str) -> None:
    """License status, machine info, upload, sign-in, sign-out and current user need no license."""
    assert PATHS.needs(method, path) is None


@pytest.mark.parametrize(("method", "path"), EXEMPT)
def test_another_method_is_checked(method: str, path: str) -> None:
    """The exemption is for an exact method and path."""
    others = {"GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", method.lower(), "", WEBSOCKET}
    for other in others - {each for each, at in EXEMPT if at == path}:
        assert PATHS.needs(other, path) == ()


@pytest.mark.parametrize(("method", "path"), EXEMPT)
@pytest.mark.parametrize("written", ["{}/", "{}//", "/{}", "{}/.", "{}?", "{};a", "{}%20"])
def test_another_spelling_is_checked(method: str, path: str, written: str) -> None:
    """A path that only resembles an exempt one belongs to the API."""
    assert PATHS.needs(method, written.format(path)) == ()


@pytest.mark.parametrize("path", API)
def test_no_spelling_of_the_api_is_a_page(path: str) -> None:
    """An encoded, doubled, folded or resolved path, or one with parameters, is checked."""
    for method in ("GET", "POST", WEBSOCKET):
        assert PATHS.needs(method, path) == ()


@pytest.mark.parametrize("path", MALFORMED)
def test_a_control_character_in_a_path_of_the_api_is_refused(path: str) -> None:
    """A control character is refused in any encoding and place of a path of the API."""
    for method in ("GET", "POST", WEBSOCKET):
        assert PATHS.needs(method, path) is MALFORMED_PATH


@pytest.mark.parametrize("path", PAGES)
def test_pages_pass(path: str) -> None:
    """Routes outside the API pass."""
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
        ("/api/planner/bots/1", ("bots", "planner")),
        ("/api/planner/bots", ("bots", "planner")),
        ("/api/planner/botsy", ("planner",)),
        ("/api/planner//Bots/", ("bots", "planner")),
        ("/api/planner/../workflows", ("planner", "workflows")),
        ("/reports/1", ("insights",)),
        ("/reports?x", ("insights",)),
        ("/api/workflows%3Fx", ("workflows",)),
    ],
)
def test_features(path: str, needs: tuple[str, ...]) -> None:
    """A path and all below it need a feature; one with two readings needs both features."""
    assert PATHS.needs("GET", path) == needs


def test_two_spellings_of_one_path() -> None:
    """A path below `/api/a` and `/api/A/` needs the features of both."""
    features = {"/api/a": "planner", "/api/A/": "bots", "/": "insights"}
    paths = Paths(routes={}, api="/api/", features=features)
    assert paths.needs("GET", "/api/a/1") == ("bots", "insights", "planner")
    assert paths.needs("GET", "/pages") == ("insights",)


@pytest.mark.parametrize("path", ["api/bots", "", "/api/bots/{id}"])
def test_a_path_that_no_request_has(path: str) -> None:
    """A path that no request can match is an error at the start."""
    with pytest.raises(ValueError, match="slash"):
        Paths(routes={}, api="/api/", features={path: "bots"})
    with pytest.raises(ValueError, match="slash"):
        Paths(routes={}, api=path, features={})
    with pytest.raises(ValueError, match="slash"):
        Paths(routes={("GET", path): Route.API}, api="/api/", features={})
    Paths(routes={("GET", path): Route.PAGE}, api="/api/", features={})


@pytest.mark.parametrize("path", ["/Export/", "/Export", "//export", "/x/../EXPORT", "/export?x"])
def test_another_spelling_of_a_route_outside_the_api(path: str) -> None:
    """It is checked like the route, even if a framework converts the method to upper case."""
    paths = Paths(routes={("GET", "/Export/"): Route.API}, api="/api/", features={})
    for method in ("GET", "get", "HEAD", "head"):
        assert paths.needs(method, path) == ()


def test_a_head_is_checked_as_a_get() -> None:
    """Routers run the endpoint of a GET for a HEAD."""
    routes = {("GET", "/health"): Route.API, ("POST", "/jobs"): Route.API}
    paths = Paths(routes=routes, api="/api/", features={})
    assert paths.needs("HEAD", "/health") == ()
    assert paths.needs("HEAD", "/jobs") is None


def test_agents() -> None:
    """An agent's websocket is checked at any path, and may need a feature."""
    routes = {(WEBSOCKET, "/agents/deploy"): Route.DEPLOY_AGENT, ("GET", "/health"): Route.PAGE}
    paths = Paths(routes=routes, api="/api", features={"/agents": "deployments"})
    assert paths.needs(WEBSOCKET, "/agents/deploy") == ("deployments",)
    paths = Paths(routes=routes, api="/api", features={})
    assert paths.needs(WEBSOCKET, "/agents/deploy") == ()
    assert paths.needs(WEBSOCKET, "/agents//deploy") == ()
    assert paths.needs("GET", "/agents/deploy") is None


def test_a_route_may_be_exempted() -> None:
    """A health check below the API passes if the table has it as a page."""
    routes = {**DEFAULT_ROUTES, ("GET", "/api/health"): Route.PAGE}
    paths = Paths(routes=routes, api="/api/", features={})
    assert paths.needs("GET", "/api/health") is None
    assert paths.needs("POST", "/api/health") == ()


def test_a_server_that_is_all_api() -> None:
    """With `api="/"` everything is checked except for the table's routes."""
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
    """A path is checked with and without its `root_path`."""
    assert PATHS.needs("GET", path, root_path) == needs


@given(st.text(st.sampled_from("/\\.;%2fFaApPiI5cCeE 1x"), max_size=12), st.booleans())
def test_a_path_below_the_api_is_never_a_page(text: str, again: bool) -> None:  # noqa: FBT001
    """A path below the API is checked whatever follows, also from the cache."""
    for path in (f"/api/{text}", f"//api/{text}"):
        for _ in range(1 + again):
            assert PATHS.needs("PATCH", path) is not None


def test_the_cache_is_bounded() -> None:
    """Clients choose method and path, but cannot fill the memory."""
    paths = Paths(routes=DEFAULT_ROUTES, api="/api", features=FEATURES)
    tracemalloc.start()
    for number in range(10_000):
        assert paths.needs("GET", f"/api/{number}") == ()
        assert paths.needs("GET", f"/api/workflows/{number:\N{SNOWMAN}>190}"[:197]) is not None
    for number in range(150):
        assert paths.needs(f"{number:060000}", "/api/x") == ()
        assert paths.needs("GET", f"/api/{number:060000}") == ()
        assert paths.needs("GET", f"/{number:060000}") is None
    memory, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert memory < 5 * 2**20
    assert paths.needs("GET", "/api/me") is None
