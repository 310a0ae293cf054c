"""The key store of a pinned key, by its place in the operator's settings.

A key from a store is compared with the pinned public key before it can sign. No message contains
any part of a private key or a passphrase.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from polygent_issuer import store_uri
from polygent_issuer.errors import IssuerError, KeyUnavailable
from polygent_issuer.home.settings import Settings
from polygent_issuer.keys import passphrases
from polygent_issuer.keys.passphrases import Passphrase
from polygent_issuer.keys.signer import IMPORT, Presence, Signer, require_not_example
from polygent_issuer.registry import KeyRecord
from polygent_issuer.text import Hint, escape, run

if TYPE_CHECKING:
    from polygent_issuer.keys.file_store import FileStore
    from polygent_issuer.keys.keyring_store import KeyringStore
    from polygent_issuer.keys.pkcs11_store import Pkcs11Store
    from polygent_issuer.keys.remote import RemoteStore, Service
    from polygent_issuer.store_uri.remote import RemoteUri


LOST: Final = Hint(
    "if it has a backup: ",
    IMPORT,
    "; otherwise installed licenses keep working, and servers need a new public key before the "
    "next renewal: ",
    run("help", "runbooks"),
)
"""The hint for a missing key without a recorded backup."""


def open_store(
    settings: Settings,
    uri: str,
    *,
    passphrase: Passphrase = passphrases.NoPassphrase(),  # noqa: B008 -- it has no state
    warn: Callable[[str], None] = lambda _: None,
) -> "FileStore | KeyringStore | Pkcs11Store | RemoteStore":
    """Return the store of a URI; nothing is read yet.

    Args:
        settings: for the timeout of keyrings, tokens and services.
        passphrase: of key files, or the PIN of a token; a keyring has its own prompt.

    Raises:
        InvalidStore: (`invalid_store`) for another text than a store URI.
        KeyUnavailable: (`unsafe_backend`, `keyring_absent`) as `keyring_backends.make`;
            (`remote_library_missing`) without the extra of a service.
    """
    place, timeout = store_uri.parse(uri), settings.keyring_timeout
    # Imported where they are used: most commands need only one, and keyring is slow to import.
    if isinstance(place, store_uri.FileLocation):
        from polygent_issuer.keys.file_store import FileStore  # noqa: PLC0415 -- as above

        return FileStore(place, passphrase=passphrase, warn=warn)
    if isinstance(place, store_uri.KeyringLocation):
        from polygent_issuer.keys import keyring_backends  # noqa: PLC0415 -- as above
        from polygent_issuer.keys.keyring_store import KeyringStore  # noqa: PLC0415 -- as above

        return KeyringStore(timeout=timeout, keyrings=keyring_backends.for_platform())
    from polygent_issuer.store_uri.token import TokenUri  # noqa: PLC0415 -- as above

    if isinstance(place, TokenUri):
        from polygent_issuer.keys.pkcs11_store import Pkcs11Store  # noqa: PLC0415 -- as above

        return Pkcs11Store(place, passphrase=passphrase, timeout=timeout, warn=warn)
    from polygent_issuer.keys.remote import RemoteStore  # noqa: PLC0415 -- as above

    return RemoteStore(place, _service(place, timeout, warn), timeout=timeout)


def _service(place: "RemoteUri", timeout: timedelta, warn: Callable[[str], None]) -> "Service":
    """Return the service of a remote key; nothing is called yet.

    Raises:
        KeyUnavailable: (`remote_library_missing`) without the extra of the service.
    """
    if place.scheme.name == "vault":
        from polygent_issuer.keys.vault_store import Vault  # noqa: PLC0415 -- as in `open_store`

        return Vault(place, timeout=timeout, warn=warn)
    if place.scheme.name == "awskms":
        from polygent_issuer.keys.awskms_store import AwsKms  # noqa: PLC0415 -- as in `open_store`

        return AwsKms(place, timeout=timeout)
    from polygent_issuer.keys.agent_store import Agent  # noqa: PLC0415 -- as in `open_store`

    return Agent(place, timeout=timeout)


def signer_for(
    settings: Settings, key: KeyRecord, *, passphrase: Passphrase, warn: Callable[[str], None]
) -> Signer:
    """Unlock a pinned key, perhaps with a prompt. The caller closes the signer.

    Raises:
        KeyUnavailable: as `require_usable`; each code of the key store.
    """
    require_usable(key)
    store = open_store(settings, place_of(settings, key.kid), passphrase=passphrase, warn=warn)
    with explaining_loss(settings, key):
        return store.load(key.public_key)


@contextmanager
def explaining_loss(settings: Settings, key: KeyRecord) -> Iterator[None]:
    """Add to the error of a missing key where its backup is, or what follows without one."""
    try:
        yield
    except KeyUnavailable as missing:
        is_service = store_uri.is_service(place_of(settings, key.kid))
        if missing.code != "no_such_key" or is_service:  # which states itself what to do
            raise
        places = settings.backups.get(key.kid, ())
        message, hint = missing.message, missing.hint
        if present := [path for path in places if os.path.lexists(path)]:
            restore = run("key", "import", str(present[-1]))
            hint = Hint("restore it from its backup: ", restore)
        elif not has_backup(settings, key):
            state = "its backup is out of reach" if places else "no backup is recorded"
            message, hint = f"{message}, and {state}", LOST
        raise KeyUnavailable(message, hint=hint, code=missing.code) from None


def has_backup(settings: Settings, key: KeyRecord) -> bool:
    """Return whether a key has a backup: at a recorded place, or else at one that is unknown."""
    places = settings.backups.get(key.kid, ())
    return any(map(os.path.lexists, places)) if places else key.backed_up_at is not None


def place_of(settings: Settings, kid: str) -> str:
    """Return the store URI of a private key in the operator's settings."""
    return settings.stores.get(kid, settings.store)


def presence(settings: Settings, kid: str) -> Presence:
    """Return whether the operator has a private key, without a prompt; never raises."""
    try:
        store = open_store(settings, place_of(settings, kid))
    except IssuerError:
        return Presence.UNAVAILABLE
    return store.presence(kid)


def require_present(settings: Settings, key: KeyRecord) -> None:
    """Check, without a prompt, that the operator has a private key, as far as that is visible.

    Raises:
        KeyUnavailable: (`no_such_key`, `key_unavailable`) it is absent, or its store does not
            answer.
        IssuerError: each code of `open_store`.
    """
    place = place_of(settings, key.kid)
    present = open_store(settings, place).presence(key.kid)
    if present in (Presence.PRESENT, Presence.LOCKED):
        return
    absent = present is Presence.ABSENT
    raise KeyUnavailable(
        f"the key {escape(key.label)} is not in its key store, {escape(place)}"
        if absent
        else f"the key store of {escape(key.label)} is not available: {escape(place)}",
        hint=Hint("check it: ", run("doctor")),
        code="no_such_key" if absent else None,
    )


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
    message = f"the key {escape(key.label)} is {state} and can no longer sign"
    hint = Hint("use another key; to see all keys: ", run("key", "list"))
    raise KeyUnavailable(message, hint=hint, code=code)
