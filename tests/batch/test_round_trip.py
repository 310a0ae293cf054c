"""`apply` has nothing to do for the output of `registry export`."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.batches import MONTH, words
from support.lic_files import Issuer
from support.registries import ACTOR, NOW, new_registry

from polygent_issuer.batch import export
from polygent_issuer.batch.items import Kept
from polygent_issuer.batch.matching import require_sound
from polygent_issuer.batch.registry_import import carry_out, decide
from polygent_issuer.batch.row_decisions import RowDecider
from polygent_issuer.batch.row_files import RowFile
from polygent_issuer.batch.run import BatchRunner
from polygent_issuer.findings import Consent
from polygent_issuer.home.settings import Settings
from polygent_issuer.issuing.outbox_delivery import Destination
from polygent_issuer.issuing.verification import LicenseFile
from polygent_issuer.verifier import AllowedDomain, Limits

LIMIT = st.integers(min_value=0, max_value=1_000_000)
FEATURES = st.lists(st.sampled_from(["insights", "planner", "bots"]), unique=True).map(tuple)
SECONDS = st.integers(min_value=-(10**8), max_value=10**8)


TWINS: tuple[dict[str, Any], ...] = (
    {},
    {"limits": Limits(users=7, session_hosts=1, deploy_hosts=1)},
    {"exp": int(NOW.timestamp()) + 10**7},
    {"features": ("planner",)},
    {"allowed_domain": None},
    {"allowed_domain": AllowedDomain.parse("other.example")},
    {"allowed_domain": AllowedDomain.parse("other.example"), "features": ("planner",)},
    {},
)
"""How the licenses of one customer for hosts differ from the first of them."""


@st.composite
def claims_of(draw: st.DrawFn, number: int) -> dict[str, Any]:
    """The claims of one license of a new customer."""
    name = draw(st.sampled_from(["Acme GmbH", "acme", "Müller & Söhne", '"x" [y]', "名前"]))
    claims: dict[str, Any] = {
        "sub": f"c{number}",
        "customer": f"{name} {number}",
        "exp": int(NOW.timestamp()) + draw(SECONDS),
        "iat": int(NOW.timestamp()) - 2 * 10**8,
        "features": draw(FEATURES),
        "limits": Limits(
            users=draw(LIMIT) or 1, session_hosts=draw(LIMIT), deploy_hosts=draw(LIMIT)
        ),
    }
    if draw(st.booleans()):
        domain = draw(st.sampled_from([None, "*.globex.internal", "a.b.example"]))
        claims["fingerprint"] = None
        claims["allowed_domain"] = None if domain is None else AllowedDomain.parse(domain)
    else:
        claims["fingerprint"] = f"sha256:{number:064x}"
    return claims


@given(
    st.lists(st.integers(), min_size=1, max_size=6).flatmap(
        lambda many: st.tuples(*(claims_of(number) for number, _ in enumerate(many, 1)))
    )
)
@settings(max_examples=25)
def test_an_export_needs_no_change(
    tmp_path_factory: pytest.TempPathFactory, issuer: Issuer, several: tuple[dict[str, Any], ...]
) -> None:
    """For any licenses and expiries each row is kept, without a note."""
    assert count_kept(tmp_path_factory.mktemp("trip"), issuer, several) == len(several)


def test_several_licenses_of_one_customer_are_kept(tmp_path: Path, issuer: Issuer) -> None:
    """After a merge of customers each row matches its license; two equal ones have one row."""
    first = {
        "fingerprint": None,
        "allowed_domain": AllowedDomain.parse("*.globex.internal"),
        "exp": int(NOW.timestamp()) + 10**6,
    }
    several = tuple({**first, **twin} for twin in TWINS)
    assert count_kept(tmp_path, issuer, several) == len(several) - 1


def count_kept(folder: Path, issuer: Issuer, several: tuple[dict[str, Any], ...]) -> int:
    """Apply an export of licenses, check that each row is kept, and return their number."""
    files = [issuer.file(number, **claims) for number, claims in enumerate(several, 1)]
    sources = [LicenseFile(name="x", data=data) for data in files]
    with new_registry(folder) as registry:
        with registry.writing(now=NOW, actor=ACTOR) as db:
            carry_out(db, decide(db, sources, (issuer.signer.public_key,)))
        path = folder / "export.toml"
        with registry.reading() as db:
            path.write_bytes(b"".join(export.toml(export.rows(db), now=NOW, registry_id="r")))
        file = RowFile.read(str(path))
        rows = file.rows
        decider = RowDecider(
            settings=Settings(),
            now=NOW + timedelta(days=1),
            folder=folder,
            within=MONTH,
            consent=Consent(),
            trusted=False,
            key=None,
            new_id=lambda: "never",
        )
        with registry.reading() as db:
            require_sound(db, file)
        run = BatchRunner(
            registry,
            unlock=dict,
            destination=Destination(folder=folder),
            now=NOW + timedelta(days=1),
            actor=ACTOR,
        )
        outcomes = list(run.outcomes(decider.jobs(rows)))
    assert set(words(outcomes)) == {"keep"}
    assert {each.decision.note for each in outcomes if isinstance(each, Kept)} == {None}
    return len(outcomes)
