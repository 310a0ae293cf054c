"""Read a private key from a file to import: PKCS#8, SEC1 or OpenSSH, encrypted or not."""

from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_der_private_key, load_pem_private_key

from polygent_issuer.errors import KeyUnavailable
from polygent_issuer.keys.openssh import OPENSSH, parse_openssh, unseal_openssh
from polygent_issuer.keys.passphrases import Passphrase, WrongPassphrase
from polygent_issuer.keys.signer import public_key_of, rebuilt, require_p256
from polygent_issuer.keys.signing import require_not_example


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
        raise _damaged(
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


def _openssh(data: bytes, passphrase: Passphrase) -> tuple[ec.EllipticCurvePrivateKey, bool]:
    envelope = parse_openssh(data)
    unseal = partial(unseal_openssh, envelope)
    plaintext = envelope.is_plaintext
    key = unseal(None) if plaintext else passphrase.unlock("the key file", unseal)
    if public_key_of(key) != envelope.public_key:
        raise _damaged(
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
        raise _damaged(
            "no readable private key in this file",
            "give a private key as PKCS#8 or SEC1 (PEM or DER), or in the OpenSSH format",
        )
    return require_p256(loaded), plaintext


def _damaged(message: str, hint: str) -> KeyUnavailable:
    return KeyUnavailable(message, hint=hint, code="key_damaged")
