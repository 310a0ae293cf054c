"""Verification of files as the server does it, with the registry's data."""

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from support.databases import Databases
from support.lic_files import ISSUED, Issuer, license_id
from support.registries import ACTOR, new_registry

from polygent_issuer.errors import UnreadableInput
from polygent_issuer.issuing.verification import (
    LicenseFile,
    ServerContext,
    UnreadableFile,
    Verdict,
    VerificationResult,
    verify_files,
)
from polygent_issuer.registry import Registry, customers, keys, licenses, machines
from polygent_issuer.verifier import AllowedDomain, KeySet, LicenseError, Tier, Verifier, jws

NOW = ISSUED + timedelta(days=30)
OTHER = "sha256:" + "cd" * 32
COMPROMISED, STRANGER = Issuer(), Issuer()
SERVERS: dict[str, dict[str, Any]] = {
    "nothing given": {},
    "the machine": {"fingerprint": "sha256:" + "ab" * 32},
    "another machine": {"fingerprint": OTHER},
    "no fingerprint": {"fingerprint": "short"},
    "a host": {"hosts": ("api.acme.internal",)},
    "several hosts": {"hosts": ("api.acme.internal", "web.acme.internal", "acme.internal")},
    "an installation": {"window": timedelta(days=7)},
    "later": {"now": NOW + timedelta(days=400)},
    "before": {"now": NOW - timedelta(days=400)},
}


@pytest.fixture(scope="module")
def issuer() -> Issuer:
    """Return the signer of the license files."""
    return Issuer()


def _fill(registry: Registry, issuer: Issuer) -> None:
    with registry.writing(now=NOW, actor=ACTOR) as db:
        for label, each in (("main", issuer), ("leaked", COMPROMISED)):
            keys.add(db, key=each.signer.public_key, label=label)
        keys.retire(db, COMPROMISED.signer.kid, compromised=True)
        customer = customers.add(db, slug="acme", name="Acme GmbH")
        identity: dict[str, Any] = {"hostname": None, "components": {}, "document_id": None}
        machine = machines.add(db, customer, label="prod-1", fingerprint=OTHER, **identity)
        for number, place in ((1, machine.id), (2, None), (3, None)):
            licenses.add(
                db,
                license_id=license_id(number),
                customer_id=customer.id,
                machine_id=place,
                kid=issuer.signer.kid,
                file=issuer.file(number),
                tier="standard" if place else "enterprise",
                issued_at=NOW,
                expires_at=NOW + timedelta(days=1),
                term=None,
                plan=None,
                document_id=None,
            )
        licenses.replace(db, license_id(2), license_id(3))
        licenses.retire(db, license_id(3), "gone")
        db.record("test")


@pytest.fixture
def registry(tmp_path: Path, issuer: Issuer, engine: Databases | None) -> Iterator[Registry]:
    """License 1 for a machine that has changed, 2 replaced by 3, 3 retired; a compromised key."""
    with new_registry(tmp_path, databases=engine) as registry:
        _fill(registry, issuer)
        yield registry


@pytest.fixture
def license_files(issuer: Issuer) -> list[LicenseFile]:
    """Return a file of each kind."""
    good = issuer.file(1)
    token = jws.parse(good)
    files = {
        "machine known": good,
        "replaced": issuer.file(2),
        "retired": issuer.file(3, fingerprint=None),
        "not in the registry": issuer.file(4),
        "enterprise": issuer.file(5, fingerprint=None),
        "domain": issuer.file(9, fingerprint=None, allowed_domain=AllowedDomain("*.acme.internal")),
        "changed": jws.assemble(token.signing_input, b"\1" * 64),
        "wrong claims": issuer.file(6, customer=" "),
        "compromised key": COMPROMISED.file(7),
        "unknown key": STRANGER.file(8),
        "wrapped": b"\n".join((good[:76], good[76:])),
        "a document": json.dumps({"format": "polygent-machine-info/1"}).encode(),
        "empty": b"",
    }
    return [LicenseFile(name=name, data=data) for name, data in files.items()]


