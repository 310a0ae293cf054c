"""The next license: one replaces several, and a long term is a finding."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from support.lic_files import license_id
from support.office import NOW, Office

from polygent_issuer.errors import KeyUnavailable, RegistryChanged
from polygent_issuer.home.settings import Settings
from polygent_issuer.issuing.next_license import long_term
from polygent_issuer.issuing.proposal import Proposal
from polygent_issuer.keys.signer import SoftwareSigner, generate_private_key
from polygent_issuer.registry import Reading, licenses
from polygent_issuer.terms.parsing import Changes
from polygent_issuer.verifier import Tier

ONE, TWO, BOTH = license_id(1), license_id(2), license_id(3)
ENTERPRISE = Changes(tier=Tier.ENTERPRISE, users=60, session_hosts=10, deploy_hosts=10)


@pytest.fixture
def cluster(office: Office) -> Office:
    """Sign a license for each of Acme's two machines."""
    office.publish(office.first)
    second = office.document("sha256:" + "cd" * 32)
    office.publish(lambda db: office.first(db, number=2, document=second))
    return office


def joint(office: Office, db: Reading, **more: Any) -> tuple[Proposal, ...]:
    """Decide one license for both machines."""
    return office.next(db, number=3, all_machines=True, changes=ENTERPRISE, **more)


def successors(office: Office) -> dict[str, str | None]:
    """Return the ID that replaced each license."""
    with office.registry.reading() as db:
        return {record.id: record.replaced_by for record in licenses.select(db)}


def test_one_license_replaces_all_others(cluster: Office) -> None:
    """The rows and the signed file name the replaced licenses."""
    [issued] = cluster.publish(lambda db: joint(cluster, db))
    assert successors(cluster) == {ONE: BOTH, TWO: BOTH, BOTH: None}
    assert issued.proposal.license.replaces == (ONE, TWO)


def test_a_failed_signature_replaces_nothing(cluster: Office) -> None:
    """After a failed signature both licenses are current."""
    other = SoftwareSigner(generate_private_key())
    with pytest.raises(KeyUnavailable) as caught:
        cluster.publish(lambda db: joint(cluster, db), signers={cluster.signer.kid: other})
    assert caught.value.code == "signature_refused"
    assert successors(cluster) == {ONE: None, TWO: None}


def test_a_renewal_after_the_preview_stops_the_replacement(cluster: Office) -> None:
    """Nothing is issued if one of the licenses to replace is no longer current."""
    shown = cluster.decide(lambda db: joint(cluster, db))
    cluster.publish(lambda db: cluster.next(db, number=7, license_ids=(TWO,)))
    with pytest.raises(RegistryChanged, match="nothing was issued"):
        cluster.publish_shown(shown)
    assert successors(cluster) == {ONE: None, TWO: license_id(7), license_id(7): None}


def test_a_license_added_after_the_preview_stops_the_replacement(cluster: Office) -> None:
    """A third machine was not in the preview, so nothing is issued."""
    shown = cluster.decide(lambda db: joint(cluster, db))
    third = cluster.document("sha256:" + "ef" * 32)
    cluster.publish(lambda db: cluster.first(db, number=8, document=third))
    with pytest.raises(RegistryChanged):
        cluster.publish_shown(shown)
    assert set(successors(cluster).values()) == {None}


def test_over_three_years_are_a_long_term() -> None:
    """Exactly three years need no consent; a second more does."""
    limit = datetime(2029, 12, 1, tzinfo=UTC)
    assert long_term(NOW, limit, Settings()) is None
    assert long_term(NOW, limit + timedelta(seconds=1), Settings()) is not None
