"""Export of the current licenses as TOML, in an order of its own."""

import tomllib
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.lic_files import Issuer, license_id
from support.registries import ACTOR, NOW, REGISTRY_ID, tampering, writing

from polygent_issuer.batch import export
from polygent_issuer.batch.registry_import import carry_out, decide
from polygent_issuer.issuing.verification import LicenseFile
from polygent_issuer.registry import Registry, customers, licenses, machines
from polygent_issuer.registry.errors import RegistryDamaged
from polygent_issuer.verifier import AllowedDomain


def fill(registry: Registry, issuer: Issuer, *files: bytes) -> None:
    """Import files."""
    found = [LicenseFile(name="x", data=data) for data in files]
    with registry.writing(now=NOW, actor=ACTOR) as db:
        carry_out(db, decide(db, found, (issuer.signer.public_key,)))


def exported(registry: Registry) -> str:
    """The whole TOML."""
    with registry.reading() as db:
        pieces = export.toml(export.rows(db), now=NOW, registry_id=REGISTRY_ID)
        return b"".join(pieces).decode()


def test_each_current_license_is_a_row(registry: Registry, issuer: Issuer) -> None:
    """A row has the long options with underscores; rows are ordered by customer and machine."""
    midnight = int(datetime(2027, 12, 1, tzinfo=UTC).timestamp())
    fill(
        registry,
        issuer,
        issuer.file(1, sub="zeta", customer="Zeta"),
        issuer.file(2, exp=midnight + 3600),
        issuer.file(3, fingerprint="sha256:" + "c" * 64, exp=midnight),
        issuer.file(4, replaces=(2,), exp=midnight, features=("planner", "insights")),
        issuer.file(
            5,
            sub="globex",
            customer="Globex",
            fingerprint=None,
            exp=midnight + 3600,
            allowed_domain=AllowedDomain.parse("*.globex.internal"),
        ),
    )
    text = exported(registry)
    limits = {"users": 25, "session_hosts": 2, "deploy_hosts": 1}
    first, second, third, fourth = tomllib.loads(text)["license"]
    assert first == {
        "customer": "acme",
        "machine": "machine",
        "tier": "standard",
        "expires": "2027-11-30",
        **limits,
        "features": ["insights", "planner"],
    }
    assert (second["machine"], second["expires"]) == ("machine-2", "2027-11-30")
    assert third == {
        "customer": "globex",
        "tier": "enterprise",
        "expires": "2027-12-01T01:00:00Z",
        **limits,
        "allowed_domain": "*.globex.internal",
        "features": ["insights"],
    }
    assert fourth["customer"] == "zeta"
    assert text.startswith(
        "# Current licenses of customers that are not archived; polygent-issue/1, "
        f"registry {REGISTRY_ID}.\n# Made 2026-03-01T09:30:00Z by polygent-issue registry export"
    )
    assert exported(registry) == text


def test_archived_customers_and_retired_licenses_are_left_out(
    registry: Registry, issuer: Issuer
) -> None:
    """Neither archived customers nor retired licenses have a row."""
    fill(
        registry,
        issuer,
        issuer.file(1, sub="gone", customer="Gone", fingerprint=None),
        issuer.file(2, sub="over", customer="Over", fingerprint=None),
    )
    with writing(registry) as db:
        gone = customers.get(db, "gone")
        db.update("customers", gone.id, archived_at=db.at)
        licenses.retire(db, license_id(2), "over")
    assert "license" not in tomllib.loads(exported(registry))


ODD = st.text(
    st.characters(exclude_categories=["Cc", "Cf", "Cs", "Co", "Cn", "Zs", "Zl", "Zp"]),
    min_size=1,
    max_size=30,
) | st.sampled_from(
    ['"', "\\", "'''", '"""', "a = 1", "[[license]]", "# x", "ü\u0301", "\U0001f600"]
)


@given(label=ODD)
def test_unusual_labels_are_preserved(
    tmp_path_factory: pytest.TempPathFactory, issuer: Issuer, label: str
) -> None:
    """A TOML reader returns any label of a machine unchanged."""
    path = tmp_path_factory.mktemp("odd") / "r.db"
    with Registry.create(path, now=NOW, actor=ACTOR, registry_id="r") as registry:
        fill(registry, issuer, issuer.file(1))
        with writing(registry) as db:
            (machine,) = machines.of(db, customers.get(db, "acme"))
            named = machines.rename(db, machine, label)
        (row,) = tomllib.loads(exported(registry))["license"]
    assert row["machine"] == named.label


@pytest.mark.sqlite("edits rows of the file")
def test_a_forged_license_stops_the_export(
    registry: Registry, issuer: Issuer, tmp_path: Any
) -> None:
    """Terms come from verified files, never from rows."""
    fill(registry, issuer, issuer.file(1))
    with tampering(tmp_path / "registry.db") as raw:
        raw.execute("UPDATE licenses SET file = x'61'")
    with pytest.raises(RegistryDamaged):
        exported(registry)
