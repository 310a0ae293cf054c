"""Features of a license: rules 36 to 40 and 42."""

import pytest
from support.product import Node
from support.servers import DAY

from polygent_issuer.verifier.tables import ENTERPRISE_FEATURES, FEATURES

pytestmark = pytest.mark.slow

STANDARD = tuple(FEATURES)


def status_of(node: Node, feature: str) -> set[tuple[int, str]]:
    """Return the answers of all workers at the endpoint of a feature."""
    return node.answers("GET", f"/api/{feature}")


@pytest.mark.parametrize("name", ENTERPRISE_FEATURES)
def test_features_of_enterprise_licenses(node: Node, name: str) -> None:
    """Its endpoint answers 403 under a standard license with every feature that it may have."""
    node.install(0, features=STANDARD)
    assert status_of(node, name) == {(403, "feature_missing")}
    node.set_clock(node.now + DAY)
    node.upload(node.issuer.file(1, fingerprint=None, features=(name,), replaces=(0,)))
    assert node.becomes(200, at=f"/api/{name}")


def test_a_standard_license_cannot_have_them(node: Node) -> None:
    """A file that claims one is refused at the upload."""
    for name in ENTERPRISE_FEATURES:
        assert node.upload(node.issuer.file(0, features=(name,))) == (400, "invalid_claims")


def test_the_license_decides_which_modules_are_active(node: Node) -> None:
    """A UI gets the names of the license, before and after a renewal with others."""
    node.install(0, features=("bots", "planner"))
    for answer in node.everywhere("GET", "/api/features"):
        assert answer.json()["features"] == ["bots", "planner"]
    node.set_clock(node.now + DAY)
    node.upload(node.issuer.file(1, features=("planner",), replaces=(0,)))
    assert node.has_license(1)
    for answer in node.everywhere("GET", "/api/features"):
        assert answer.json()["features"] == ["planner"]


@pytest.mark.parametrize("missing", STANDARD)
def test_the_endpoints_of_a_missing_feature_answer_403(node: Node, missing: str) -> None:
    """Those of all other features work."""
    node.install(0, features=tuple(name for name in STANDARD if name != missing))
    assert status_of(node, missing) == {(403, "feature_missing")}
    for name in STANDARD:
        if name != missing:
            assert status_of(node, name) == {(200, "")}


def test_without_the_feature_a_sign_in_revokes_other_sessions(node: Node) -> None:
    """Only the newest session of a user lasts, wherever it began; other users keep theirs."""
    node.install(0, features=())
    ann = sessions(node, "ann", "ann", "ben", "ann")
    assert [signed_in(node, token) for token in ann] == [False, False, True, True]


def test_with_the_feature_sessions_are_concurrent(node: Node) -> None:
    """A user is signed in on several devices."""
    node.install(0, features=("multiple-active-sessions",))
    ann = sessions(node, "ann", "ann", "ann")
    assert all(signed_in(node, token) for token in ann)


def sessions(node: Node, *users: str) -> list[str]:
    """Sign in users one after another; return their tokens."""
    return [node.ask("POST", "/api/sign-in", json={"user": user}).json()["token"] for user in users]


def signed_in(node: Node, token: str) -> bool:
    """Return whether a session lasts, by the answer of every worker."""
    (status,) = {
        each.status_code for each in node.everywhere("GET", "/api/me", headers={"x-token": token})
    }
    return status == 200
