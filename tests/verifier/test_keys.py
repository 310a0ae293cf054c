"""Keys of FORMAT §1, RFC 7517, RFC 7638, and ECDSA with the published vectors."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import cryptography_vectors
import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from hypothesis import given
from hypothesis import strategies as st
from vectors.key_cases import spki_pem
from vectors.signing import EXAMPLE, ORDER, SECOND, STRANGER, raw_signature

from polygent_issuer.verifier import EXAMPLE_KID, InvalidKey, Key, KeySet
from polygent_issuer.verifier.keys import FIELD_PRIME, GROUP_ORDER

RFC_6979_X = 0x60FED4BA255A9D31C961EB74C6356D68C049B8923B61FA6CE669622E60F29FB6
RFC_6979_Y = 0x7903FE1008B8BC99A41AE9E95628BC64F2F1B20C2D7E9F5177A3C294D4462299
RFC_6979_PRIVATE = 0xC9AFA9D845BA75166B5C215767B1D6934E50C3DB36E89B127B8A622B120F6721
RFC_6979 = [
    (
        b"sample",
        0xEFD48B2AACB6A8FD1140DD9CD45E81D69D2C877B56AAF991C34D0EA84EAF3716,
        0xF7CB1C942D657C41D436C7A1B6E29F65F3E900DBB9AFF4064DC4AB2F843ACDA8,
    ),
    (
        b"test",
        0xF1ABB023518351CD71D881567B1EA663ED3EFCF6C5132B354F28D3B0B7D38367,
        0x019F4113742A2B14BD25926B49C649155F267E60D3814B4C0CC84250E46F0083,
    ),
]


def _key(x: int, y: int) -> Key:
    return Key(b"\4" + x.to_bytes(32, "big") + y.to_bytes(32, "big"))


@pytest.mark.parametrize(("message", "r", "s"), RFC_6979)
def test_rfc_6979_a_2_5(message: bytes, r: int, s: int) -> None:
    """The signatures of RFC 6979 A.2.5 for P-256 with SHA-256 verify, and we sign the same ones."""
    key = _key(RFC_6979_X, RFC_6979_Y)
    assert key.verifies(raw_signature(r, s), message)
    assert not key.verifies(raw_signature(r, s), message + b"!")
    private = ec.derive_private_key(RFC_6979_PRIVATE, ec.SECP256R1())
    algorithm = ec.ECDSA(hashes.SHA256(), deterministic_signing=True)
    assert decode_dss_signature(private.sign(message, algorithm)) == (r, s)
    assert Key.from_public_key(private.public_key()) == key


def _nist(name: str, section: str) -> Iterator[dict[str, str]]:
    """The records of one section of a NIST response file."""
    folder = Path(str(cryptography_vectors.__file__)).parent / "asymmetric/ECDSA/FIPS_186-3"
    text = (folder / name).read_text(encoding="ascii").replace("\r\n", "\n")
    body = text.split(f"[{section}]", 1)[1].split("\n[", 1)[0]
    for block in re.split(r"\n\s*\n", body):
        record = dict(re.findall(r"^(\w+) = (\S+)", block, re.MULTILINE))
        if "Qx" in record:
            yield record


def test_nist_signature_verification() -> None:
    """Our verdicts on NIST's P-256, SHA-256 SigVer vectors are NIST's."""
    records = list(_nist("SigVer.rsp", "P-256,SHA-256"))
    verdicts = []
    for record in records:
        key = _key(int(record["Qx"], 16), int(record["Qy"], 16))
        signature = raw_signature(int(record["R"], 16), int(record["S"], 16))
        verdicts.append(key.verifies(signature, bytes.fromhex(record["Msg"])))
    assert verdicts == [record["Result"] == "P" for record in records]
    assert {True, False} == set(verdicts)
    assert len(verdicts) >= 15


def test_nist_public_key_validation() -> None:
    """Of NIST's P-256 PKV vectors, exactly the keys off the curve or out of range are refused."""
    records = list(_nist("PKV.rsp", "P-256"))
    for record in records:
        x, y = int(record["Qx"], 16), int(record["Qy"], 16)
        if record["Result"] == "P":
            assert _key(x, y).kid
            continue
        with pytest.raises((InvalidKey, OverflowError)):
            _key(x, y)
    assert len(records) >= 10


def test_curve_constants_are_sec_2() -> None:
    """P and n are those of P-256 in `cryptography`."""
    assert GROUP_ORDER == ORDER == ec.SECP256R1().group_order
    assert (
        int("FFFFFFFF00000001000000000000000000000000FFFFFFFFFFFFFFFFFFFFFFFF", 16) == FIELD_PRIME
    )


