"""The page with the response of the API to any request."""

import asyncio
import json

import pytest
from support.sandboxes import Sandbox

from polygent_issuer.enforcement import WEBSOCKET, HostKind
from polygent_issuer.sandbox import controls
from polygent_issuer.sandbox.api import FEATURE_PATHS
from polygent_issuer.sandbox.controls import Answer


def answer(sandbox: Sandbox, method: str, path: str, feature: str | None = None) -> Answer:
    """Return the response on the page."""
    return asyncio.run(controls.answer(sandbox.site, method, path, feature=feature))


def test_the_page_matches_the_api(licensed: Sandbox) -> None:
    """Each route that changes nothing responds as shown on the page."""
    for step in ("plus-1", "expiry", "minus-1"):
        gets = [path for method, path in controls.GENERAL if method == "GET"]
        for path in (*gets, *FEATURE_PATHS):
            shown = answer(licensed, "GET", path)
            sent = licensed.client.get(path)
            assert sent.status_code == shown.status, shown
            assert sent.json().get("error", {}).get("code") == shown.code
        licensed.move("clock", do=step)


def test_trying_a_request_changes_nothing(licensed: Sandbox) -> None:
    """Users and hosts are not changed, although both limits are checked."""
    licensed.site.users = 25
    licensed.site.connect(HostKind.DEPLOY)
    assert answer(licensed, "POST", "/api/users").code == "user_limit"
    deploy = answer(licensed, WEBSOCKET, "/api/agents/deploy")
    assert (deploy.status, deploy.code) == (503, "host_limit")
    assert deploy.closed == "1008 host_limit: concurrent host limit reached"
    session = answer(licensed, WEBSOCKET, "/api/agents/session")
    assert (session.status, session.good) == (101, True)
    assert licensed.site.users == 25
    assert licensed.site.license.hosts.connected(HostKind.DEPLOY) == 1
    assert licensed.site.license.hosts.connected(HostKind.SESSION) == 0


@pytest.mark.parametrize("path", ["/api/planner", "api/planner/x", "//API/planner"])
def test_any_path_can_be_tried(licensed: Sandbox, path: str) -> None:
    """The form accepts a path in any spelling."""
    page = licensed.client.get("/sandbox", params={"path": path, "method": "GET"}).text
    assert page.count("feature_missing") == 15, "14 of the table, and the one that was asked"


def test_any_feature_can_be_tried(licensed: Sandbox) -> None:
    """The response is that of an endpoint which requires the feature."""
    query = {"path": "/api/x", "method": "GET", "feature": "planner"}
    page = licensed.client.get("/sandbox", params=query).text
    assert "&#34;feature&#34;: &#34;planner&#34;" in page
    sent = answer(licensed, "GET", "/api/x", feature="planner").body
    assert sent is not None
    assert json.loads(sent) == licensed.client.get("/api/planner").json()
    assert answer(licensed, "GET", "/api/x", feature="insights").good


def test_an_unknown_method_is_ignored(licensed: Sandbox) -> None:
    """Without a valid method and path the page has no response."""
    page = licensed.client.get("/sandbox", params={"path": "/api/planner", "method": "BREW"}).text
    assert page.count("feature_missing") == 14


@pytest.mark.parametrize("method", controls.METHODS)
def test_any_method_can_be_tried(licensed: Sandbox, method: str) -> None:
    """A route is exempt from the license only with its own method."""
    licensed.move("clock", do="expiry")
    exempt = answer(licensed, method, "/api/license").good
    assert exempt == (method in ("GET", "POST"))
