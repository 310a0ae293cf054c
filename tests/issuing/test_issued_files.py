"""License files contain what was decided, and any JOSE library can verify them."""

import json
from datetime import timedelta
from typing import Any

import jwt
from hypothesis import given
from hypothesis import strategies as st
from joserfc import jwk as joserfc_jwk
from joserfc import jws as joserfc_jws
from jwcrypto import jwk, jws
from support.lic_files import license_id
from support.office import NOW, Office

from polygent_issuer.issuing.proposal import Action, NewCustomer, Proposal, build_license
from polygent_issuer.issuing.signing import sign
from polygent_issuer.keys.signer import SoftwareSigner, generate_private_key
from polygent_issuer.registry import KeyRecord, keys
from polygent_issuer.terms.parsing import Terms
from polygent_issuer.verifier import AllowedDomain, KeySet, Tier, Verifier
from polygent_issuer.verifier.license import Limits, canonical_fingerprint, display_name_problem
from polygent_issuer.verifier.tables import ENTERPRISE_FEATURES, FEATURES

SIGNER = SoftwareSigner(generate_private_key())
KEY = KeyRecord(
    kid=SIGNER.kid,
    label="main",
    public_pem=SIGNER.public_key.to_pem(),
    created_at=NOW,
    active=True,
    retired_at=None,
    compromised=False,
    backed_up_at=None,
)


def issued_file(office: Office) -> tuple[bytes, dict[str, Any]]:
    """Issue a license; return its file and the JWK of its key."""
    [issued] = office.publish(office.first)
    with office.registry.reading() as db:
        active = keys.active(db)
    assert active is not None
    return issued.file, dict(active.public_key.to_jwk())


def test_pyjwt_accepts_a_license_file(office: Office) -> None:
    """PyJWT verifies the file with a pinned algorithm, and reads `typ` and `kid`."""
    file, key = issued_file(office)
    token = file.decode().strip()
    claims = jwt.decode(
        token,
        jwt.PyJWK(key).key,
        algorithms=["ES256"],
        options={"verify_iat": False, "verify_exp": False},
    )
    assert claims["jti"] == license_id(1)
    assert jwt.get_unverified_header(token) == {
        "alg": "ES256",
        "kid": key["kid"],
        "typ": "polygent-license+jwt",
    }


def test_joserfc_accepts_a_license_file(office: Office) -> None:
    """The library verifies the file and computes the same thumbprint (RFC 7638)."""
    file, key = issued_file(office)
    imported = joserfc_jwk.ECKey.import_key({k: key[k] for k in ("kty", "crv", "x", "y")})
    token = joserfc_jws.deserialize_compact(file.strip(), imported, algorithms=["ES256"])
    assert json.loads(token.payload)["jti"] == license_id(1)
    assert imported.thumbprint() == key["kid"]


def test_jwcrypto_accepts_a_license_file(office: Office) -> None:
    """The library verifies the file and computes the same thumbprint."""
    file, key = issued_file(office)
    token = jws.JWS()
    token.deserialize(file.decode().strip(), jwk.JWK(**key), alg="ES256")
    assert json.loads(token.payload)["jti"] == license_id(1)
    assert jwk.JWK(**key).thumbprint() == key["kid"]


names = st.text(min_size=1, max_size=200).filter(lambda name: display_name_problem(name) is None)
limits = st.builds(
    Limits,
    users=st.integers(1, 1_000_000),
    session_hosts=st.integers(0, 1_000_000),
    deploy_hosts=st.integers(0, 1_000_000),
)


@st.composite
def terms(draw: st.DrawFn) -> Terms:
    """Draw any valid terms."""
    tier = draw(st.sampled_from(Tier))
    catalogue = FEATURES + (ENTERPRISE_FEATURES if tier is Tier.ENTERPRISE else ())
    domain = draw(st.sampled_from([None, "*.acme.internal", "a", "xn--bcher-kva.example"]))
    return Terms(
        tier=tier,
        features=tuple(sorted(draw(st.sets(st.sampled_from(catalogue))))),
        limits=draw(limits),
        allowed_domain=AllowedDomain.parse(domain) if domain and tier is Tier.ENTERPRISE else None,
    )


@given(
    name=names,
    issuer=names,
    chosen=terms(),
    fingerprint=st.from_regex(r"[!-~]{8,256}", fullmatch=True).map(canonical_fingerprint),
    lasts=st.integers(1, 10**11),
)
def test_a_verified_file_equals_the_decided_license(
    name: str, issuer: str, chosen: Terms, fingerprint: str, lasts: int
) -> None:
    """A file of any license is one line of ASCII, reads back, and has the same bytes each time."""
    license_ = build_license(
        license_id=license_id(9),
        issuer=issuer,
        customer=NewCustomer(slug="acme", name=name),
        terms=chosen,
        fingerprint=fingerprint if chosen.tier is Tier.STANDARD else None,
        issued_at=NOW,
        expires_at=NOW + timedelta(seconds=lasts),
    )
    proposal = Proposal(
        action=Action.SIGN,
        license=license_,
        customer=NewCustomer(slug="acme", name=name),
        machine=None,
        key=KEY,
        term=None,
        plan=None,
    )
    file = sign([(proposal, None)], {SIGNER.kid: SIGNER})[0].file
    verifier = Verifier(KeySet.of(SIGNER.public_key))
    read = verifier.verify(file, now=NOW, fingerprint=license_.machine_fingerprint)
    assert read == license_
    assert Terms.of(read) == chosen
    assert file.isascii()
    assert file.count(b"\n") == 1
    assert file == sign([(proposal, None)], {SIGNER.kid: SIGNER})[0].file
