"""Private keys as bytes: PKCS#8, SEC1, and the OpenSSH format of key files."""

import base64
import warnings
from collections.abc import Callable
from typing import Any

import bcrypt
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
from polygent_issuer.keys import file_store, keyring_store, openssh, passphrases
from polygent_issuer.keys.openssh import read_private_key
from polygent_issuer.keys.passphrases import Passphrase
from polygent_issuer.keys.signer import generate_private_key, pinned_signer
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
    """Return the key in one of the formats."""
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
    "OpenSSH": openssh.seal_openssh(PRIVATE, PASSPHRASE, rounds=1),
}


def read(data: bytes, source: Passphrase) -> ec.EllipticCurvePrivateKey:
    """Read the private key of a file."""
    return read_private_key(data, source).private_key


@pytest.mark.parametrize("name", PLAIN_FILES)
def test_an_unencrypted_file_is_read(name: str) -> None:
    """PKCS#8, SEC1 and OpenSSH are read without a prompt."""
    source = Given(PASSPHRASE)
    assert read(PLAIN_FILES[name], source).private_numbers() == NUMBERS
    assert source.asked == []


@pytest.mark.parametrize("name", SEALED_FILES)
def test_an_encrypted_file_is_read(name: str) -> None:
    """An encrypted file is read with one prompt."""
    source = Given(PASSPHRASE)
    assert read(SEALED_FILES[name], source).private_numbers() == NUMBERS
    assert source.asked == [("the key file", False)]


@pytest.mark.parametrize("name", SEALED_FILES)
def test_a_wrong_passphrase_is_refused(name: str) -> None:
    """The error has the same code for all formats, and no chain."""
    with pytest.raises(KeyUnavailable) as raised:
        read_private_key(SEALED_FILES[name], Given(b"wrong"))
    assert raised.value.code == "wrong_passphrase"
    assert raised.value.__context__ is None


@pytest.mark.parametrize("name", SEALED_FILES)
def test_a_missing_passphrase_is_reported(name: str) -> None:
    """The error of the passphrase source is raised."""
    with pytest.raises(KeyUnavailable) as raised:
        read_private_key(SEALED_FILES[name], passphrases.NoPassphrase())
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
    """Only a P-256 key can sign licenses."""
    data = make().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    with pytest.raises(KeyUnavailable) as raised:
        read_private_key(data, Given(PASSPHRASE))
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
def test_a_file_must_contain_exactly_one_private_key(data: bytes) -> None:
    """No key, a public key, a truncated key or two keys are refused."""
    source = Given(PASSPHRASE)
    with pytest.raises(KeyUnavailable) as raised:
        read_private_key(data, source)
    assert raised.value.code == "key_damaged"
    assert source.asked == []


def test_a_private_key_with_another_public_key_is_refused() -> None:
    """A stored public key is not trusted."""
    other = generate_private_key().public_key().public_numbers()
    der = bytearray(PLAIN_FILES["PKCS#8 DER"])
    der[-64:] = other.x.to_bytes(32, "big") + other.y.to_bytes(32, "big")
    with pytest.raises(KeyUnavailable, check=lambda error: error.code == "key_damaged"):
        read_private_key(bytes(der), Given(PASSPHRASE))


def test_an_openssh_file_with_another_public_key_is_refused() -> None:
    """Both copies of the public key are replaced; the private number decides."""
    other = generate_private_key().public_key()
    stranger = Key.from_public_key(other).point
    sealed = openssh.parse_openssh(PLAIN_FILES["OpenSSH"]).sealed.replace(KEY.point, stranger)
    data = b"-----BEGIN OPENSSH PRIVATE KEY-----\n%s-----END OPENSSH PRIVATE KEY-----\n"
    with pytest.raises(
        KeyUnavailable, check=lambda error: error.code == "key_damaged", match="does not match"
    ):
        read_private_key(data % base64.encodebytes(sealed), Given(PASSPHRASE))


def test_a_signer_is_made_only_for_the_pinned_key() -> None:
    """The public key is derived from the private key and compared."""
    assert pinned_signer(PRIVATE, KEY).public_key == KEY
    pinned = Key.from_public_key(generate_private_key().public_key())
    with pytest.raises(KeyUnavailable) as raised:
        pinned_signer(PRIVATE, pinned)
    assert raised.value.code == "key_mismatch"
    assert KEY.kid in raised.value.message
    assert pinned.kid in raised.value.message


