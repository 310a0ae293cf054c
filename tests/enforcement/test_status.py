"""The status view."""

import json

from support.lic_files import ISSUED, license_id
from support.servers import ANOTHER_MACHINE, DAY, MACHINE, Server

from polygent_issuer.enforcement import HostKind, State
from polygent_issuer.verifier import AllowedDomain, KeySet, Verifier
from polygent_issuer.verifier.license import MAX_EXP


def test_a_standard_license(server: Server) -> None:
    """The view has license ID, customer, tier, expiry, limits, features and machine ID."""
    server.install(0)
    server.license.connect(HostKind.SESSION, "a", server.now)
    server.license.connect(HostKind.DEPLOY, "a", server.now)
    server.license.connect(HostKind.SESSION, "b", server.now)
    view = server.license.status(server.now, users_active=7).to_json()
    assert json.loads(json.dumps(view)) == {
        "state": "active",
        "message": "the license is active",
        "licenseId": license_id(0),
        "customer": "Acme GmbH",
        "tier": "standard",
        "expiresAt": "2027-01-05T08:00:00Z",
        "daysLeft": 365,
        "users": {"active": 7, "limit": 25},
        "sessionHosts": {"connected": 2, "cap": 2},
        "deployHosts": {"connected": 1, "cap": 1},
        "features": ["insights"],
        "machineId": MACHINE,
        "allowedDomain": None,
        "installLog": [],
    }


def test_an_enterprise_license(server: Server) -> None:
    """The view has allowed domain and install log, and no machine ID."""
    server.now += DAY
    server.install(1, fingerprint=None, allowed_domain=AllowedDomain("*.acme.internal"))
    server.refused(b"nothing")
    view = server.license.status(server.now, users_active=0).to_json()
    assert (view["allowedDomain"], view["machineId"]) == ("*.acme.internal", None)
    assert view["installLog"] == [
        {
            "at": "2026-01-06T09:00:00Z",
            "by": "ada",
            "licenseId": None,
            "customer": None,
            "outcome": "malformed",
        },
        {
            "at": "2026-01-06T09:00:00Z",
            "by": "ada",
            "licenseId": license_id(1),
            "customer": "Acme GmbH",
            "outcome": "installed",
        },
    ]


def test_without_a_license(server: Server) -> None:
    """An admin without a license needs the machine ID to ask for one."""
    server.fingerprint = "SHA256:" + "AB" * 32
    status = server.license.status(server.now, users_active=3)
    assert (status.state, status.machine_id, status.license_id) == (State.NONE, MACHINE, None)
    assert status.to_json()["users"] == {"active": 3, "limit": None}


def test_of_an_expired_license(server: Server) -> None:
    """The view still has the customer, and no days left."""
    server.install(0)
    server.now = ISSUED + 400 * DAY
    status = server.license.status(server.now, users_active=0)
    assert (status.state, status.customer, status.days_left) == (State.EXPIRED, "Acme GmbH", 0)
    assert status.message == "expired at 2027-01-05T08:00:00Z"


def test_of_a_changed_machine(server: Server) -> None:
    """The machine ID is the current one of the server."""
    server.install(0)
    server.fingerprint = ANOTHER_MACHINE
    status = server.license.status(server.now, users_active=0)
    assert (status.state, status.machine_id) == (State.MACHINE_CHANGED, ANOTHER_MACHINE)


def test_of_a_license_whose_key_was_removed(server: Server) -> None:
    """The message names the license, and nothing unverified is shown."""
    server.install(0)
    server.restart(Verifier(KeySet()))
    status = server.license.status(server.now, users_active=0)
    assert (status.state, status.customer) == (State.NOT_AUTHENTIC, None)
    assert license_id(0) in status.message


def test_until_the_end_of_time(server: Server) -> None:
    """The latest possible expiry has its days too."""
    server.install(0, exp=MAX_EXP)
    view = server.license.status(server.now, users_active=0).to_json()
    assert view["expiresAt"] == "9999-12-31T23:59:59Z"
    assert view["daysLeft"] > 2_900_000
    assert server.license.banner(server.now) is None
