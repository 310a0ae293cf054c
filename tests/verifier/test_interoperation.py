"""JOSE libraries verify our files, and their thumbprints of our keys are ours."""

import json
from pathlib import Path
from typing import Any

import jwt
import pytest
from joserfc import jws as joserfc_jws
from joserfc.jwk import ECKey
from jwcrypto import jwk as jwcrypto_jwk
from jwcrypto import jws as jwcrypto_jws
from jwt.api_jwk import PyJWK
from vectors.signing import EXAMPLE, SECOND, STRANGER

from polygent_issuer.verifier import EXAMPLE_KID, Key, License

ROOT = Path(__file__).parents[2]
FILES = [*(ROOT / "tests/vectors/golden").glob("*.lic"), ROOT / "keys.example/example.lic"]
JWK: dict[str, str] = json.loads((ROOT / "keys.example/jwks.json").read_bytes())["keys"][0]
HEADER = {"alg": "ES256", "kid": EXAMPLE_KID, "typ": "polygent-license+jwt"}


def _claims(payload: bytes) -> dict[str, Any]:
    return License.from_payload(payload).to_claims()


@pytest.mark.parametrize("path", sorted(FILES), ids=lambda path: path.name)
def test_three_libraries_accept_our_files(path: Path) -> None:
    """PyJWT, joserfc and jwcrypto verify each golden file and read the same header and claims."""
    text = path.read_text(encoding="ascii").strip()

    decoded = jwt.api_jws.PyJWS().decode_complete(text, PyJWK(JWK), algorithms=["ES256"])
    assert decoded["header"] == HEADER
    expected = _claims(decoded["payload"])
    assert json.loads(decoded["payload"]) == expected

    token = joserfc_jws.deserialize_compact(text, ECKey.import_key(dict(JWK)))
    assert token.protected == HEADER
    assert _claims(token.payload) == expected

    token = jwcrypto_jws.JWS()
    token.deserialize(text, jwcrypto_jwk.JWK(**JWK))
    assert json.loads(token.objects["protected"]) == HEADER
    assert _claims(token.payload) == expected


@pytest.mark.parametrize("pair", [EXAMPLE, SECOND, STRANGER])
def test_thumbprints_agree(pair: Any) -> None:
    """The kid is the RFC 7638 thumbprint that joserfc and jwcrypto compute."""
    key = Key.from_public_key(pair.private.public_key())
    assert ECKey.import_key(key.to_pem()).thumbprint() == key.kid
    assert jwcrypto_jwk.JWK.from_pem(key.to_pem()).thumbprint() == key.kid
    assert ECKey.import_key(dict(key.to_jwk())).thumbprint() == key.kid
