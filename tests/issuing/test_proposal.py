"""Proposals: the size of their files, and the comparison with the licenses that they replace."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from support.lic_files import license_id
from support.office import NOW, Office
from support.registries import new_key, tampering, writing

from polygent_issuer.errors import InvalidTerms
from polygent_issuer.issuing import proposal
from polygent_issuer.issuing.proposal import NewCustomer, build_license, load_license
from polygent_issuer.keys.signer import SoftwareSigner, generate_private_key
from polygent_issuer.registry import keys, licenses
from polygent_issuer.registry.errors import RegistryDamaged
from polygent_issuer.terms.dates import Term, to_seconds
from polygent_issuer.terms.parsing import Changes, Terms
from polygent_issuer.verifier import KeySet, License, LicenseError, Limits, Tier, Verifier, jws

SIGNER = SoftwareSigner(generate_private_key())
LIMITS = Limits(users=25, session_hosts=2, deploy_hosts=1)


def decide(features: int, *, name: str = "Acme", replaces: int = 0) -> License:
    """Decide an enterprise license with this number of features of 60 characters."""
    return build_license(
        license_id=f"{0:08x}-0000-4000-8000-000000000000",
        issuer="Polygent Ltd",
        customer=NewCustomer(slug="acme", name=name),
        terms=Terms(
            tier=Tier.ENTERPRISE,
            features=tuple(f"feature-{number:0>52}" for number in range(features)),
            limits=LIMITS,
        ),
        fingerprint=None,
        issued_at=NOW,
        expires_at=NOW + timedelta(days=365),
        replaces=tuple(f"{one:08x}-0000-4000-8000-000000000000" for one in range(1, replaces + 1)),
    )


def signed(license_: License) -> bytes:
    """Sign a license; return its file."""
    signing_input = jws.signing_input(SIGNER.kid, license_.to_payload())
    return jws.assemble(signing_input, SIGNER.sign(signing_input))


@pytest.mark.parametrize("script", ["x", "é", "東", "😀"])
@pytest.mark.parametrize("replaces", [0, 100])
def test_the_size_limit_is_exact(replaces: int, script: str) -> None:
    """A decided license can be signed and read; a byte more is refused before signing."""
    refused = 0
    for features in range(95, 200, 4):
        for length in (1, 60, 61, 62, 63, 200):
            try:
                built = decide(features, name=script * length, replaces=replaces)
            except InvalidTerms:
                refused += 1
                continue
            file = signed(built)
            assert len(file) <= jws.MAX_FILE_BYTES
            key_set = KeySet.of(SIGNER.public_key)
            assert Verifier(key_set).authenticate(file) == built
    assert 0 < refused < 162


def test_a_license_below_the_estimate_always_fits() -> None:
    """A license whose size is not measured fits even with the longest possible claims."""
    name = "😀" * 200
    widest = License(
        iss=name,
        sub="a" * 64,
        jti="00000000-0000-4000-8000-000000000000",
        iat=253402300798,
        exp=253402300799,
        customer=name,
        tier=Tier.STANDARD,
        features=tuple(f"{number:0>64}" for number in range(89)),
        limits=Limits(users=1_000_000, session_hosts=1_000_000, deploy_hosts=1_000_000),
        machine_fingerprint="z" * 512,
        replaces=(),
    )
    assert 67 * len(widest.features) < 6_000
    assert len(signed(widest)) < jws.MAX_FILE_BYTES - 2_000


def test_a_refused_license_would_be_too_large_for_a_server() -> None:
    """The error states the exact size, the limit, and what to shorten."""
    most = next(number for number in range(300) if _size(number) is not None)
    license_ = decide(most - 1)
    above = License.from_claims(
        {**license_.to_claims(), "features": [*license_.features, f"feature-{most - 1:0>52}"]}
    )
    file = signed(above)
    assert len(file) > jws.MAX_FILE_BYTES
    with pytest.raises(LicenseError):
        Verifier(KeySet.of(SIGNER.public_key)).authenticate(file)
    with pytest.raises(InvalidTerms) as caught:
        decide(most)
    assert caught.value.message == (
        f"the license file would have {len(file):,} bytes, and servers read at most 16,384"
    )
    assert caught.value.hint == (
        f"grant fewer features, or features with shorter names: these {most} take "
        f"{(most * 63 + 1) * 4 // 3:,} bytes"
    )


def _size(features: int) -> str | None:
    try:
        decide(features)
    except InvalidTerms as refused:
        return refused.message
    return None


@pytest.mark.sqlite("edits rows of the file")
def test_a_license_is_read_from_its_file_not_from_its_row(office: Office) -> None:
    """An edited row does not change the license that a command reads."""
    [issued] = office.publish(office.first)
    license_ = issued.proposal.license
    with tampering(Path(office.registry.place)) as raw:
        raw.execute("UPDATE licenses SET tier = 'enterprise', expires_at = expires_at + 86400")
    with office.registry.reading(checked=False) as db:
        assert load_license(db, licenses.get(db, license_.jti)) == license_


def test_a_file_that_was_not_issued_is_damage(office: Office) -> None:
    """Another license's file, a flipped bit and another key are `registry_damaged`."""
    [first] = office.publish(office.first)
    [second] = office.publish(office.next)
    flipped = bytes([*first.file[:-2], first.file[-2] ^ 1, *first.file[-1:]])
    with writing(office.registry, now=office.now) as db:
        other = keys.add(db, key=new_key(), label="other")
    with office.registry.reading() as db:
        record = licenses.get(db, first.proposal.license.jti)
        wrong = (
            record._replace(file=second.file),
            record._replace(file=flipped),
            record._replace(kid=other.kid),
        )
        for each in wrong:
            with pytest.raises(RegistryDamaged, match=record.id) as damaged:
                load_license(db, each)
            assert damaged.value.hint == "polygent-issue journal verify"


