"""Where private halves live: the operating system's keyring, an encrypted file, a hardware token.

`open_store` takes a store URI (`keyring:`, `file:PATH`, `pkcs11:…`) and gives a `KeyStore`.
Whatever a store gives is compared with the pinned public key before it may sign, and nothing of a
key or a passphrase is part of any message.
"""

from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING

from polygent_issuer import store_uri
from polygent_issuer.keys.passphrases import Passphrase
from polygent_issuer.keys.store import KeyStore, Presence
from polygent_issuer.store_uri import TokenUri

if TYPE_CHECKING:
    from polygent_issuer.keys.file_store import FileStore
    from polygent_issuer.keys.keyring_store import KeyringStore
    from polygent_issuer.keys.pkcs11_store import Pkcs11Store


__all__ = ["KeyStore", "Passphrase", "Presence", "open_store"]


def open_store(
    uri: str, *, passphrase: Passphrase, timeout: timedelta, warn: Callable[[str], None]
) -> "FileStore | KeyringStore | Pkcs11Store":
    """The store that a URI names; nothing is read or asked yet.

    Args:
        uri: `keyring:`, `file:PATH` or `pkcs11:…`.
        passphrase: of key files, and the PIN of tokens; the keyring asks for its own.
        timeout: how long each call to a keyring or a token may take.
        warn: is told what is risky but not refused.

    Raises:
        InvalidStore: (`invalid_store`) for another URI.
        UnsafeBackend: (`unsafe_backend`) when the environment has bent the keyring's backend.
        KeyringAbsent: (`keyring_absent`) when the backend is not installed.
    """
    place = store_uri.parse(uri)
    if isinstance(place, store_uri.FileLocation):
        from polygent_issuer.keys.file_store import FileStore  # noqa: PLC0415 -- one of three

        return FileStore(place, passphrase=passphrase, warn=warn)
    if isinstance(place, TokenUri):
        from polygent_issuer.keys.pkcs11_store import Pkcs11Store  # noqa: PLC0415 -- likewise

        return Pkcs11Store(place, passphrase=passphrase, timeout=timeout, warn=warn)
    from polygent_issuer.keys import keyring_backends  # noqa: PLC0415 -- keyring is slow to import
    from polygent_issuer.keys.keyring_store import KeyringStore  # noqa: PLC0415 -- likewise

    return KeyringStore(timeout=timeout, vaults=keyring_backends.for_platform())
