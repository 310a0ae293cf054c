"""Private keys as bytes: what is read, what is compared, what is refused."""

import base64
import warnings
from collections.abc import Callable
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
)
from hypothesis import given
from hypothesis import strategies as st
from support.passphrases import Given

from polygent_issuer.errors import IssuerError, KeyUnavailable
from polygent_issuer.keys import passphrases, private_keys
from polygent_issuer.keys.errors import KeyDamaged, KeyMismatch, UnsupportedKey
from polygent_issuer.keys.signer import generate_private_key
from polygent_issuer.verifier.keys import Key

PASSPHRASE = b"correct horse"
PRIVATE = generate_private_key()
KEY = Key.from_public_key(PRIVATE.public_key())
NUMBERS = PRIVATE.private_numbers()
SEALED: KeySerializationEncryption = BestAvailableEncryption(PASSPHRASE)
PLAIN: KeySerializationEncryption = NoEncryption()
PARAMETERS = b"-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n"


def exported(
    encoding: Encoding, kind: PrivateFormat, encryption: KeySerializationEncryption
) -> bytes:
    """The key in one of the formats."""
    return PRIVATE.private_bytes(encoding, kind, encryption)


PLAIN_FILES = {
    "PKCS#8 PEM": exported(Encoding.PEM, PrivateFormat.PKCS8, PLAIN),
    "PKCS#8 DER": exported(Encoding.DER, PrivateFormat.PKCS8, PLAIN),
    "SEC1 PEM": exported(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, PLAIN),
    "SEC1 DER": exported(Encoding.DER, PrivateFormat.TraditionalOpenSSL, PLAIN),
    "SEC1 PEM of openssl": PARAMETERS
    + exported(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, PLAIN),
    "OpenSSH": exported(Encoding.PEM, PrivateFormat.OpenSSH, PLAIN),
}
SEALED_FILES = {
    "PKCS#8 PEM": exported(Encoding.PEM, PrivateFormat.PKCS8, SEALED),
    "PKCS#8 DER": exported(Encoding.DER, PrivateFormat.PKCS8, SEALED),
    "SEC1 PEM": exported(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, SEALED),
    "OpenSSH": private_keys.seal_openssh(PRIVATE, PASSPHRASE, rounds=1),
}


@pytest.mark.parametrize("name", PLAIN_FILES)
def test_reads_a_plain_file(name: str) -> None:
    """PKCS#8, SEC1 and OpenSSH, without asking for a passphrase."""
    source = Given(PASSPHRASE)
    assert private_keys.read(PLAIN_FILES[name], source).private_numbers() == NUMBERS
    assert source.asked == []


@pytest.mark.parametrize("name", SEALED_FILES)
def test_reads_a_sealed_file(name: str) -> None:
    """Likewise encrypted; the passphrase is asked once."""
    source = Given(PASSPHRASE)
    assert private_keys.read(SEALED_FILES[name], source).private_numbers() == NUMBERS
    assert source.asked == [("the key file", False)]


@pytest.mark.parametrize("name", SEALED_FILES)
def test_a_wrong_passphrase_is_refused(name: str) -> None:
    """With one code for all formats, and without a chain."""
    with pytest.raises(KeyUnavailable) as raised:
        private_keys.read(SEALED_FILES[name], Given(b"wrong"))
    assert raised.value.code == "wrong_passphrase"
    assert raised.value.__context__ is None


@pytest.mark.parametrize("name", SEALED_FILES)
def test_without_a_passphrase_the_need_is_said(name: str) -> None:
    """Nobody to ask: the source's own error comes through."""
    with pytest.raises(KeyUnavailable) as raised:
        private_keys.read(SEALED_FILES[name], passphrases.absent())
    assert raised.value.code == "passphrase_needed"


