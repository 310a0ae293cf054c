"""Expiry, alerts, machine and clock: rules 21, 22, 50 to 52, 55, 66, 68 and 69."""

from datetime import timedelta

import pytest
from support.lic_files import ISSUED
from support.product import Node
from support.product_app import FEATURE_PATHS
from support.servers import ANOTHER_MACHINE, DAY
from support.waiting import eventually

pytestmark = pytest.mark.slow

EXPIRY = ISSUED + 365 * DAY
NINE = EXPIRY.replace(hour=9)
"""09:00 UTC of the same day."""


@pytest.fixture
def expired(node: Node) -> Node:
    """A node whose license has just expired."""
    node.install(0)
    node.set_clock(EXPIRY)
    assert node.becomes(503, "license_expired")
    return node


def test_after_the_expiry_all_api_endpoints_answer_503(expired: Node) -> None:
    """Endpoints of features, of users and unknown ones answer the same, in each worker."""
    paths = ("/api/projects", "/api/users", "/api/features", "/api/nothing", *FEATURE_PATHS)
    for path in paths:
        assert expired.answers("GET", path) == {(503, "license_expired")}, path
    assert expired.answers("POST", "/api/users/ann") == {(503, "license_expired")}


def test_after_the_expiry_the_six_endpoints_answer(expired: Node) -> None:
    """Status, machine info, upload, sign-in, sign-out and current user work."""
    for path in ("/api/license", "/api/machine-info"):
        assert expired.answers("GET", path) == {(200, "")}
    assert expired.answers("POST", "/api/sign-in", json={"user": "ada"}) == {(200, "")}
    assert expired.answers("POST", "/api/sign-out") == {(200, "")}
    assert expired.answers("GET", "/api/me") == {(401, "")}
    assert expired.answers("POST", "/api/license", content=b"nonsense") == {(400, "malformed")}
    assert expired.upload(expired.issuer.file(365)) == (200, "")
    assert expired.becomes(200)


def test_after_the_expiry_pages_and_connections_work(expired: Node) -> None:
    """The web client is served, and real-time connections are accepted."""
    assert expired.answers("GET", "/") == {(200, "")}
    for _ in expired.product.workers:
        with expired.socket("/live") as live:
            live.send("still here")
            assert live.recv() == "still here"


@pytest.mark.parametrize("kind", ["session", "deploy"])
def test_after_the_expiry_agents_are_refused(expired: Node, kind: str) -> None:
    """The agent gets the license error when it connects."""
    status, code, _ = expired.refused(f"/api/agents/{kind}?host=a")
    assert (status, code) == (503, "license_expired")


def test_background_services_pause_at_the_expiry(node: Node) -> None:
    """Those of each worker pause without a request, and run again after a renewal."""
    node.install(0)
    assert node.background_becomes("running")
    node.set_clock(EXPIRY)
    assert node.background_becomes("license_expired")
    node.upload(node.issuer.file(365))
    assert node.background_becomes("running")


def test_a_milestone_is_mailed_on_its_day(node: Node) -> None:
    """The mails of 30, 14, 7 and 1 days are sent once each, by one of the workers."""
    node.install(0, exp=int(NINE.timestamp()))
    for days in (31, 30, 29, 14, 13, 7, 1):
        node.set_clock(NINE - days * DAY)
        assert node.daily_run_is_over()
    assert node.mails == [30, 14, 7, 1]


def test_alerts_run_daily_at_nine(node: Node) -> None:
    """Before 09:00 nothing is sent; after a missed run only the present milestone is."""
    node.install(0, exp=int(NINE.timestamp()))
    node.set_clock(NINE - 31 * DAY)
    assert node.daily_run_is_over()
    node.set_clock(NINE - 30 * DAY - timedelta(minutes=1))
    assert node.daily_run_is_over()
    assert node.mails == []
    node.set_clock(NINE - 30 * DAY)
    assert eventually(lambda: node.mails == [30])
    node.set_clock(NINE - 5 * DAY)
    assert eventually(lambda: node.mails == [30, 7]), "not the missed one of 14 days"
    node.set_clock(NINE - 4 * DAY)
    assert node.daily_run_is_over()
    assert node.mails == [30, 7]


def test_a_banner_appears_for_admins(node: Node) -> None:
    """All workers show it from 30 days before the expiry."""
    node.install(0)
    node.set_clock(EXPIRY - 30 * DAY - timedelta(seconds=1))
    assert node.seen_by_workers("/", "banner") == {None}
    node.set_clock(EXPIRY - 30 * DAY)
    assert node.seen_by_workers("/", "banner") == {"the license expires in 30 days"}


def test_a_new_machine_needs_a_reissue(node: Node) -> None:
    """The machine info has the new fingerprint; a license for it ends the refusals."""
    node.install(0)
    node.set_machine(ANOTHER_MACHINE)
    assert node.becomes(503, "license_machine_changed")
    fingerprint = node.ask("GET", "/api/machine-info").json()["fingerprint"]
    node.set_clock(node.now + DAY)
    assert node.upload(node.issuer.file(1, fingerprint=fingerprint, replaces=(0,))) == (200, "")
    assert node.becomes(200)


def test_a_clock_that_is_set_back_makes_the_license_invalid(node: Node) -> None:
    """More than a day makes it invalid in each worker until the time seen last has passed."""
    node.install(0)
    last = node.now + 30 * DAY
    node.set_clock(last)
    assert node.becomes(200)
    node.set_clock(last - DAY + timedelta(minutes=2))
    assert node.becomes(200), "a day is tolerated"
    node.set_clock(last - DAY - timedelta(minutes=2))
    assert node.becomes(503, "license_clock_tampered")
    node.set_clock(last - timedelta(minutes=2))
    assert node.becomes(503, "license_clock_tampered")
    node.set_clock(last + timedelta(seconds=1))
    assert node.becomes(200)