def test_text_is_pkcs8_der_in_base64() -> None:
    """The text of a keyring entry is decoded to the same key."""
    text = keyring_store.to_text(PRIVATE)
    assert base64.b64decode(text, validate=True) == PLAIN_FILES["PKCS#8 DER"]
    assert keyring_store.from_text(text).private_numbers() == NUMBERS


@given(data=st.binary(max_size=300))
def test_no_bytes_raise_a_foreign_error(data: bytes) -> None:
    """For any content of a file the error is one of ours."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for prefix in (
            b"",
            b"-----BEGIN PRIVATE KEY-----\n",
            b"-----BEGIN OPENSSH PRIVATE KEY-----\n",
        ):
            with pytest.raises(IssuerError):
                read_private_key(prefix + data, Given(PASSPHRASE))


@given(index=st.integers(0, len(PLAIN_FILES["PKCS#8 DER"]) - 1), bit=st.integers(0, 7))
def test_a_flipped_bit_in_an_entry_never_passes_the_pin(index: int, bit: int) -> None:
    """A changed entry is damaged or another key, unless the bit has no meaning."""
    der = bytearray(PLAIN_FILES["PKCS#8 DER"])
    der[index] ^= 1 << bit
    try:
        signer = pinned_signer(keyring_store.from_text(base64.b64encode(der).decode()), KEY)
    except KeyUnavailable:
        return
    assert KEY.verifies(signer.sign(b"data"), b"data")


SEALED_FILE = openssh.seal_openssh(PRIVATE, PASSPHRASE, rounds=1)
ROUNDS_AT = openssh.parse_openssh(SEALED_FILE).sealed.index(b"bcrypt") + len(b"bcrypt") + 4 + 4 + 16


def armoured(sealed: bytes) -> bytes:
    """Return a key file around any bytes."""
    return (
        b"-----BEGIN OPENSSH PRIVATE KEY-----\n"
        + base64.encodebytes(sealed)
        + b"-----END OPENSSH PRIVATE KEY-----\n"
    )


def with_rounds(rounds: int) -> bytes:
    """Return the key file with another round count."""
    sealed = openssh.parse_openssh(SEALED_FILE).sealed
    return armoured(sealed[:ROUNDS_AT] + rounds.to_bytes(4, "big") + sealed[ROUNDS_AT + 4 :])


def refusal(data: bytes) -> KeyUnavailable:
    """Return the error of reading the envelope."""
    with pytest.raises(KeyUnavailable) as raised:
        openssh.parse_openssh(data)
    assert raised.value.__context__ is None or raised.value.__suppress_context__
    return raised.value


def test_an_encrypted_key_is_decrypted() -> None:
    """The passphrase decrypts the private key."""
    unsealed = openssh.unseal_openssh(openssh.parse_openssh(SEALED_FILE), PASSPHRASE)
    assert unsealed.private_numbers() == PRIVATE.private_numbers()


def test_the_envelope_has_the_public_key_and_the_rounds() -> None:
    """Both are read without the passphrase."""
    envelope = openssh.parse_openssh(SEALED_FILE)
    assert envelope.public_key == KEY
    assert envelope.rounds == 1
    assert not envelope.is_plaintext
    assert openssh.parse_openssh(openssh.seal_openssh(PRIVATE, PASSPHRASE, rounds=17)).rounds == 17


@pytest.mark.usefixtures("unhurried")
def test_64_rounds_are_written() -> None:
    """A new file has 64 rounds."""
    assert file_store.ROUNDS == 64


def test_a_wrong_passphrase_differs_from_a_damaged_file() -> None:
    """The two check numbers inside distinguish them."""
    with pytest.raises(KeyUnavailable) as raised:
        openssh.unseal_openssh(openssh.parse_openssh(SEALED_FILE), b"wrong")
    assert raised.value.code == "wrong_passphrase"
    assert raised.value.__context__ is None


def test_an_unencrypted_file_is_recognised() -> None:
    """Rounds 0 means that the file is not encrypted."""
    plain = PRIVATE.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption())
    envelope = openssh.parse_openssh(plain)
    assert envelope.is_plaintext
    assert openssh.unseal_openssh(envelope, None).private_numbers() == PRIVATE.private_numbers()


@pytest.mark.parametrize("rounds", [0, 1025, 2000, 2**31, 2**32 - 1])
def test_a_round_count_out_of_bounds_is_refused_before_bcrypt(
    rounds: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At most 1,024 rounds are run, so that a file cannot block the machine."""
    monkeypatch.setattr(bcrypt, "kdf", pytest.fail)
    monkeypatch.setattr("cryptography.hazmat.primitives.serialization.ssh._bcrypt_kdf", pytest.fail)
    refused = refusal(with_rounds(rounds))
    assert refused.code == "unsupported_key"
    assert str(rounds) in refused.message


