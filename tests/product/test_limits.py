"""Users and agent hosts: rules 44 to 49, 59 and 63 to 65."""

from contextlib import ExitStack
from typing import Any

import pytest
from support.product import Node
from support.servers import DAY
from support.waiting import eventually

from polygent_issuer.verifier import Limits

pytestmark = pytest.mark.slow

TWO_USERS = Limits(users=2, session_hosts=2, deploy_hosts=1)
REFUSED = (503, "host_limit", "concurrent host limit reached")


@pytest.fixture
def full(node: Node) -> Node:
    """A node with two active users of two, and a third that is deactivated."""
    node.install(0, limits=Limits(users=3, session_hosts=2, deploy_hosts=1))
    for name in ("ann", "ben", "cem"):
        assert node.ask("POST", f"/api/users/{name}").status_code == 201
    assert node.ask("POST", "/api/users/cem/deactivate").status_code == 200
    lower(node, 1, users=2)
    return node


def lower(node: Node, number: int, **limits: int) -> None:
    """Renew with other limits, which all workers have at the end."""
    node.set_clock(node.now + DAY)
    given: dict[str, Any] = {"session_hosts": 2, "deploy_hosts": 1, **limits}
    file = node.issuer.file(number, limits=Limits(**given), replaces=(number - 1,))
    assert node.upload(file) == (200, "")
    assert node.has_license(number)


def active(node: Node) -> list[str]:
    """Return the active users, the same in all workers."""
    (names,) = {tuple(each.json()["active"]) for each in node.everywhere("GET", "/api/users")}
    return list(names)


def test_the_license_sets_the_number_of_users(node: Node) -> None:
    """As many users can be created as the license allows, in whatever worker."""
    node.install(0, limits=TWO_USERS)
    assert node.ask("POST", "/api/users/ann").status_code == 201
    assert node.ask("POST", "/api/users/ben").status_code == 201
    assert node.status()["users"] == {"active": 2, "limit": 2}


def test_at_the_limit_no_user_is_created(full: Node) -> None:
    """Each worker answers 400."""
    assert full.answers("POST", "/api/users/dan") == {(400, "user_limit")}
    assert active(full) == ["ann", "ben"]


def test_at_the_limit_no_user_is_activated(full: Node) -> None:
    """Activating a deactivated user is refused, too, until another one is deactivated."""
    assert full.answers("POST", "/api/users/cem/activate") == {(400, "user_limit")}
    full.ask("POST", "/api/users/ann/deactivate")
    assert full.ask("POST", "/api/users/cem/activate").status_code == 200


def test_at_the_limit_active_users_keep_working(full: Node) -> None:
    """Requests and sign-ins of the active users succeed."""
    assert full.answers("GET", "/api/projects") == {(200, "")}
    assert full.answers("POST", "/api/sign-in", json={"user": "ann"}) == {(200, "")}


def test_a_lower_limit_leaves_everyone_with_access(full: Node) -> None:
    """After a renewal for fewer users all active ones stay active."""
    lower(full, 2, users=1)
    assert active(full) == ["ann", "ben"]
    assert full.answers("POST", "/api/sign-in", json={"user": "ben"}) == {(200, "")}


def test_a_lower_limit_blocks_activations_until_the_number_is_below(full: Node) -> None:
    """Neither above the limit nor at it can a user be activated."""
    lower(full, 2, users=1)
    assert full.answers("POST", "/api/users/cem/activate") == {(400, "user_limit")}
    full.ask("POST", "/api/users/ann/deactivate")
    assert full.answers("POST", "/api/users/cem/activate") == {(400, "user_limit")}
    full.ask("POST", "/api/users/ben/deactivate")
    assert full.ask("POST", "/api/users/cem/activate").status_code == 200


@pytest.mark.parametrize("kind", ["session", "deploy"])
def test_hosts_of_each_kind_are_capped(node: Node, kind: str) -> None:
    """No more hosts are connected than allowed, wherever they land; the kinds are apart."""
    node.install(0, limits=Limits(users=2, session_hosts=3, deploy_hosts=3))
    other = "deploy" if kind == "session" else "session"
    with ExitStack() as agents:
        for number in range(3):
            agents.enter_context(node.agent(kind, f"host-{number}"))
        for number in range(3, 9):
            assert node.refused(f"/api/agents/{kind}?host=host-{number}") == REFUSED
        with node.agent(other, "host-0"):
            connected = {"connected": 3, "cap": 3}
            assert node.status()[f"{kind}Hosts"] == connected
            assert node.status()[f"{other}Hosts"] == {"connected": 1, "cap": 3}


def test_one_more_host_is_refused_until_one_disconnects(node: Node) -> None:
    """The agent gets 503 and the reason; when a host of its kind leaves, it connects."""
    node.install(0, limits=Limits(users=2, session_hosts=1, deploy_hosts=1))
    with node.agent("session", "first"), node.agent("deploy", "other"):
        assert node.refused("/api/agents/session?host=second") == REFUSED
    assert eventually(lambda: node.status()["sessionHosts"]["connected"] == 0)
    with node.agent("session", "second"):
        assert node.status()["sessionHosts"] == {"connected": 1, "cap": 1}


def test_a_reconnect_always_succeeds_and_counts_once(node: Node) -> None:
    """A connected host connects again in whatever worker, also above a lowered limit."""
    node.install(0, limits=Limits(users=2, session_hosts=2, deploy_hosts=1))
    with ExitStack() as agents:
        for name in ("a", "b"):
            agents.enter_context(node.agent("session", name))
        for _ in range(20):
            agents.enter_context(node.agent("session", "a"))
        assert node.status()["sessionHosts"] == {"connected": 2, "cap": 2}
        lower(node, 1, users=2, session_hosts=1)
        for _ in range(5):
            agents.enter_context(node.agent("session", "b"))
        assert node.status()["sessionHosts"] == {"connected": 2, "cap": 1}
        assert node.refused("/api/agents/session?host=c") == REFUSED
    assert eventually(lambda: node.status()["sessionHosts"]["connected"] == 0)


def test_the_status_counts_hosts_over_all_workers(node: Node) -> None:
    """Each worker answers the hosts that are connected, and the cap."""
    node.install(0)
    with node.agent("session", "a"), node.agent("session", "b"), node.agent("deploy", "a"):
        status = node.status()
    assert status["sessionHosts"] == {"connected": 2, "cap": 2}
    assert status["deployHosts"] == {"connected": 1, "cap": 1}
