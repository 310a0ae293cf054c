"""Private keys as objects and as bytes: reading, encoding, comparing with the pinned public key.

A key read from anywhere is rebuilt from its private number alone, so that no stored public key is
ever believed. Errors never carry a cause: the libraries' own may quote what they read.

Key files and backups are in the OpenSSH private key format (`PROTOCOL.key` of OpenSSH).
`cryptography` encrypts and decrypts; what it does not do is look before it works. The clear part,
here the *envelope*, states how the key is encrypted and which public key it claims, so a file with
a round count that would keep the machine busy for hours, or with another key, is refused before a
passphrase is asked for. The format has no MAC: the result must be compared with the pinned key.
"""

import base64
import binascii
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_der_private_key,
    load_pem_private_key,
    load_ssh_private_key,
)

from polygent_issuer.hints import Hint, run
from polygent_issuer.keys.errors import KeyDamaged, KeyMismatch, UnsupportedKey, WrongPassphrase
from polygent_issuer.keys.passphrases import Passphrase
from polygent_issuer.keys.signer import SoftwareSigner
from polygent_issuer.verifier.errors import InvalidKey
from polygent_issuer.verifier.keys import Key

ROUNDS: Final = 64
"""Rounds of bcrypt in new files: about 0.6 s for each guess at the passphrase."""
MAX_ROUNDS: Final = 1024
"""Most rounds that are read: about 10 s."""
FILE_LIMIT: Final = 16 * 1024
"""The largest file that is read, in bytes; a P-256 key takes about 550."""

_BEGIN: Final = b"-----BEGIN OPENSSH PRIVATE KEY-----"
_END: Final = b"-----END OPENSSH PRIVATE KEY-----"
_ARMOUR: Final = re.compile(_BEGIN + rb"\s([A-Za-z0-9+/=\s]*)" + _END)
_MAGIC: Final = b"openssh-key-v1\0"


def public_key(private_key: ec.EllipticCurvePrivateKey) -> Key:
    """Return the public key, computed from the private number."""
    return Key.from_public_key(_rebuilt(private_key).public_key())


def signer(private_key: ec.EllipticCurvePrivateKey, pinned: Key) -> SoftwareSigner:
    """Return a signer, if this is the private key of the pinned one.

    Raises:
        KeyMismatch: (`key_mismatch`) when it is not.
    """
    result = SoftwareSigner(_rebuilt(private_key))
    if result.public_key != pinned:
        raise mismatch(result.public_key, pinned)
    return result


def mismatch(stored: Key, pinned: Key) -> KeyMismatch:
    """Return the error for a store that has another key than the pinned one."""
    return KeyMismatch(
        f"the store gives the key {stored.kid} where {pinned.kid} is pinned",
        hint=Hint("check the key's place in the settings: ", run("config", "show")),
    )


def to_text(private_key: ec.EllipticCurvePrivateKey) -> str:
    """Encode a key for a keyring entry: PKCS#8 DER in base64."""
    der = private_key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    return base64.b64encode(der).decode("ascii")


def from_text(text: str) -> ec.EllipticCurvePrivateKey:
    """Decode the key of a keyring entry.

    Raises:
        KeyDamaged: (`key_damaged`) when the entry is not PKCS#8 DER in base64.
        UnsupportedKey: (`unsupported_key`) when it is another kind of key.
    """
    try:
        der = base64.b64decode(text.encode("ascii"), validate=True)
    except (UnicodeEncodeError, binascii.Error):
        der = b""
    loaded = _attempt(der, None)
    if loaded is None:
        raise KeyDamaged(
            "the keyring's entry is no private key",
            hint=Hint("restore the key from its backup: ", run("key", "import", "BACKUP")),
        )
    return _p256(loaded)


def read(data: bytes, passphrase: Passphrase) -> ec.EllipticCurvePrivateKey:
    """Read a private key from a file of any format that is imported, encrypted or not.

    Args:
        data: PEM or DER.
        passphrase: asked only when the file is encrypted.

    Raises:
        KeyDamaged: (`key_damaged`) when there is no private key, or more than one.
        UnsupportedKey: (`unsupported_key`) when it is not on P-256, or asks for too many rounds.
        WrongPassphrase: (`wrong_passphrase`) when the passphrase does not open it.
        PassphraseNeeded, PassphraseRefused: (`passphrase_needed`, `passphrase_refused`).
    """
    if data.count(b"PRIVATE KEY-----") > 2:  # noqa: PLR2004 -- one BEGIN, one END
        raise KeyDamaged("this file holds more than one private key", hint="import them one by one")
    if is_openssh(data):
        envelope = parse_openssh(data)
        unseal = partial(unseal_openssh, envelope)
        key = unseal(None) if envelope.is_plaintext else passphrase.unlock("the key file", unseal)
        if public_key(key) != envelope.public_key:
            raise KeyDamaged(
                "the private half in this file does not belong to its public half",
                hint="take another copy of the file",
            )
        return _rebuilt(key)
    loaded = _attempt(data, None)
    if loaded is None and _is_encrypted(data):
        loaded = passphrase.unlock("the key file", partial(_decrypted, data))
    if loaded is None:
        raise KeyDamaged(
            "this file holds no private key that can be read",
            hint="PKCS#8, SEC1 and OpenSSH are read, in PEM; the first two in DER also",
        )
    return _p256(loaded)


def is_plaintext(data: bytes) -> bool:
    """Return whether a key file that can be read has no passphrase."""
    return parse_openssh(data).is_plaintext if is_openssh(data) else not _is_encrypted(data)