SHORT = License(
    iss="Polygent Ltd",
    sub="acme",
    jti=license_id(1),
    iat=to_seconds(NOW),
    exp=to_seconds(NOW + timedelta(days=10)),
    customer="Acme",
    tier=Tier.ENTERPRISE,
    features=(),
    limits=Limits(users=1, session_hosts=0, deploy_hosts=0),
)
LONG = replace(SHORT, jti=license_id(2), exp=to_seconds(NOW + timedelta(days=30)))
NEW = replace(
    SHORT,
    jti=license_id(3),
    exp=to_seconds(NOW + timedelta(days=20)),
    limits=replace(SHORT.limits, users=2),
)


def test_an_expiry_before_the_latest_one_is_a_loss() -> None:
    """The latest expiry of several licenses counts."""
    finding = proposal.loss_finding([SHORT, LONG], NEW, Changes())
    assert finding is not None
    assert (
        finding.message == "Acme would lose: 10 days of validity (new expiry 2026-12-20T09:30:00Z)"
    )


@pytest.mark.parametrize(("hours", "days"), [(1, "1 day"), (36, "2 days"), (48, "2 days")])
def test_a_part_of_a_lost_day_counts_as_a_day(hours: int, days: str) -> None:
    """Lost days are rounded up, as in every display."""
    shorter = replace(LONG, jti=license_id(3), exp=LONG.exp - hours * 3600)
    finding = proposal.loss_finding([LONG], shorter, Changes())
    assert finding is not None
    assert f"would lose: {days} of validity" in finding.message


@pytest.mark.parametrize(
    "changes",
    [
        Changes(term=Term(days=20)),
        Changes(expires=NOW + timedelta(days=20)),
        Changes(basis="now"),
    ],
)
def test_an_earlier_expiry_from_an_option_is_not_a_finding(changes: Changes) -> None:
    """A term, a day or a basis on the command line is the operator's decision."""
    assert proposal.loss_finding([SHORT, LONG], NEW, changes) is None


def test_differences_include_the_customer_and_the_machine() -> None:
    """Each old name is listed once, and several machines are counted."""
    renamed = replace(LONG, customer="Acme AG")
    one, two = (replace(each, machine_fingerprint=each.jti) for each in (SHORT, renamed))
    rows = {
        row.name: (row.old, row.new) for row in proposal.license_differences([one, two, one], NEW)
    }
    assert rows["customer"] == ("Acme, Acme AG", "Acme")
    assert rows["fingerprint"] == ("of 3 machines", "any")
    assert "issuer" not in rows
    [alone] = proposal.license_differences([one], replace(NEW, limits=one.limits))
    assert (alone.old, alone.new) == (one.machine_fingerprint, "any")
