"""The OpenSSH private key format (`PROTOCOL.key` of OpenSSH), as key files and backups use it.

`cryptography` encrypts and decrypts; what it does not do is look before it works. The clear part,
here the *envelope*, says how the key is encrypted and which public key it claims, so a file whose
round count would keep the machine busy for hours, or that holds another key, is refused before
anybody is asked for a passphrase. The format has no MAC: what comes out must be compared with the
pinned public key.
"""

import base64
import binascii
import re
from dataclasses import dataclass, field
from typing import Final

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PrivateFormat,
    load_ssh_private_key,
)

from polygent_issuer.hints import Hint, run
from polygent_issuer.keys.errors import KeyDamaged, UnsupportedKey, WrongPassphrase
from polygent_issuer.verifier.errors import InvalidKey
from polygent_issuer.verifier.keys import Key

ROUNDS: Final = 64
"""What we write: about 0.6 s for each guess at the passphrase."""
MAX_ROUNDS: Final = 1024
"""What we read at most: about 10 s."""
FILE_LIMIT: Final = 16 * 1024
"""The largest file that is read, in bytes; a P-256 key takes about 550."""

_ARMOUR: Final = re.compile(
    rb"-----BEGIN OPENSSH PRIVATE KEY-----\s([A-Za-z0-9+/=\s]*)-----END OPENSSH PRIVATE KEY-----"
)
_MAGIC: Final = b"openssh-key-v1\0"
_KIND: Final = b"ecdsa-sha2-nistp256"
_CURVE: Final = b"nistp256"
_NONE: Final = b"none"
_BCRYPT: Final = b"bcrypt"


@dataclass(frozen=True, kw_only=True, slots=True)
class Envelope:
    """The clear part of a key file.

    Attributes:
        public_key: what the file claims; believed only once the private half agrees.
        rounds: of bcrypt, 1 to `MAX_ROUNDS`; 0 when the key lies there in plain text.
        sealed: the decoded file.
    """

    public_key: Key
    rounds: int
    sealed: bytes = field(repr=False)

    @property
    def is_plaintext(self) -> bool:
        """Whether anybody can read the private half."""
        return self.rounds == 0


def looks_like(data: bytes) -> bool:
    """Whether a file says that it is in this format."""
    return b"-----BEGIN OPENSSH PRIVATE KEY-----" in data


def parse(data: bytes) -> Envelope:
    """Read the clear part.

    Raises:
        KeyDamaged: (`key_damaged`) when the file breaks the format.
        UnsupportedKey: (`unsupported_key`) when it holds no P-256 key, or is encrypted in a way
            or with a round count that is refused.
    """
    sealed = _dearmoured(data)
    try:
        cipher, kdf, options, claimed = _fields(sealed)
        public_key = _public_key(claimed)
        rounds = _rounds(cipher, kdf, options)
    except (ValueError, InvalidKey):
        raise _damaged() from None
    return Envelope(public_key=public_key, rounds=rounds, sealed=sealed)


def seal(private_key: ec.EllipticCurvePrivateKey, passphrase: bytes, *, rounds: int) -> bytes:
    """Encrypt a key: AES-256-CTR under bcrypt; `ssh-keygen -p` reads it.

    Args:
        private_key: on P-256.
        passphrase: at least one byte.
        rounds: of bcrypt, 1 to `MAX_ROUNDS`.
    """
    builder = PrivateFormat.OpenSSH.encryption_builder().kdf_rounds(rounds)
    return private_key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, builder.build(passphrase))


def unseal(envelope: Envelope, passphrase: bytes | None) -> ec.EllipticCurvePrivateKey:
    """Decrypt a key; the result still has to be compared with the pinned public key.

    Args:
        envelope: what `parse` gave.
        passphrase: None for a plain-text file.

    Raises:
        WrongPassphrase: (`wrong_passphrase`) when the two check numbers inside differ.
        KeyDamaged: (`key_damaged`) when it opens and what is inside is no key.
    """
    told = "no P-256 key"
    try:
        # Armoured anew, so that the loader sees exactly the bytes that were judged here.
        loaded = load_ssh_private_key(_armoured(envelope.sealed), passphrase)
        if isinstance(loaded, ec.EllipticCurvePrivateKey):
            return loaded
    except Exception as error:  # noqa: BLE001 -- damaged files raise anything
        told = str(error)
    # Raised out here: a chained cause could hold what was decrypted.
    if "checksum" in told:
        raise WrongPassphrase(
            "the passphrase does not open this key (or the file is damaged)",
            hint="try again; the passphrase is the one that was given when the file was made",
        )
    raise _damaged()


def _dearmoured(data: bytes) -> bytes:
    found = _ARMOUR.findall(data)
    if len(found) != 1:
        raise _damaged()
    try:
        return base64.b64decode(b"".join(found[0].split()), validate=True)
    except binascii.Error:
        raise _damaged() from None


def _armoured(sealed: bytes) -> bytes:
    return (
        b"-----BEGIN OPENSSH PRIVATE KEY-----\n"
        + base64.encodebytes(sealed)
        + b"-----END OPENSSH PRIVATE KEY-----\n"
    )


def _fields(sealed: bytes) -> tuple[bytes, bytes, bytes, bytes]:
    """Cipher, key derivation, its options, the public key; ValueError when they are not there."""
    if not sealed.startswith(_MAGIC):
        raise ValueError("magic")
    cipher, rest = _string(sealed[len(_MAGIC) :])
    kdf, rest = _string(rest)
    options, rest = _string(rest)
    number, rest = _number(rest)
    if number != 1:
        raise ValueError("number of keys")
    claimed, rest = _string(rest)
    return cipher, kdf, options, claimed


def _rounds(cipher: bytes, kdf: bytes, options: bytes) -> int:
    if (cipher, kdf, options) == (_NONE, _NONE, b""):
        return 0
    if kdf != _BCRYPT:
        raise UnsupportedKey("this key file is not encrypted under bcrypt")
    _salt, rest = _string(options)
    rounds, rest = _number(rest)
    if rest:
        raise ValueError("options")
    if not 1 <= rounds <= MAX_ROUNDS:
        raise UnsupportedKey(
            f"this key file asks for {rounds} rounds of bcrypt; 1 to {MAX_ROUNDS} are accepted",
            hint="if it is yours, give it fewer with: ssh-keygen -p -a 64 -f FILE",
        )
    return rounds


def _public_key(claimed: bytes) -> Key:
    kind, rest = _string(claimed)
    if kind != _KIND:
        raise UnsupportedKey("this key file holds another kind of key than P-256")
    curve, rest = _string(rest)
    point, rest = _string(rest)
    if curve != _CURVE or rest:
        raise ValueError("public key")
    return Key(point)


def _number(data: bytes) -> tuple[int, bytes]:
    if len(data) < 4:  # noqa: PLR2004 -- an uint32
        raise ValueError("short")
    return int.from_bytes(data[:4], "big"), data[4:]


def _string(data: bytes) -> tuple[bytes, bytes]:
    length, rest = _number(data)
    if length > len(rest):
        raise ValueError("short")
    return rest[:length], rest[length:]


def _damaged() -> KeyDamaged:
    return KeyDamaged(
        "this is no whole OpenSSH private key file",
        hint=Hint("move it away, then restore the key: ", run("key", "import", "BACKUP")),
    )
