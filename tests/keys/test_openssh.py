"""The clear part of key files: what is refused before a passphrase is asked or bcrypt is run."""

import base64

import bcrypt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from polygent_issuer.errors import KeyUnavailable
from polygent_issuer.keys import private_keys
from polygent_issuer.keys.signer import generate_private_key
from polygent_issuer.verifier.keys import Key

PASSPHRASE = b"correct horse"
PRIVATE = generate_private_key()
KEY = Key.from_public_key(PRIVATE.public_key())
SEALED = private_keys.seal_openssh(PRIVATE, PASSPHRASE, rounds=1)
ROUNDS_AT = private_keys.parse_openssh(SEALED).sealed.index(b"bcrypt") + len(b"bcrypt") + 4 + 4 + 16


def armoured(sealed: bytes) -> bytes:
    """A key file around any bytes."""
    return (
        b"-----BEGIN OPENSSH PRIVATE KEY-----\n"
        + base64.encodebytes(sealed)
        + b"-----END OPENSSH PRIVATE KEY-----\n"
    )


def with_rounds(rounds: int) -> bytes:
    """The key file, asking for another round count."""
    sealed = private_keys.parse_openssh(SEALED).sealed
    return armoured(sealed[:ROUNDS_AT] + rounds.to_bytes(4, "big") + sealed[ROUNDS_AT + 4 :])


def refusal(data: bytes) -> KeyUnavailable:
    """The error that reading the clear part ends with."""
    with pytest.raises(KeyUnavailable) as raised:
        private_keys.parse_openssh(data)
    assert raised.value.__context__ is None or raised.value.__suppress_context__
    return raised.value


def test_what_is_sealed_opens() -> None:
    """The private half comes back under the passphrase."""
    unsealed = private_keys.unseal_openssh(private_keys.parse_openssh(SEALED), PASSPHRASE)
    assert unsealed.private_numbers() == PRIVATE.private_numbers()


def test_the_clear_part_says_which_key_and_how_many_rounds() -> None:
    """Both are read without the passphrase."""
    envelope = private_keys.parse_openssh(SEALED)
    assert envelope.public_key == KEY
    assert envelope.rounds == 1
    assert not envelope.is_plaintext
    assert (
        private_keys.parse_openssh(private_keys.seal_openssh(PRIVATE, PASSPHRASE, rounds=17)).rounds
        == 17
    )


@pytest.mark.usefixtures("unhurried")
def test_64_rounds_are_written() -> None:
    """The default of what we write."""
    assert private_keys.ROUNDS == 64


def test_a_wrong_passphrase_is_told_from_a_damaged_file() -> None:
    """The two check numbers inside tell them apart."""
    with pytest.raises(KeyUnavailable) as raised:
        private_keys.unseal_openssh(private_keys.parse_openssh(SEALED), b"wrong")
    assert raised.value.code == "wrong_passphrase"
    assert raised.value.__context__ is None


def test_a_plaintext_file_says_so() -> None:
    """Rounds 0: anybody can read it."""
    plain = PRIVATE.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption())
    envelope = private_keys.parse_openssh(plain)
    assert envelope.is_plaintext
    assert (
        private_keys.unseal_openssh(envelope, None).private_numbers() == PRIVATE.private_numbers()
    )


@pytest.mark.parametrize("rounds", [0, 1025, 2000, 2**31, 2**32 - 1])
def test_a_round_count_out_of_bounds_is_refused_before_bcrypt(
    rounds: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file cannot keep this machine busy: 1,024 rounds at most are run."""
    monkeypatch.setattr(bcrypt, "kdf", pytest.fail)
    monkeypatch.setattr("cryptography.hazmat.primitives.serialization.ssh._bcrypt_kdf", pytest.fail)
    refused = refusal(with_rounds(rounds))
    assert refused.code == "unsupported_key"
    assert str(rounds) in refused.message


def test_1024_rounds_are_still_read() -> None:
    """The bound itself is allowed."""
    assert private_keys.parse_openssh(with_rounds(1024)).rounds == 1024


def test_the_loader_sees_the_bytes_that_were_judged() -> None:
    """A second block in the file cannot be the one that is loaded."""
    assert refusal(SEALED + with_rounds(2000)).code == "key_damaged"
    assert refusal(with_rounds(2000) + SEALED).code == "key_damaged"


def test_text_around_the_block_is_no_matter() -> None:
    """Line ends of Windows and a comment before the block are fine."""
    assert (
        private_keys.parse_openssh(b"# main key\r\n" + SEALED.replace(b"\n", b"\r\n")).public_key
        == KEY
    )


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"-----BEGIN OPENSSH PRIVATE KEY-----\n-----END OPENSSH PRIVATE KEY-----\n",
        SEALED[:200],
        SEALED.replace(b"-----END", b"-----FIN"),
        SEALED.replace(b"\n-----END", b"!\n-----END"),
        armoured(b"openssh-key-v2\0" + private_keys.parse_openssh(SEALED).sealed[15:]),
        armoured(private_keys.parse_openssh(SEALED).sealed[:100]),
        armoured(b"openssh-key-v1\0" + b"\xff" * 60),
    ],
    ids=["empty", "no body", "cut", "no end", "not base64", "magic", "cut body", "lengths"],
)
def test_a_broken_file_is_damaged(data: bytes) -> None:
    """Empty, cut, re-armoured and foreign files end with one code."""
    assert refusal(data).code == "key_damaged"


def test_another_kind_of_key_is_unsupported() -> None:
    """Ed25519 and P-384 are recognised and refused."""
    for other in (ed25519.Ed25519PrivateKey.generate(), ec.generate_private_key(ec.SECP384R1())):
        data = other.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption())
        assert refusal(data).code == "unsupported_key"


def test_another_key_derivation_is_unsupported() -> None:
    """Only bcrypt's cost can be read, so only bcrypt is accepted."""
    sealed = private_keys.parse_openssh(SEALED).sealed.replace(b"bcrypt", b"scrypt", 1)
    assert refusal(armoured(sealed)).code == "unsupported_key"


@pytest.mark.slow
def test_no_bit_flip_loads_another_key() -> None:
    """Each bit position and each byte of the file: an error of ours, or a key that differs.

    The format has no MAC, so flips within the private number do load, as another key: that is
    why what comes out is compared with the pin.
    """
    sealed = private_keys.parse_openssh(SEALED).sealed
    loaded_others = 0
    for index in range(len(sealed)):
        bit = 7 if index in (ROUNDS_AT + 2, ROUNDS_AT + 3) else index % 8
        flipped = bytearray(sealed)
        flipped[index] ^= 1 << bit
        try:
            envelope = private_keys.parse_openssh(armoured(bytes(flipped)))
            private_key = private_keys.unseal_openssh(envelope, PASSPHRASE)
        except KeyUnavailable:
            continue
        other = Key.from_public_key(private_key.public_key())
        assert other != KEY
        assert envelope.public_key == KEY
        loaded_others += 1
    assert 28 <= loaded_others <= 33
