"""Decisions about routes by their kind."""

import pytest
from support.servers import Server

from polygent_issuer.enforcement import Refusal, Route, StoreFailed
from polygent_issuer.verifier import AllowedDomain

PASS = (
    *(Route.LICENSE_STATUS, Route.MACHINE_INFO, Route.LICENSE_UPLOAD),
    *(Route.SIGN_IN, Route.SIGN_OUT, Route.CURRENT_USER, Route.HEALTH, Route.PAGE),
)


@pytest.mark.parametrize("route", Route)
def test_routes(server: Server, route: Route) -> None:
    """In every state except active, API and agents are refused; exempt routes and pages pass."""
    refusal = server.license.judge(route, now=server.now, host="a.example")
    assert (refusal is None) == (route in PASS)
    server.install(0)
    assert server.license.judge(route, now=server.now, host="a.example") is None


@pytest.mark.parametrize("route", Route)
def test_a_domain_is_checked_on_the_same_routes(server: Server, route: Route) -> None:
    """The host is compared with `allowedDomain` if one is given."""
    server.install(0, fingerprint=None, allowed_domain=AllowedDomain("acme.example"))
    for host, matches in (("acme.example:443", True), ("a.example", False), ("", False)):
        refusal = server.license.judge(route, now=server.now, host=host)
        assert (refusal is None) == (matches or route in PASS)
        assert refusal is None or (refusal.status, refusal.code) == (503, "domain_mismatch")
    assert server.license.judge(route, now=server.now) is None


def test_a_reason_without_a_hint() -> None:
    """An absent part of a reason is left out."""
    body = Refusal(status=400, code="x", message="y").to_json()
    assert body == {"error": {"code": "x", "message": "y"}}


def test_a_license_closes_its_store(server: Server) -> None:
    """A `with` block closes the store, however it ends; another can open the file."""
    server.install(0)

    def fail() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError), server.license:
        fail()
    with pytest.raises(StoreFailed):
        server.store.load()
    server.license.close()
    server.restart()
    with server.license as entered:
        assert entered is server.license
        server.held()