def test_1024_rounds_are_still_read() -> None:
    """The limit itself is allowed."""
    assert openssh.parse_openssh(with_rounds(1024)).rounds == 1024


def test_the_loader_gets_the_bytes_that_were_checked() -> None:
    """A second block in the file cannot be loaded instead."""
    assert refusal(SEALED_FILE + with_rounds(2000)).code == "key_damaged"
    assert refusal(with_rounds(2000) + SEALED_FILE).code == "key_damaged"


def test_text_around_the_block_is_ignored() -> None:
    """CRLF line ends and a comment before the block are accepted."""
    assert (
        openssh.parse_openssh(b"# main key\r\n" + SEALED_FILE.replace(b"\n", b"\r\n")).public_key
        == KEY
    )


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"-----BEGIN OPENSSH PRIVATE KEY-----\n-----END OPENSSH PRIVATE KEY-----\n",
        SEALED_FILE[:200],
        SEALED_FILE.replace(b"-----END", b"-----FIN"),
        SEALED_FILE.replace(b"\n-----END", b"!\n-----END"),
        armoured(b"openssh-key-v2\0" + openssh.parse_openssh(SEALED_FILE).sealed[15:]),
        armoured(openssh.parse_openssh(SEALED_FILE).sealed[:100]),
        armoured(b"openssh-key-v1\0" + b"\xff" * 60),
    ],
    ids=["empty", "no body", "cut", "no end", "not base64", "magic", "cut body", "lengths"],
)
def test_a_broken_file_is_damaged(data: bytes) -> None:
    """Empty, truncated, re-encoded and foreign files have one code."""
    assert refusal(data).code == "key_damaged"


def test_another_kind_of_key_is_unsupported() -> None:
    """Ed25519 and P-384 keys are recognised and refused."""
    for other in (ed25519.Ed25519PrivateKey.generate(), ec.generate_private_key(ec.SECP384R1())):
        data = other.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption())
        assert refusal(data).code == "unsupported_key"


def test_another_key_derivation_is_unsupported() -> None:
    """Only bcrypt is accepted, since only its cost can be read."""
    sealed = openssh.parse_openssh(SEALED_FILE).sealed.replace(b"bcrypt", b"scrypt", 1)
    assert refusal(armoured(sealed)).code == "unsupported_key"


@pytest.mark.slow
def test_a_bit_flip_gives_an_error_or_a_different_key() -> None:
    """Flips at each byte and each bit position are tried.

    The format has no MAC, so a flip in the private number loads another key. Therefore the result
    is compared with the pinned key.
    """
    sealed = openssh.parse_openssh(SEALED_FILE).sealed
    loaded_others = 0
    for index in range(len(sealed)):
        bit = 7 if index in (ROUNDS_AT + 2, ROUNDS_AT + 3) else index % 8
        flipped = bytearray(sealed)
        flipped[index] ^= 1 << bit
        try:
            envelope = openssh.parse_openssh(armoured(bytes(flipped)))
            private_key = openssh.unseal_openssh(envelope, PASSPHRASE)
        except KeyUnavailable:
            continue
        other = Key.from_public_key(private_key.public_key())
        assert other != KEY
        assert envelope.public_key == KEY
        loaded_others += 1
    assert 28 <= loaded_others <= 33
