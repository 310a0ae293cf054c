"""What the API would answer."""

import asyncio
import json

import pytest
from support.sandboxes import Sandbox

from polygent_issuer.enforcement import WEBSOCKET, HostKind
from polygent_issuer.sandbox import api
from polygent_issuer.sandbox.api import Answer


def answer(sandbox: Sandbox, method: str, path: str, feature: str | None = None) -> Answer:
    """What the API would answer."""
    return asyncio.run(api.answer(sandbox.site, method, path, feature=feature))


def test_it_says_what_the_api_then_does(licensed: Sandbox) -> None:
    """For each route that can be asked without changing anything."""
    for step in ("1-days", "expiry", "-2-days"):
        general = asyncio.run(api.general(licensed.site))
        features = asyncio.run(api.features(licensed.site))
        for each in (*general, *features):
            if each.method == "GET":
                sent = licensed.client.get(each.path)
                assert sent.status_code == each.status, each
                assert sent.json().get("error", {}).get("code") == each.code
        licensed.move("clock", to=step)


def test_asking_changes_nothing(licensed: Sandbox) -> None:
    """Neither users nor hosts, though both limits are judged."""
    licensed.site.users = 25
    licensed.site.connect(HostKind.DEPLOY)
    assert answer(licensed, "POST", "/api/users").code == "user_limit"
    deploy = answer(licensed, WEBSOCKET, "/api/agents/deploy")
    assert (deploy.status, deploy.code) == (503, "host_limit")
    session = answer(licensed, WEBSOCKET, "/api/agents/session")
    assert (session.status, session.good) == (101, True)
    assert licensed.site.users == 25
    assert licensed.site.license.hosts.connected(HostKind.DEPLOY) == 1
    assert licensed.site.license.hosts.connected(HostKind.SESSION) == 0


@pytest.mark.parametrize("path", ["/api/planner", "api/planner/x", "//API/planner"])
def test_any_path_can_be_asked(licensed: Sandbox, path: str) -> None:
    """By the form, however it is spelled."""
    page = licensed.client.get("/sandbox", params={"path": path, "method": "GET"}).text
    assert page.count("feature_missing") == 15, "14 of the table, and the one that was asked"


def test_any_feature_can_be_asked(licensed: Sandbox) -> None:
    """For any path: the body is the one that an endpoint with this feature sends."""
    query = {"path": "/api/x", "method": "GET", "feature": "planner"}
    page = licensed.client.get("/sandbox", params=query).text
    assert "&#34;feature&#34;: &#34;planner&#34;" in page
    sent = answer(licensed, "GET", "/api/x", feature="planner").body
    assert sent is not None
    assert json.loads(sent) == licensed.client.get("/api/planner").json()
    assert answer(licensed, "GET", "/api/x", feature="insights").good


def test_what_nobody_offers_is_not_asked(licensed: Sandbox) -> None:
    """A method of nobody's, or no path: the page is there all the same."""
    page = licensed.client.get("/sandbox", params={"path": "/api/planner", "method": "BREW"}).text
    assert page.count("feature_missing") == 14


@pytest.mark.parametrize("method", api.METHODS)
def test_any_method_can_be_asked(licensed: Sandbox, method: str) -> None:
    """A route that needs no license is exempt by its own method alone."""
    licensed.move("clock", to="expiry")
    exempt = answer(licensed, method, "/api/license").good
    assert exempt == (method in ("GET", "POST"))