@pytest.mark.parametrize("length", [0, 63, 65, 128])
def test_signature_has_64_bytes(length: int) -> None:
    """A signature of another length verifies nothing and raises nothing."""
    key = Key.from_public_key(EXAMPLE.private.public_key())
    assert not key.verifies((EXAMPLE.sign(b"data") * 2)[:length], b"data")


class _TakesAnything:
    """A public key of a library that checks no ranges."""

    def verify(self, *_arguments: object) -> None:
        """Accept."""


@pytest.mark.parametrize(
    ("r", "s", "right"),
    [
        (1, 1, True),
        (ORDER - 1, ORDER - 1, True),
        (0, 1, False),
        (1, 0, False),
        (ORDER, 1, False),
        (1, ORDER, False),
        (2**256 - 1, 1, False),
    ],
)
def test_range_is_not_left_to_the_library(r: int, s: int, *, right: bool) -> None:
    """R and s outside 1 ... n-1 are refused before the library is called."""
    key = Key.from_public_key(SECOND.private.public_key())
    object.__setattr__(key, "_public", _TakesAnything())
    assert key.verifies(raw_signature(r, s), b"data") is right


def test_coordinate_is_not_left_to_the_library() -> None:
    """A point with a coordinate of p or more is refused before the library is called."""
    for x, y in ((FIELD_PRIME, 1), (1, FIELD_PRIME)):
        with pytest.raises(InvalidKey, match="not below p"):
            _key(x, y)
    for x, y in ((FIELD_PRIME - 1, 1), (1, FIELD_PRIME - 1)):
        with pytest.raises(InvalidKey, match="not on P-256"):
            _key(x, y)


@given(r=st.integers(0, 2**256 - 1), s=st.integers(0, 2**256 - 1))
def test_any_64_bytes_get_a_verdict(r: int, s: int) -> None:
    """Any numbers, in range or not, get a verdict and raise nothing."""
    key = Key.from_public_key(EXAMPLE.private.public_key())
    assert key.verifies(raw_signature(r, s), b"data") is False


@given(private=st.integers(1, ORDER - 1))
def test_every_form_gives_the_same_key(private: int) -> None:
    """PEM, JWK and cryptography's object give equal keys, and each form is written unchanged."""
    public = ec.derive_private_key(private, ec.SECP256R1()).public_key()
    key = Key.from_public_key(public)
    assert Key.from_pem(spki_pem(public)) == Key.from_jwk(key.to_jwk()) == key
    assert key.to_pem() == spki_pem(public)
    assert KeySet.from_jwks(KeySet.of(key).to_jwks()).get(key.kid) == key
    assert hash(Key.from_pem(key.to_pem())) == hash(key)


@given(st.binary(max_size=200))
def test_any_bytes_are_a_key_or_invalid(data: bytes) -> None:
    """Any bytes raise at most InvalidKey, as PEM and as a JWK Set."""
    wrapped = b"-----BEGIN PUBLIC KEY-----\n" + data + b"\n-----END PUBLIC KEY-----\n"
    for pem in (data, wrapped):
        with pytest.raises(InvalidKey):
            KeySet.from_pem(pem)
    with pytest.raises(InvalidKey):
        KeySet.from_jwks(data)


@given(st.integers(0, 90), st.integers(0, 7))
def test_flipped_public_key_is_another_or_invalid(byte: int, bit: int) -> None:
    """A damaged PEM is refused, or is another key."""
    key = Key.from_public_key(EXAMPLE.private.public_key())
    pem = bytearray(key.to_pem())
    pem[27 + byte] ^= 1 << bit
    try:
        assert Key.from_pem(bytes(pem)) != key
    except InvalidKey as error:
        refusal = error
    else:
        return
    assert refusal.code == "invalid_key"


def test_example_key_is_refused_unless_allowed() -> None:
    """The published pair is trusted only if the caller allows it, in every form."""
    pem, jwk = spki_pem(), EXAMPLE.jwk
    jwks = json.dumps({"keys": [jwk]}).encode()
    key = Key.from_public_key(EXAMPLE.private.public_key())
    assert key.kid == EXAMPLE_KID == EXAMPLE.kid
    for refused in (
        lambda: KeySet.from_pem(pem),
        lambda: KeySet.from_jwks(jwks),
        lambda: KeySet.of(key),
        lambda: KeySet(key),
        lambda: Key.from_pem(pem),
        lambda: Key.from_jwk(jwk),
    ):
        _raises_example(refused)
    assert Key.from_pem(pem, allow_example=True) == Key.from_jwk(jwk, allow_example=True) == key
    for allowed in (
        KeySet.from_pem(pem, allow_example=True),
        KeySet.from_jwks(jwks, allow_example=True),
        KeySet.of(key, allow_example=True),
    ):
        assert list(allowed) == [key]


