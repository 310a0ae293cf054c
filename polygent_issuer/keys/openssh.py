"""Private keys in files: in the OpenSSH format with bcrypt (`PROTOCOL.key`), PKCS#8 or SEC1.

OpenSSH's numbers, strings and P-256 keys are in the encoding of SSH (RFC 4251 §5, RFC 5656 §3.1),
which an agent speaks, too.

`cryptography` encrypts and decrypts. This module first reads the unencrypted part, here called the
*envelope*: it names the encryption and the public key.

In an emergency, without this tool: `ssh-keygen -p -m PKCS8 -f COPY` converts a copy of the file to
a format that any library reads.
"""

import base64
import re
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PrivateFormat,
    load_der_private_key,
    load_pem_private_key,
    load_ssh_private_key,
)

from polygent_issuer.errors import KeyUnavailable
from polygent_issuer.keys.passphrases import Passphrase, WrongPassphrase
from polygent_issuer.keys.signer import (
    IMPORT,
    not_p256,
    public_key_of,
    rebuilt,
    require_not_example,
    require_p256,
)
from polygent_issuer.text import Hint
from polygent_issuer.verifier.errors import InvalidKey
from polygent_issuer.verifier.keys import COORDINATE_BYTES, Key

MAX_ROUNDS: Final = 1024
"""The largest accepted number of rounds: about 10 s."""
OPENSSH: Final = b"-----BEGIN OPENSSH PRIVATE KEY-----"
"""The first line of every file in the OpenSSH format."""

KIND: Final = b"ecdsa-sha2-nistp256"
_CURVE: Final = b"nistp256"
_UINT32: Final = 4
_END: Final = b"-----END OPENSSH PRIVATE KEY-----"
_ARMOUR: Final = re.compile(OPENSSH + rb"\s([A-Za-z0-9+/=\s]*)" + _END)
_MAGIC: Final = b"openssh-key-v1\0"


def take_number(data: bytes) -> tuple[int, bytes]:
    """Return a uint32 and the rest; ValueError if the data is too short."""
    if len(data) < _UINT32:
        raise ValueError("short")
    return int.from_bytes(data[:_UINT32], "big"), data[_UINT32:]


def take_string(data: bytes) -> tuple[bytes, bytes]:
    """Return a string and the rest; ValueError if the data is too short."""
    length, rest = take_number(data)
    if length > len(rest):
        raise ValueError("short")
    return rest[:length], rest[length:]


def take_mpint(data: bytes) -> tuple[bytes, bytes]:
    """Return a positive mpint as 32 bytes, and the rest; ValueError if it is another number."""
    text, rest = take_string(data)
    number = int.from_bytes(text, "big", signed=True)
    if number <= 0 or number.bit_length() > 8 * COORDINATE_BYTES:
        raise ValueError("number")
    return number.to_bytes(COORDINATE_BYTES, "big"), rest


def string(data: bytes) -> bytes:
    """Encode a string."""
    return len(data).to_bytes(_UINT32, "big") + data


def key_of(blob: bytes) -> Key | None:
    """Return the P-256 key of a public key blob; None for another type of key.

    Raises:
        ValueError: for a malformed blob.
        InvalidKey: (`invalid_key`) if the point is not on the curve.
    """
    kind, rest = take_string(blob)
    if kind != KIND:
        return None
    curve, rest = take_string(rest)
    point, rest = take_string(rest)
    if curve != _CURVE or rest:
        raise ValueError("public key")
    return Key(point)


def blob_of(key: Key) -> bytes:
    """Return the public key blob of a key."""
    return string(KIND) + string(_CURVE) + string(key.point)


@dataclass(frozen=True, kw_only=True, slots=True)
class Envelope:
    """The unencrypted part of an OpenSSH key file, decoded; its public key is not yet verified."""

    public_key: Key
    rounds: int
    sealed: bytes = field(repr=False)

    @property
    def is_plaintext(self) -> bool:
        """True if the private key is not encrypted."""
        return self.rounds == 0


def parse_openssh(data: bytes) -> Envelope:
    """Read the unencrypted part of an OpenSSH key file.

    Raises:
        KeyUnavailable: (`key_damaged`), or (`unsupported_key`) for its type, encryption or rounds.
    """
    try:
        (text,) = _ARMOUR.findall(data)
        sealed = base64.b64decode(b"".join(text.split()), validate=True)
        cipher, kdf, options, claimed = _fields(sealed)
        rounds = _rounds(cipher, kdf, options)
        return Envelope(public_key=_claimed_key(claimed), rounds=rounds, sealed=sealed)
    except (ValueError, InvalidKey):  # binascii.Error is a ValueError
        raise _damaged() from None


def seal_openssh(
    private_key: ec.EllipticCurvePrivateKey, passphrase: bytes, *, rounds: int
) -> bytes:
    """Encrypt a P-256 key with AES-256-CTR and bcrypt; `ssh-keygen -p` reads the result."""
    builder = PrivateFormat.OpenSSH.encryption_builder().kdf_rounds(rounds)
    return private_key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, builder.build(passphrase))


