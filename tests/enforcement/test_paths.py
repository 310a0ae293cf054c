"""Only the exact spelling of a route is exempt; other paths of the API are checked."""

import tracemalloc

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from polygent_issuer.enforcement import DEFAULT_ROUTES, WEBSOCKET, Route
from polygent_issuer.enforcement import paths as paths_module
from polygent_issuer.enforcement.paths import RECOVERY, Paths, allows
from polygent_issuer.enforcement.refusals import MALFORMED_PATH, Refusal
from polygent_issuer.verifier.tables import ENTERPRISE_FEATURES
from polygent_issuer.verifier.tables import FEATURES as FEATURES_OF_FORMAT

FEATURES = {
    "/api/workflows": "workflows",
    "/api/agents/deploy/": "deployments",
    "/api/planner": "planner",
    "/api/planner/bots": "bots",
    "/reports": "insights",
}
ELSEWHERE = {("GET", f"/{kind}"): kind for kind in RECOVERY}
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
    *("http://x/api", "HTTP://x:1/API/x", "http:%2F%2Fx/api/x", "x:/api/x", "x:api"),
    *("/api?", "/api?x", "/api#x", "/api%3Fx", "/api%2523", "/pages/../api?/../..", "/API?a#b"),
]
MALFORMED = [
    *("/api\n", "/api/\n", "/api/x\n", "/api/license\n", "\n/api", "/\napi/x", "/ap\ri/x"),
    *("/api/\x00", "/api\x00/../pages", "/api/x\ty", "/API\x7f", "/pages/../api/\x85"),
    *("/api%0A", "/api/x%250d", "/pages/%2e%2e/api/%00", "/reports\n", "/reports\x00x"),
    *("h\nttp://x/api", "http://x/api\n", "http://\t/api/x"),
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
    others = {"GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "TRACE", "head", "", WEBSOCKET}
    exempt = {each for each, at in EXEMPT if at == path}
    for other in {*others, method.lower()} - exempt - ({"HEAD"} if "GET" in exempt else set()):
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
    paths = Paths(routes=ELSEWHERE, api="/api/", features=features)
    assert paths.needs("GET", "/api/a/1") == ("bots", "insights", "planner")
    assert paths.needs("GET", "/pages") == ("insights",)


@pytest.mark.parametrize("path", ["api/bots", "", "/api/bots/{id}"])
def test_a_path_that_no_request_has(path: str) -> None:
    """A path that no request can match is an error at the start."""
    with pytest.raises(ValueError, match="slash"):
        Paths(routes=ELSEWHERE, api="/api/", features={path: "bots"})
    with pytest.raises(ValueError, match="slash"):
        Paths(routes=ELSEWHERE, api=path, features={})
    for kind in (Route.API, Route.SIGN_IN):
        with pytest.raises(ValueError, match="slash"):
            Paths(routes={**ELSEWHERE, ("GET", path): kind}, api="/api/", features={})


def test_a_method_that_no_request_has() -> None:
    """A method in lower case is an error at the start."""
    with pytest.raises(ValueError, match="capitals"):
        Paths(routes={**ELSEWHERE, ("get", "/x"): Route.HEALTH}, api="/api/", features={})


@pytest.mark.parametrize("kind", sorted(RECOVERY))
def test_a_table_that_locks_the_admin_out(kind: Route) -> None:
    """A table without one of the six routes that lead to a renewed license is refused."""
    routes = {at: each for at, each in DEFAULT_ROUTES.items() if each is not kind}
    with pytest.raises(ValueError, match=f"no route for {kind}: .*DEFAULT_ROUTES"):
        Paths(routes=routes, api="/api/", features={})
    at = next(at for at, each in DEFAULT_ROUTES.items() if each is kind)
    with pytest.raises(ValueError, match=f"no route for {kind}: "):
        Paths(routes={**DEFAULT_ROUTES, at: Route.API}, api="/api/", features={})
    with pytest.raises(ValueError, match=f"no route for {kind}: "):
        Paths(routes={**routes, (WEBSOCKET, at[1]): kind}, api="/api/", features={})


def test_a_feature_that_no_license_has() -> None:
    """A misspelt feature, which would always refuse a path, is an error at the start."""
    with pytest.raises(ValueError, match=r"feature 'bot': use one of .*, bots, "):
        Paths(routes=ELSEWHERE, api="/api/", features={"/api/bots": "bot"})
    every = {f"/api/{name}": name for name in (*FEATURES_OF_FORMAT, *ENTERPRISE_FEATURES)}
    paths = Paths(routes=ELSEWHERE, api="/api/", features=every)
    assert paths.needs("GET", "/api/sso-saml/1") == ("sso-saml",)


@pytest.mark.parametrize(
    "path", ["/Export/", "/Export", "/export/", "//export", "/x/../EXPORT", "/export?x"]
)
def test_another_spelling_of_a_route_outside_the_api(path: str) -> None:
    """It is checked like the route, even if a framework converts the method to upper case."""
    routes = {**ELSEWHERE, ("GET", "/Export/"): Route.API}
    paths = Paths(routes=routes, api="/api/", features={})
    for method in ("GET", "get", "HEAD", "head"):
        assert paths.needs(method, path) == ()


def test_a_head_is_judged_as_a_get() -> None:
    """Routers run the endpoint of a GET for a HEAD; a table may name the HEAD itself."""
    routes = {**ELSEWHERE, ("GET", "/jobs"): Route.API, ("POST", "/orders"): Route.API}
    paths = Paths(routes={**routes, ("GET", "/api/health"): Route.HEALTH}, api="/api", features={})
    assert paths.needs("HEAD", "/jobs") == ()
    assert paths.needs("HEAD", "/orders") is None
    assert paths.needs("HEAD", "/api/health") is None
    assert paths.needs("HEAD", "/api/health/") == ()
    routes = {**routes, ("GET", "/api/health"): Route.HEALTH, ("HEAD", "/api/health"): Route.API}
    assert Paths(routes=routes, api="/api", features={}).needs("HEAD", "/api/health") == ()


def test_agents() -> None:
    """An agent's websocket is checked at any path, and may need a feature."""
    routes = {**ELSEWHERE, (WEBSOCKET, "/agents/deploy"): Route.DEPLOY_AGENT}
    paths = Paths(routes=routes, api="/api", features={"/agents": "deployments"})
    assert paths.needs(WEBSOCKET, "/agents/deploy") == ("deployments",)
    paths = Paths(routes=routes, api="/api", features={})
    assert paths.needs(WEBSOCKET, "/agents/deploy") == ()
    assert paths.needs(WEBSOCKET, "/agents//deploy") == ()
    assert paths.needs(WEBSOCKET, "/agents/deploy/") == ()
    assert paths.needs("GET", "/agents/deploy") is None


def test_a_route_may_be_exempted() -> None:
    """A health check below the API passes if the table has it."""
    routes = {**DEFAULT_ROUTES, ("GET", "/api/health"): Route.HEALTH}
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
        ("/app", "/x/app/api/me", ()),
        ("/app", "/x/app/api/workflows/app/1", ("workflows",)),
        ("/app", "http://app/app/api/x", ()),
        ("/app", "/x/app/pages", None),
    ],
)
def test_mounts_and_proxies(root_path: str, path: str, needs: tuple[str, ...] | None) -> None:
    """A path is checked with and without its `root_path`."""
    assert PATHS.needs("GET", path, root_path) == needs


