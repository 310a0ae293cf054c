"""The operator's side, with the real command line: rules 1 to 3, 8, 13, 14, 23, 27, 31 and 33."""

import json
import socket
from base64 import urlsafe_b64decode
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from support.cli import Desk
from support.product import Product
from support.servers import MACHINE

from polygent_issuer.verifier import KeySet, License, LicenseError, Verifier

ENTERPRISE = ("--tier", "enterprise", "--plan", "enterprise-annual", "--customer", "Globex")


def issued(desk: Desk, *argv: str) -> Path:
    """Run a command that issues one license; return its file."""
    (license_,) = desk.ok(*argv, "--json", "--yes").json["licenses"]
    return Path(license_["file"])


def public_pem(desk: Desk) -> bytes:
    """Return the public key that servers are configured with."""
    return desk.ok("key", "export-public", "--output", "-").out


def license_of(desk: Desk, file: Path) -> License:
    """Return the license in a file, as a server verifies it."""
    verifier = Verifier(KeySet.from_pem(public_pem(desk)))
    return verifier.verify(file.read_bytes(), now=desk.now, fingerprint=MACHINE)


def member(file: Path, number: int) -> dict[str, Any]:
    """Return a part of the signed file: its header, 0, or its payload, 1."""
    part = file.read_bytes().split(b".")[number]
    members: dict[str, Any] = json.loads(urlsafe_b64decode(part + b"=="))
    return members


def test_licenses_are_signed_with_es256(desk: Desk) -> None:
    """The file names the algorithm, and its key is on P-256."""
    assert member(issued(desk, "sign", "--machine-info", desk.machine_info()), 0)["alg"] == "ES256"
    key = load_pem_public_key(public_pem(desk))
    assert isinstance(key, EllipticCurvePublicKey)
    assert isinstance(key.curve, SECP256R1)


def test_only_the_public_key_is_needed(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Verification works without a network, and with another public key it fails."""
    file = issued(desk, "sign", "--machine-info", desk.machine_info())
    other = Desk(desk.folder / "other")
    other.folder.mkdir()
    other.set_up()
    stranger = Verifier(KeySet.from_pem(public_pem(other)))

    def offline(*_: object, **__: object) -> None:
        raise AssertionError("it used the network")

    monkeypatch.setattr(socket, "socket", offline)
    monkeypatch.setattr(socket, "getaddrinfo", offline)
    assert license_of(desk, file).sub == "acme-gmbh"
    with pytest.raises(LicenseError) as refused:
        stranger.verify(file.read_bytes(), now=desk.now, fingerprint=MACHINE)
    assert refused.value.code == "unknown_key"


def test_the_operator_delivers_lic_files(desk: Desk) -> None:
    """Each command that issues writes a file whose name ends in `.lic`."""
    files = [
        issued(desk, "sign", "--machine-info", desk.machine_info()),
        issued(desk, "reissue", "acme-gmbh"),
        issued(desk, "sign", *ENTERPRISE),
    ]
    assert [file.suffix for file in files] == [".lic"] * 3
    assert len(set(files)) == 3


@pytest.mark.parametrize("tier", ["standard", "enterprise"])
def test_both_tiers_have_expiry_user_limit_and_features(desk: Desk, tier: str) -> None:
    """The payload has what was ordered."""
    which = ("--machine-info", desk.machine_info()) if tier == "standard" else ENTERPRISE
    terms = ("--users", "40", "--expires", "2027-06-30", "--feature", "bots")
    license_ = license_of(desk, issued(desk, "sign", *which, *terms))
    assert license_.tier == tier
    assert license_.expires_at.isoformat() == "2027-07-01T00:00:00+00:00"
    assert license_.limits.users == 40
    assert "bots" in license_.features


def test_stale_machine_info_is_not_signed(desk: Desk) -> None:
    """A document that is too old needs the operator's consent."""
    document = desk.machine_info()
    desk.now += timedelta(days=15)
    outcome = desk.run("sign", "--machine-info", document)
    assert outcome.code == 4
    assert "stale-machine-info" in outcome.err
    assert list(desk.output.iterdir()) == []


@pytest.mark.slow
def test_a_signed_machine_info_becomes_a_license_of_the_server(desk: Desk, served: Product) -> None:
    """The server's own document is signed, and the file works on that server."""
    machine = "sha256:" + "5e" * 32
    with served.node(pem=public_pem(desk), now=desk.now, machine=machine) as node:
        document = desk.folder / "machine-info.json"
        document.write_bytes(node.ask("GET", "/api/machine-info").content)
        file = issued(desk, "sign", "--machine-info", str(document), "--customer", "Acme GmbH")
        assert node.upload(file.read_bytes()) == (200, "")
        assert node.becomes(200)
        assert node.status()["customer"] == "Acme GmbH"


def test_a_renewal_needs_no_machine_info(desk: Desk) -> None:
    """The renewed license has the fingerprint of the first."""
    issued(desk, "sign", "--machine-info", desk.machine_info())
    desk.now += timedelta(days=330)
    renewed = license_of(desk, issued(desk, "renew", "acme-gmbh"))
    assert renewed.machine_fingerprint == MACHINE


def test_an_enterprise_renewal_has_no_fingerprint(desk: Desk) -> None:
    """Neither the first payload nor the renewed one has the member."""
    first = issued(desk, "sign", *ENTERPRISE)
    desk.now += timedelta(days=330)
    for file in (first, issued(desk, "renew", "globex")):
        payload = member(file, 1)
        assert payload["tier"] == "enterprise"
        assert "machineFingerprint" not in payload


def test_a_license_may_carry_a_domain(desk: Desk) -> None:
    """The payload has the wildcard; a changed host name is reissued under the same expiry."""
    first = member(issued(desk, "sign", *ENTERPRISE, "--allowed-domain", "*.acme.internal"), 1)
    assert first["allowedDomain"] == "*.acme.internal"
    moved = member(issued(desk, "reissue", "globex", "--allowed-domain", "*.acme.example"), 1)
    assert moved["allowedDomain"] == "*.acme.example"
    assert moved["exp"] == first["exp"]