def unseal_openssh(envelope: Envelope, passphrase: bytes | None) -> ec.EllipticCurvePrivateKey:
    """Decrypt a key; the caller must compare the result with the pinned public key.

    Raises:
        WrongPassphrase: (`wrong_passphrase`) when the two check numbers inside differ.
        KeyUnavailable: (`key_damaged`) when the decrypted content is not a P-256 key.
    """
    problem = "not a P-256 key"
    try:
        # Encoded again, so that the loader sees exactly the bytes that were parsed here.
        armoured = b"%b\n%b%b\n" % (OPENSSH, base64.encodebytes(envelope.sealed), _END)
        loaded = load_ssh_private_key(armoured, passphrase)
        if isinstance(loaded, ec.EllipticCurvePrivateKey):
            return loaded
    except Exception as error:  # noqa: BLE001 -- damaged files raise anything
        problem = str(error)
    # Raised outside the except block: a chained cause could contain decrypted bytes.
    if "checksum" in problem:
        raise WrongPassphrase(
            "wrong passphrase, or the key file is damaged",
            hint="try again with the passphrase that was set when the file was written",
        )
    raise _damaged()


@dataclass(frozen=True, kw_only=True, slots=True)
class ImportedKey:
    """An unlocked private key; `is_backup` means that its file was encrypted OpenSSH."""

    private_key: ec.EllipticCurvePrivateKey = field(repr=False)
    kid: str
    plaintext: bool
    is_backup: bool


def read_private_key(data: bytes, passphrase: Passphrase) -> ImportedKey:
    """Read the private key of a file: PKCS#8, SEC1 or OpenSSH, encrypted or not.

    Raises:
        KeyUnavailable: (`key_damaged`, `unsupported_key`, `example_key`, `wrong_passphrase`,
            `passphrase_needed`, `passphrase_refused`).
    """
    if data.count(b"PRIVATE KEY-----") > 2:  # noqa: PLR2004 -- one BEGIN, one END
        raise _damaged_file(
            "this file holds more than one private key",
            "save each key in its own file, then import them one at a time",
        )
    is_openssh = OPENSSH in data
    private_key, plaintext = (_openssh if is_openssh else _pem_or_der)(data, passphrase)
    kid = public_key_of(private_key).kid
    require_not_example(kid)
    return ImportedKey(
        private_key=private_key,
        kid=kid,
        plaintext=plaintext,
        is_backup=is_openssh and not plaintext,
    )


def _fields(sealed: bytes) -> tuple[bytes, bytes, bytes, bytes]:
    """Return the cipher, the key derivation, its options and the public key.

    Raises:
        ValueError: for malformed fields.
    """
    if not sealed.startswith(_MAGIC):
        raise ValueError("magic")
    cipher, rest = take_string(sealed[len(_MAGIC) :])
    kdf, rest = take_string(rest)
    options, rest = take_string(rest)
    number, rest = take_number(rest)
    if number != 1:
        raise ValueError("number of keys")
    return cipher, kdf, options, take_string(rest)[0]


def _rounds(cipher: bytes, kdf: bytes, options: bytes) -> int:
    if (cipher, kdf, options) == (b"none", b"none", b""):
        return 0
    if kdf != b"bcrypt":
        raise _unsupported(
            "this key file is not encrypted with bcrypt",
            hint="set its passphrase again with: ssh-keygen -p -a 64 -f FILE",
        )
    _salt, rest = take_string(options)
    rounds, rest = take_number(rest)
    if rest:
        raise ValueError("options")
    if not 1 <= rounds <= MAX_ROUNDS:
        raise _unsupported(
            f"this key file needs {rounds} rounds of bcrypt, but only 1 to {MAX_ROUNDS} are "
            "accepted",
            hint="if the file is yours, reduce them with: ssh-keygen -p -a 64 -f FILE",
        )
    return rounds


def _claimed_key(claimed: bytes) -> Key:
    key = key_of(claimed)
    if key is None:
        raise not_p256("this key file holds another type of key")
    return key


def _unsupported(message: str, *, hint: str) -> KeyUnavailable:
    return KeyUnavailable(message, hint=hint, code="unsupported_key")


def _damaged() -> KeyUnavailable:
    return KeyUnavailable(
        "this OpenSSH private key file is incomplete or damaged",
        hint=Hint("move it away, then restore the key: ", IMPORT),
        code="key_damaged",
    )


def _openssh(data: bytes, passphrase: Passphrase) -> tuple[ec.EllipticCurvePrivateKey, bool]:
    envelope = parse_openssh(data)
    unseal = partial(unseal_openssh, envelope)
    plaintext = envelope.is_plaintext
    key = unseal(None) if plaintext else passphrase.unlock("the key file", unseal)
    if public_key_of(key) != envelope.public_key:
        raise _damaged_file(
            "the private key in this file does not match its public key",
            "use another copy of the file",
        )
    return rebuilt(key), plaintext


def _pem_or_der(data: bytes, passphrase: Passphrase) -> tuple[ec.EllipticCurvePrivateKey, bool]:
    load = load_pem_private_key if b"-----BEGIN" in data else load_der_private_key

    def decrypt(secret: bytes) -> object:
        with suppress(Exception):  # damaged files raise anything
            return load(data, secret)
        raise WrongPassphrase(
            "wrong passphrase, or the key file is damaged",
            hint="try again with the passphrase that was set when the file was written",
        )

    loaded: object = None
    plaintext = True
    try:
        loaded = load(data, None)
    except TypeError:  # the library's error for an encrypted key
        plaintext = False
    except Exception:  # noqa: BLE001, S110 -- damaged files raise anything
        pass
    if not plaintext:
        loaded = passphrase.unlock("the key file", decrypt)
    if loaded is None:
        raise _damaged_file(
            "no readable private key in this file",
            "give a private key as PKCS#8 or SEC1 (PEM or DER), or in the OpenSSH format",
        )
    return require_p256(loaded), plaintext


def _damaged_file(message: str, hint: str) -> KeyUnavailable:
    return KeyUnavailable(message, hint=hint, code="key_damaged")