def _raises_example(refused: object) -> None:
    assert callable(refused)
    with pytest.raises(InvalidKey, match="example key") as error:
        refused()
    assert error.value.code == "invalid_key"


def test_set_chooses_by_kid() -> None:
    """A set returns the key of a thumbprint, and None for any other text."""
    keys = KeySet.from_pem(*(spki_pem(p.private.public_key()) for p in (SECOND, STRANGER)))
    assert [key.kid for key in keys] == [SECOND.kid, STRANGER.kid]
    assert len(keys) == 2
    key = keys.get(SECOND.kid)
    assert key is not None
    assert key.kid == SECOND.kid
    assert keys.get(SECOND.kid[:-1]) is None
    assert keys.get("") is None


def test_same_pem_twice_counts_once() -> None:
    """A key that is given twice as PEM is one key."""
    pem = spki_pem(SECOND.private.public_key())
    assert len(KeySet.from_pem(pem, pem)) == 1
    assert len(KeySet.from_pem()) == 0


def test_private_key_is_refused_and_not_repeated() -> None:
    """A private key is refused as such, and nothing of it is in the message."""
    pem = b"-----BEGIN PRIVATE KEY-----\nMIGHSECRET\n-----END PRIVATE KEY-----\n"
    with pytest.raises(InvalidKey, match="private key") as refused:
        Key.from_pem(pem)
    assert "SECRET" not in f"{refused.value}{refused.value.hint}"
    with pytest.raises(InvalidKey, match="private key"):
        Key.from_jwk({**SECOND.jwk, "d": "SECRET"})


def test_other_kinds_of_public_keys_are_refused() -> None:
    """Only an elliptic-curve key on P-256 becomes a Key."""
    for public in (
        ed25519.Ed25519PrivateKey.from_private_bytes(bytes(32)).public_key(),
        ec.derive_private_key(5, ec.SECP384R1()).public_key(),
        ec.derive_private_key(5, ec.SECP256K1()).public_key(),
        None,
    ):
        with pytest.raises(InvalidKey):
            Key.from_public_key(public)


def test_representation_is_the_kid() -> None:
    """A key shows its thumbprint and nothing else."""
    key = Key.from_public_key(SECOND.private.public_key())
    assert repr(key) == f"Key(kid='{SECOND.kid}')"


def _jwks(*keys: object) -> bytes:
    return json.dumps({"keys": keys}).encode()


def test_foreign_keys_of_a_set_are_ignored() -> None:
    """RFC 7517 §5: a key for another purpose is left out, wherever it is in the set."""
    rsa, encryption = {"kty": "RSA", "n": "AQAB", "e": "AQAB"}, {**STRANGER.jwk, "use": "enc"}
    keys = KeySet.from_jwks(_jwks(rsa, SECOND.jwk, encryption, {**SECOND.jwk, "alg": "ES512"}))
    assert [key.kid for key in keys] == [SECOND.kid]


def test_a_set_of_foreign_keys_alone_is_refused() -> None:
    """The message names at most three purposes of the keys, escaped, and the hint the right one."""
    foreign = [{"kty": "\x1b[31m"}, {"kty": "RSA"}, {"kty": "RSA"}, {**SECOND.jwk, "use": "enc"}]
    more = [{**SECOND.jwk, "key_ops": ["sign"]}, {**SECOND.jwk, "alg": "ES384"}]
    with pytest.raises(InvalidKey) as refused:
        KeySet.from_jwks(_jwks(*foreign, *more))
    assert refused.value.message == (
        r"no key of the JWK Set verifies licenses: kty '\x1b[31m'; kty 'RSA'; use 'enc'; and 2 more"
    )
    assert refused.value.hint is not None
    assert "crv P-256" in refused.value.hint
    with pytest.raises(InvalidKey, match=r"licenses: key_ops without verify\n"):
        KeySet.from_jwks(_jwks(more[0]))
    assert len(KeySet.from_jwks(_jwks())) == 0


def test_a_private_key_is_never_ignored() -> None:
    """A set with a private key of any kind and purpose is refused."""
    for private in ({"kty": "RSA", "d": "AQAB"}, {**STRANGER.jwk, "use": "enc", "d": "AQAB"}):
        with pytest.raises(InvalidKey, match="private key"):
            KeySet.from_jwks(_jwks(SECOND.jwk, private))


def test_a_key_on_its_own_is_not_ignored() -> None:
    """A key that a set ignores is refused if it is given alone."""
    for name, value in {"kty": "RSA", "use": "enc", "key_ops": ["sign"]}.items():
        with pytest.raises(InvalidKey, match=name):
            Key.from_jwk({**SECOND.jwk, name: value})
