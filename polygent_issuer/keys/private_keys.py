"""Private keys as objects and as bytes: deriving the public half, comparing, reading, encoding.

A key read from anywhere is rebuilt from its private number alone, so that no stored public half
is ever believed. Errors never carry a cause: the libraries' own may quote what they read.
"""

import base64
import binascii
from collections.abc import Callable
from functools import partial
from typing import Final

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_der_private_key,
    load_pem_private_key,
)

from polygent_issuer.hints import Hint, run
from polygent_issuer.keys import openssh
from polygent_issuer.keys.errors import KeyDamaged, KeyMismatch, UnsupportedKey, WrongPassphrase
from polygent_issuer.keys.passphrases import Passphrase
from polygent_issuer.keys.signer import SoftwareSigner
from polygent_issuer.verifier.keys import Key

_READ: Final = "PKCS#8, SEC1 and OpenSSH are read, in PEM; the first two in DER also"


def public_key(private_key: ec.EllipticCurvePrivateKey) -> Key:
    """The public half, computed from the private number."""
    return Key.from_public_key(_rebuilt(private_key).public_key())


def signer(private_key: ec.EllipticCurvePrivateKey, pinned: Key) -> SoftwareSigner:
    """A signer, if this is the private half of the pinned key.

    Raises:
        KeyMismatch: (`key_mismatch`) when it is not.
    """
    found = SoftwareSigner(_rebuilt(private_key))
    if found.public_key != pinned:
        raise mismatch(found.public_key, pinned)
    return found


def mismatch(found: Key, pinned: Key) -> KeyMismatch:
    """The error that says that a store gives another key than the pinned one."""
    return KeyMismatch(
        f"the store gives the key {found.kid} where {pinned.kid} is pinned",
        hint=Hint("check the key's place in the settings: ", run("config", "show")),
    )


def to_text(private_key: ec.EllipticCurvePrivateKey) -> str:
    """PKCS#8 DER in base64, as a keyring entry holds it."""
    der = private_key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    return base64.b64encode(der).decode("ascii")


def from_text(text: str) -> ec.EllipticCurvePrivateKey:
    """The key of a keyring entry.

    Raises:
        KeyDamaged: (`key_damaged`) when the entry is no PKCS#8 DER in base64.
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
    """A private key from a file of any format that is imported, encrypted or not.

    Args:
        data: PEM or DER.
        passphrase: asked only when the file is encrypted.

    Raises:
        KeyDamaged: (`key_damaged`) when there is no private key, or more than one.
        UnsupportedKey: (`unsupported_key`) when it is not on P-256, or asks for too many rounds.
        WrongPassphrase: (`wrong_passphrase`) when the passphrase does not open it.
        PassphraseNeeded, PassphraseRefused: (`passphrase_needed`, `passphrase_refused`) when
            there is none.
    """
    if data.count(b"PRIVATE KEY-----") > 2:  # noqa: PLR2004 -- one BEGIN, one END
        raise KeyDamaged("this file holds more than one private key", hint="import them one by one")
    if openssh.looks_like(data):
        envelope = openssh.parse(data)
        unseal = partial(openssh.unseal, envelope)
        key = unseal(None) if envelope.is_plaintext else passphrase.unlock("the key file", unseal)
        return _agreed(key, envelope.public_key)
    loaded = _attempt(data, None)
    if loaded is None and _asks_for_passphrase(data):
        loaded = passphrase.unlock("the key file", partial(_decrypted, data))
    if loaded is None:
        raise KeyDamaged("this file holds no private key that can be read", hint=_READ)
    return _p256(loaded)


def is_plaintext(data: bytes) -> bool:
    """Whether a key file that can be read has no passphrase."""
    if openssh.looks_like(data):
        return openssh.parse(data).is_plaintext
    return not _asks_for_passphrase(data)


def _attempt(data: bytes, secret: bytes | None) -> object | None:
    """The key that the bytes hold; None when the library, in whatever way, refuses them."""
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


def _asks_for_passphrase(data: bytes) -> bool:
    try:
        _loader(data)(data, None)
    except TypeError:  # how the library says "encrypted"
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


def _agreed(private_key: ec.EllipticCurvePrivateKey, claimed: Key) -> ec.EllipticCurvePrivateKey:
    if public_key(private_key) != claimed:
        raise KeyDamaged(
            "the private half in this file does not belong to its public half",
            hint="take another copy of the file",
        )
    return _rebuilt(private_key)


def _rebuilt(private_key: ec.EllipticCurvePrivateKey) -> ec.EllipticCurvePrivateKey:
    return ec.derive_private_key(private_key.private_numbers().private_value, ec.SECP256R1())