def _attempt(data: bytes, secret: bytes | None) -> object | None:
    """Load a key; None when the library, in whatever way, refuses the bytes."""
    try:
        return _loader(data)(data, secret)
    except Exception:  # noqa: BLE001 -- damaged files raise anything
        return None


def _decrypted(data: bytes, secret: bytes) -> object:
    loaded = _attempt(data, secret)
    if loaded is None:
        raise WrongPassphrase(
            "the passphrase does not open this key (or the file is damaged)", hint="try again"
        )
    return loaded


def _is_encrypted(data: bytes) -> bool:
    try:
        _loader(data)(data, None)
    except TypeError:  # how the library reports an encrypted key
        return True
    except Exception:  # noqa: BLE001 -- damaged files raise anything
        return False
    return False


def _loader(data: bytes) -> Callable[[bytes, bytes | None], object]:
    return load_pem_private_key if b"-----BEGIN" in data else load_der_private_key


def _p256(loaded: object) -> ec.EllipticCurvePrivateKey:
    if not isinstance(loaded, ec.EllipticCurvePrivateKey) or loaded.curve.name != "secp256r1":
        raise UnsupportedKey(
            "a signing key is on P-256, and this is another kind of key",
            hint=Hint("make one with: ", run("key", "generate")),
        )
    return _rebuilt(loaded)


def _rebuilt(private_key: ec.EllipticCurvePrivateKey) -> ec.EllipticCurvePrivateKey:
    return ec.derive_private_key(private_key.private_numbers().private_value, ec.SECP256R1())


@dataclass(frozen=True, kw_only=True, slots=True)
class Envelope:
    """The clear part of an OpenSSH key file.

    Attributes:
        public_key: what the file claims; to be compared with the private key.
        rounds: of bcrypt, 1 to `MAX_ROUNDS`; 0 when the key is not encrypted.
        sealed: the decoded file.
    """

    public_key: Key
    rounds: int
    sealed: bytes = field(repr=False)

    @property
    def is_plaintext(self) -> bool:
        """Whether the private key is not encrypted."""
        return self.rounds == 0


def is_openssh(data: bytes) -> bool:
    """Return whether a file claims to be in the OpenSSH format."""
    return _BEGIN in data


def parse_openssh(data: bytes) -> Envelope:
    """Read the clear part of an OpenSSH key file.

    Raises:
        KeyDamaged: (`key_damaged`) when the file breaks the format.
        UnsupportedKey: (`unsupported_key`) when it holds no P-256 key, or is encrypted in a way
            or with a round count that is refused.
    """
    try:
        (text,) = _ARMOUR.findall(data)
        sealed = base64.b64decode(b"".join(text.split()), validate=True)
        cipher, kdf, options, claimed = _fields(sealed)
        return Envelope(
            public_key=_claimed_key(claimed), rounds=_rounds(cipher, kdf, options), sealed=sealed
        )
    except (ValueError, InvalidKey):  # binascii.Error is a ValueError
        raise _damaged() from None


def seal_openssh(
    private_key: ec.EllipticCurvePrivateKey, passphrase: bytes, *, rounds: int
) -> bytes:
    """Encrypt a P-256 key: AES-256-CTR under bcrypt; `ssh-keygen -p` reads it.

    Args:
        private_key: on P-256.
        passphrase: at least one byte.
        rounds: of bcrypt, 1 to `MAX_ROUNDS`.
    """
    builder = PrivateFormat.OpenSSH.encryption_builder().kdf_rounds(rounds)
    return private_key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, builder.build(passphrase))


def unseal_openssh(envelope: Envelope, passphrase: bytes | None) -> ec.EllipticCurvePrivateKey:
    """Decrypt a key; the result still has to be compared with the pinned public key.

    Args:
        envelope: from `parse_openssh`.
        passphrase: None for a file that is not encrypted.

    Raises:
        WrongPassphrase: (`wrong_passphrase`) when the two check numbers inside differ.
        KeyDamaged: (`key_damaged`) when it opens and does not contain a key.
    """
    problem = "no P-256 key"
    try:
        # Armoured anew, so that the loader sees exactly the bytes that were parsed here.
        armoured = b"%b\n%b%b\n" % (_BEGIN, base64.encodebytes(envelope.sealed), _END)
        loaded = load_ssh_private_key(armoured, passphrase)
        if isinstance(loaded, ec.EllipticCurvePrivateKey):
            return loaded
    except Exception as error:  # noqa: BLE001 -- damaged files raise anything
        problem = str(error)
    # Raised out here: a chained cause could hold what was decrypted.
    if "checksum" in problem:
        raise WrongPassphrase(
            "the passphrase does not open this key (or the file is damaged)",
            hint="try again; the passphrase is the one that was given when the file was made",
        )
    raise _damaged()


def _fields(sealed: bytes) -> tuple[bytes, bytes, bytes, bytes]:
    """Return cipher, key derivation, its options, the public key; ValueError without them."""
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
    if (cipher, kdf, options) == (b"none", b"none", b""):
        return 0
    if kdf != b"bcrypt":
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


def _claimed_key(claimed: bytes) -> Key:
    kind, rest = _string(claimed)
    if kind != b"ecdsa-sha2-nistp256":
        raise UnsupportedKey("this key file holds another kind of key than P-256")
    curve, rest = _string(rest)
    point, rest = _string(rest)
    if curve != b"nistp256" or rest:
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
