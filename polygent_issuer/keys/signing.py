"""From a pinned key to its signer: whether it may sign, where it is, and unlocking it.

Whatever a store returns is compared with the pinned public key before it may sign, and nothing of
a key or a passphrase is part of any message.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

from polygent_issuer import store_uri
from polygent_issuer.errors import IssuerError, KeyUnavailable
from polygent_issuer.hints import Hint, run
from polygent_issuer.home.settings import Settings
from polygent_issuer.keys import passphrases
from polygent_issuer.keys.passphrases import Passphrase
from polygent_issuer.keys.signer import Presence, Signer
from polygent_issuer.registry import KeyRecord
from polygent_issuer.text import escape
from polygent_issuer.verifier.keys import EXAMPLE_KID

if TYPE_CHECKING:
    from polygent_issuer.keys.file_store import FileStore
    from polygent_issuer.keys.keyring_store import KeyringStore
    from polygent_issuer.keys.pkcs11_store import Pkcs11Store


def open_store(
    settings: Settings,
    uri: str,
    *,
    passphrase: Passphrase = passphrases.NoPassphrase(),  # noqa: B008 -- it has no state
    warn: Callable[[str], None] = lambda _: None,
) -> "FileStore | KeyringStore | Pkcs11Store":
    """Return the store of a URI; nothing is read or asked yet.

    Args:
        settings: say how long a keyring or a token may take to answer.
        passphrase: of key files, and the PIN of tokens; the keyring asks for its own.

    Raises:
        InvalidStore: (`invalid_store`) for another URI than `keyring:`, `file:PATH`, `pkcs11:…`.
        KeyUnavailable: (`unsafe_backend`, `keyring_absent`) as `keyring_backends.make`.
    """
    place, timeout = store_uri.parse(uri), settings.keyring_timeout
    # Each is imported where it is used: most commands need one of the three, and keyring is slow.
    if isinstance(place, store_uri.FileLocation):
        from polygent_issuer.keys.file_store import FileStore  # noqa: PLC0415 -- as above

        return FileStore(place, passphrase=passphrase, warn=warn)
    if isinstance(place, store_uri.TokenUri):
        from polygent_issuer.keys.pkcs11_store import Pkcs11Store  # noqa: PLC0415 -- as above

        return Pkcs11Store(place, passphrase=passphrase, timeout=timeout, warn=warn)
    from polygent_issuer.keys import keyring_backends  # noqa: PLC0415 -- as above
    from polygent_issuer.keys.keyring_store import KeyringStore  # noqa: PLC0415 -- as above

    return KeyringStore(timeout=timeout, keyrings=keyring_backends.for_platform())


def signer_for(
    settings: Settings, key: KeyRecord, *, passphrase: Passphrase, warn: Callable[[str], None]
) -> Signer:
    """Unlock a pinned key; this is where prompts happen. The caller closes the signer.

    Raises:
        KeyUnavailable: as `require_usable`; each code of the key store.
    """
    require_usable(key)
    store = open_store(settings, place_of(settings, key.kid), passphrase=passphrase, warn=warn)
    return store.load(key.public_key)


def place_of(settings: Settings, kid: str) -> str:
    """Return the store URI of a private key, according to this operator's settings."""
    return settings.stores.get(kid, settings.store)


def presence(settings: Settings, kid: str) -> Presence:
    """Return whether this operator has a private key, without any prompt; never raises."""
    try:
        store = open_store(settings, place_of(settings, kid))
    except IssuerError:
        return Presence.UNAVAILABLE
    return store.presence(kid)


def require_usable(key: KeyRecord) -> None:
    """Check that a key may sign.

    Raises:
        KeyUnavailable: (`example_key`, `key_compromised`, `key_retired`).
    """
    require_not_example(key.kid)
    if key.compromised:
        state, code = "marked as compromised", "key_compromised"
    elif key.retired_at is not None:
        state, code = "retired", "key_retired"
    else:
        return
    message = f"the key {escape(key.label)} is {state} and signs no more"
    raise KeyUnavailable(message, hint=Hint("use another key: ", run("key", "list")), code=code)


def require_not_example(kid: str) -> None:
    """Check that a key is not the published one.

    Raises:
        KeyUnavailable: (`example_key`) when it is.
    """
    if kid == EXAMPLE_KID:
        raise KeyUnavailable(
            "this is the published example key: anybody can sign with it",
            hint=Hint("make your own: ", run("key", "generate")),
            code="example_key",
        )