@given(st.text(st.sampled_from("/\\.;%2fFaApPiI5cCeE 1x"), max_size=12))
def test_a_path_below_the_api_is_never_a_page(text: str) -> None:
    """A path below the API is checked whatever follows."""
    for path in (f"/api/{text}", f"//api/{text}"):
        assert PATHS.needs("PATCH", path) is not None


PIECES = [
    *(
        "/",
        "//",
        ".",
        "..",
        "\\",
        "%2e",
        "%2F",
        "%",
        ";",
        "?",
        "#",
        "\n",
        "\x85",
        " ",
        "\N{KELVIN SIGN}",
    ),
    *("/api", "/API", "/Planner", "/reports", "bots", "elvin", "/.well/", "known", "a.PDF", "7"),
]
SPELT = st.lists(st.sampled_from(PIECES))


@given(SPELT.map("".join), st.sampled_from(["GET", "HEAD", WEBSOCKET]))
@example("/api/planner/Bots/report-2026.PDF", "GET")
def test_a_plain_path_is_read_like_any_other(path: str, method: str) -> None:
    """The pattern that knows most paths at once decides as all readings of them do."""
    routes = {**DEFAULT_ROUTES, ("GET", "/bots"): Route.API}
    paths = Paths(routes=routes, api="/api/", features=FEATURES)
    needs = paths.needs(method, path)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(paths_module, "_is_plain", lambda _: None)
        assert paths.needs(method, path) == needs


ODD = {
    **FEATURES,
    "/api/a b;c": "memory",
    "/.well//known": "automations",
    "/\N{GREEK SMALL LETTER SIGMA}": "ticket-sync",
    "/api/\N{KELVIN SIGN}elvin": "bots",
}

WITH_ODD = Paths(routes=ELSEWHERE, api="/", features=ODD)


@given(
    SPELT.map("".join),
    st.sampled_from(["", "/app", "/api", "/ap", "/api/plan", "/", "/a\n"]),
    st.sets(st.sampled_from(sorted(set(ODD.values())))),
    st.sampled_from([PATHS, WITH_ODD]),
)
@example("/api/WorkFlows", "", set(), PATHS)
@example("/api/%77orkflows", "", set(), PATHS)
@example("/a/\N{GREEK CAPITAL LETTER SIGMA}", "/a", set(), WITH_ODD)
@example("/aA\N{GREEK CAPITAL LETTER SIGMA}", "/aA", set(), WITH_ODD)
@example("/x/../reports?", "", set(), PATHS)
@example("ner/1", "/api/plan", set(), PATHS)
@example("/api/\N{KELVIN SIGN}elvin", "", set(), WITH_ODD)
def test_what_is_allowed_at_first_glance(
    path: str, root_path: str, features: set[str], paths: Paths
) -> None:
    """A license with these features allows the path: no reading of it needs another, or a 400."""
    if allows(paths.clues(features), root_path + path):
        needs = paths.needs("GET", path, root_path)
        assert needs is None or (not isinstance(needs, Refusal) and features.issuperset(needs))


@pytest.mark.parametrize(
    "path",
    [
        *("/api/items/4711", "/api/items/3F2504E0-4F89-41D3-9A0C-0305E82C3301", "/api/planner"),
        *("/api/items/report-2026.pdf", "/api/items/Report (Final).v1.PDF", "/api/items/Bücher"),
    ],
)
def test_most_paths_are_allowed_at_first_glance(path: str) -> None:
    """Numbers, UUIDs and file names need no other reading, nor does a feature that is there."""
    assert allows(PATHS.clues({"planner", "bots", "insights"}), path)
    assert not allows(PATHS.clues({"bots"}), "/api/planner")


@pytest.mark.slow
def test_nothing_is_kept() -> None:
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
    assert memory < 2**20
    assert paths.needs("GET", "/api/me") is None