@pytest.mark.parametrize("known", [True, False], ids=["registry", "keys alone"])
@pytest.mark.parametrize("options", SERVERS.values(), ids=SERVERS)
def test_the_first_failed_check_is_that_of_the_server(
    registry: Registry,
    issuer: Issuer,
    license_files: list[LicenseFile],
    options: dict[str, Any],
    *,
    known: bool,
) -> None:
    """One file and many have the code with which the server's verifier refuses them."""
    server = ServerContext(
        **{"now": NOW, "fingerprint": None, "hosts": (), "window": None, **options}
    )
    trusted = KeySet.of(issuer.signer.public_key)
    source = registry if known else None
    results = verify_files(license_files, trusted, server, source)
    assert [each.name for each in results] == [each.name for each in license_files]
    for result, file in zip(results, license_files, strict=True):
        assert verify_files([file], trusted, server, source) == [result]
        assert isinstance(result, VerificationResult)
        failure = result.failure
        assert (failure and failure.code) == refusal(file, trusted, server, known=known)
        assert result.verdict is (
            Verdict.ACCEPTED
            if failure is None
            else Verdict.NOT_ACCEPTED
            if result.license
            else Verdict.NOT_AUTHENTIC
        )


def refusal(file: LicenseFile, keys: KeySet, server: ServerContext, *, known: bool) -> str | None:
    """Return the code of a server that has the registry's machine, unless another is given."""
    fingerprint = server.fingerprint
    try:
        issued = Verifier(keys).authenticate(file.data)
        if fingerprint is None and issued.tier is Tier.STANDARD:
            here = known and issued.jti == license_id(1)
            fingerprint = OTHER if here else issued.machine_fingerprint
        for host in server.hosts or (None,):
            Verifier(keys).verify(
                file.data,
                now=server.now,
                fingerprint=fingerprint,
                host=host,
                freshness_window=server.window,
            )
    except LicenseError as error:
        return error.code
    return None


def test_the_data_of_the_registry(
    registry: Registry, issuer: Issuer, license_files: list[LicenseFile]
) -> None:
    """A result has the state of the license, the compared machine, and the last successor."""
    server = ServerContext(now=NOW, fingerprint=None, hosts=(), window=None)
    later = ServerContext(now=NOW + timedelta(days=400), fingerprint=OTHER, hosts=(), window=None)
    trusted = KeySet.of(issuer.signer.public_key)
    results = {
        each.name: each
        for each in verify_files(license_files, trusted, server, registry)
        if isinstance(each, VerificationResult)
    }
    states = {name: each.stored.status for name, each in results.items() if each.stored}
    assert states == {"machine known": "current", "replaced": "replaced", "retired": "retired"}
    sources = {name: each.fingerprint_from for name, each in results.items()}
    assert sources.pop("machine known") == "the registry"
    assert set(sources.values()) == {None}
    assert results["compromised key"].compromised is not None
    assert results["unknown key"].compromised is None
    assert results["replaced"].latest is None
    [expired] = verify_files([license_files[1]], trusted, later, registry)
    assert isinstance(expired, VerificationResult)
    assert expired.latest is not None
    assert expired.latest.id == license_id(3)
    assert expired.fingerprint_from == "the command line"


def test_a_file_that_cannot_be_read_is_a_result(registry: Registry, issuer: Issuer) -> None:
    """An unreadable file is a result with its reason, in its place."""
    problem = UnreadableInput("cannot read the license file x: gone")
    server = ServerContext(now=NOW, fingerprint=None, hosts=(), window=None)
    trusted = KeySet.of(issuer.signer.public_key)
    files = [LicenseFile(name="x", problem=problem), LicenseFile(name="y", data=issuer.file(1))]
    unreadable, readable = verify_files(files, trusted, server, registry)
    assert unreadable == UnreadableFile(name="x", error=problem)
    assert unreadable.verdict is Verdict.UNREADABLE
    assert readable.name == "y"
    assert verify_files([], trusted, server, registry) == []
