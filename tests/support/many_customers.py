"""Many customers, each with a signed license, written in one transaction."""

from collections.abc import Iterator
from datetime import datetime, timedelta

from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.serialization import load_ssh_private_key

from polygent_issuer.cli.context import actor
from polygent_issuer.keys.signer import Signer, SoftwareSigner
from polygent_issuer.registry import Registry, Writing, customers, licenses, machines
from polygent_issuer.verifier import License, Limits, Tier, jws
from support.cli import PASSPHRASE, Desk


def fingerprint(number: int) -> str:
    """Return the fingerprint of a customer's machine."""
    return f"sha256:{number:064x}"


def old_id(number: int) -> str:
    """Return the ID of a customer's license."""
    return f"{number:08x}-0000-4000-8000-00000000c0de"


def new_ids(first: int = 1) -> Iterator[str]:
    """Yield IDs for the next licenses."""
    while True:
        yield f"{first:08x}-0000-4000-9000-000000000000"
        first += 1


def add_customers(
    registry: Registry,
    signer: Signer,
    numbers: range,
    *,
    now: datetime,
    expires_at: datetime,
    term: str | None = "1y",
    plan: str | None = "standard-annual",
) -> None:
    """Add customers `c1`, `c2`, … with a license each, for a machine `prod-1`.

    Args:
        signer: its key must be pinned.
        now: the time of issue.
    """
    with registry.writing(now=now, actor=actor("Ada")) as db:
        for number in numbers:
            _add(db, signer, number, expires_at=expires_at, term=term, plan=plan)


def add_customers_at(desk: Desk, numbers: range, *, ends_in: int = 20, **more: str | None) -> None:
    """Add customers in the home of a desk, with licenses signed by its key.

    Args:
        ends_in: the days until the expiry.
    """
    key = load_ssh_private_key((desk.folder / "main.key").read_bytes(), PASSPHRASE.encode())
    assert isinstance(key, EllipticCurvePrivateKey)
    with Registry.open(desk.registry) as registry:
        add_customers(
            registry,
            SoftwareSigner(key),
            numbers,
            now=desk.now - timedelta(days=345),
            expires_at=desk.now + timedelta(days=ends_in),
            **more,
        )


def _add(
    db: Writing,
    signer: Signer,
    number: int,
    *,
    expires_at: datetime,
    term: str | None,
    plan: str | None,
) -> None:
    customer = customers.add(db, slug=f"c{number}", name=f"Customer {number}")
    machine = machines.add(
        db,
        customer,
        label="prod-1",
        fingerprint=fingerprint(number),
        hostname="prod-1",
        components={},
        document_id=None,
    )
    license_ = License(
        iss="Polygent Ltd",
        sub=customer.slug,
        jti=old_id(number),
        iat=int(db.now.timestamp()),
        exp=int(expires_at.timestamp()),
        customer=customer.name,
        tier=Tier.STANDARD,
        features=("insights", "planner"),
        limits=Limits(users=25, session_hosts=2, deploy_hosts=1),
        machine_fingerprint=machine.fingerprint,
    )
    signing_input = jws.signing_input(signer.kid, license_.to_payload())
    licenses.add(
        db,
        license_id=license_.jti,
        customer_id=customer.id,
        machine_id=machine.id,
        kid=signer.kid,
        file=jws.assemble(signing_input, signer.sign(signing_input)),
        tier=str(license_.tier),
        issued_at=license_.issued_at,
        expires_at=license_.expires_at,
        term=term,
        plan=plan,
        document_id=None,
    )
    db.record("license-signed", customer=customer.slug, license=license_.jti, kid=signer.kid)
