"""The status view."""

import json
from datetime import timedelta

import pytest
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
        "timeLeft": "364 days and 23 hours",
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


@pytest.mark.parametrize(
    ("left", "words"),
    [
        (timedelta(days=2), "2 days"),
        (timedelta(days=1, hours=1), "1 day and 1 hour"),
        (timedelta(hours=5, minutes=59), "5 hours"),
        (timedelta(hours=1), "1 hour"),
        (timedelta(minutes=59), "59 minutes"),
        (timedelta(microseconds=1), "1 minute"),
        (timedelta(), "0 minutes"),
        (timedelta(days=-3), "0 minutes"),
    ],
)
def test_the_last_day_is_in_hours(server: Server, left: timedelta, words: str) -> None:
    """The time left is in hours on the last day, and in minutes in the last hour."""
    expires_at = server.install(0).expires_at
    view = server.license.status(expires_at - left, users_active=0).to_json()
    assert view["timeLeft"] == words


def test_users_other_than_admins_see_state_and_expiry(server: Server) -> None:
    """The part for others has no customer, machine, limit or log, and no reason that names them."""
    server.install(0)
    server.fingerprint = ANOTHER_MACHINE
    view = server.license.status(server.now, users_active=7)
    assert view.to_public_json() == {
        "state": "machine_changed",
        "expiresAt": "2027-01-05T08:00:00Z",
        "daysLeft": 365,
        "timeLeft": "364 days and 23 hours",
    }


def test_until_the_end_of_time(server: Server) -> None:
    """The latest possible expiry has its days too."""
    server.install(0, exp=MAX_EXP)
    view = server.license.status(server.now, users_active=0).to_json()
    assert view["expiresAt"] == "9999-12-31T23:59:59Z"
    assert view["daysLeft"] > 2_900_000
    assert server.license.banner(server.now) is None