@pytest.mark.parametrize(
    "make",
    [
        lambda: ec.generate_private_key(ec.SECP384R1()),
        lambda: ec.generate_private_key(ec.SECP256K1()),
        ed25519.Ed25519PrivateKey.generate,
        lambda: rsa.generate_private_key(65537, 2048),
    ],
    ids=["P-384", "secp256k1", "Ed25519", "RSA"],
)
def test_another_kind_of_key_is_refused(make: Callable[[], Any]) -> None:
    """Only P-256 signs licenses."""
    data = make().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    with pytest.raises(UnsupportedKey) as raised:
        private_keys.read(data, Given(PASSPHRASE))
    assert raised.value.code == "unsupported_key"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"no key",
        b"\x30\x03\x02\x01\x00",
        KEY.to_pem(),
        PLAIN_FILES["PKCS#8 PEM"][:100],
        PLAIN_FILES["PKCS#8 DER"][:-1],
        PLAIN_FILES["PKCS#8 PEM"] * 2,
        PLAIN_FILES["SEC1 PEM"] + PLAIN_FILES["OpenSSH"],
    ],
    ids=["empty", "text", "DER", "public", "cut PEM", "cut DER", "twice", "two"],
)
def test_a_file_without_one_key_is_damaged(data: bytes) -> None:
    """None, a public one, a cut one, or two."""
    source = Given(PASSPHRASE)
    with pytest.raises(KeyDamaged) as raised:
        private_keys.read(data, source)
    assert raised.value.code == "key_damaged"
    assert source.asked == []


def test_a_private_half_that_belongs_to_another_public_half_is_refused() -> None:
    """No stored public half is believed."""
    other = generate_private_key().public_key().public_numbers()
    der = bytearray(PLAIN_FILES["PKCS#8 DER"])
    der[-64:] = other.x.to_bytes(32, "big") + other.y.to_bytes(32, "big")
    with pytest.raises(KeyDamaged):
        private_keys.read(bytes(der), Given(PASSPHRASE))


def test_an_openssh_file_with_another_clear_half_is_refused() -> None:
    """Both copies of the public half replaced: the private number decides."""
    other = generate_private_key().public_key()
    stranger = Key.from_public_key(other).point
    sealed = private_keys.parse_openssh(PLAIN_FILES["OpenSSH"]).sealed.replace(KEY.point, stranger)
    data = b"-----BEGIN OPENSSH PRIVATE KEY-----\n%s-----END OPENSSH PRIVATE KEY-----\n"
    with pytest.raises(KeyDamaged, match="does not belong"):
        private_keys.read(data % base64.encodebytes(sealed), Given(PASSPHRASE))


def test_a_signer_is_made_only_for_the_pinned_key() -> None:
    """The public half is derived and compared."""
    assert private_keys.signer(PRIVATE, KEY).public_key == KEY
    pinned = Key.from_public_key(generate_private_key().public_key())
    with pytest.raises(KeyMismatch) as raised:
        private_keys.signer(PRIVATE, pinned)
    assert raised.value.code == "key_mismatch"
    assert KEY.kid in raised.value.message
    assert pinned.kid in raised.value.message


def test_text_is_pkcs8_der_in_base64() -> None:
    """What goes into a keyring comes back as the same key."""
    text = private_keys.to_text(PRIVATE)
    assert base64.b64decode(text, validate=True) == PLAIN_FILES["PKCS#8 DER"]
    assert private_keys.from_text(text).private_numbers() == NUMBERS


@given(data=st.binary(max_size=300))
def test_no_bytes_raise_a_foreign_error(data: bytes) -> None:
    """Whatever a file holds, the error is ours."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for prefix in (
            b"",
            b"-----BEGIN PRIVATE KEY-----\n",
            b"-----BEGIN OPENSSH PRIVATE KEY-----\n",
        ):
            with pytest.raises(IssuerError):
                private_keys.read(prefix + data, Given(PASSPHRASE))


@given(index=st.integers(0, len(PLAIN_FILES["PKCS#8 DER"]) - 1), bit=st.integers(0, 7))
def test_a_flipped_bit_in_an_entry_never_passes_the_pin(index: int, bit: int) -> None:
    """A changed entry is damaged or another key, unless the change meant nothing."""
    der = bytearray(PLAIN_FILES["PKCS#8 DER"])
    der[index] ^= 1 << bit
    try:
        signer = private_keys.signer(private_keys.from_text(base64.b64encode(der).decode()), KEY)
    except KeyUnavailable:
        return
    assert KEY.verifies(signer.sign(b"data"), b"data")
