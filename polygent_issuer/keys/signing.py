"""From a pinned key to its signer: whether it may sign, where it is, and unlocking it."""

from collections.abc import Callable
from datetime import timedelta
from typing import Final

from polygent_issuer.errors import IssuerError
from polygent_issuer.hints import Hint, run
from polygent_issuer.home.settings import Settings
from polygent_issuer.keys import passphrases
from polygent_issuer.keys.errors import CompromisedKey, ExampleKey, RetiredKey
from polygent_issuer.keys.passphrases import Passphrase
from polygent_issuer.keys.signer import Signer
from polygent_issuer.keys.store import Presence
from polygent_issuer.keys.stores import open_store
from polygent_issuer.registry import KeyRecord
from polygent_issuer.text import escape
from polygent_issuer.verifier.keys import EXAMPLE_KID

_OTHER_KEY: Final = Hint("use another key: ", run("key", "list"))


def signer_for(
    settings: Settings,
    key: KeyRecord,
    *,
    passphrase: Passphrase,
    warn: Callable[[str], None],
    timeout: timedelta | None = None,
) -> Signer:
    """The signer of a pinned key, unlocked; this is where prompts happen. The caller closes it.

    Args:
        settings: name the key's place; a key that they do not name is looked for in `store`.
        key: the registry's record.
        passphrase: of a key file, or the PIN of a token.
        warn: is told what is risky but not refused.
        timeout: how long each call to a keyring or a token may take; None is what the settings say.

    Raises:
        ExampleKey, RetiredKey, CompromisedKey: (`example_key`, `key_retired`, `key_compromised`)
            for keys that shall not sign.
        KeyUnavailable: each code of the key store.
    """
    require_usable(key)
    store = open_store(
        place_of(settings, key.kid),
        passphrase=passphrase,
        timeout=settings.keyring_timeout if timeout is None else timeout,
        warn=warn,
    )
    return store.load(key.public_key)


def place_of(settings: Settings, kid: str) -> str:
    """The store URI of a key's private half, as far as this operator's settings know."""
    return settings.stores.get(kid, settings.store)


def presence(settings: Settings, kid: str) -> Presence:
    """Whether this operator has a key's private half, without any prompt; never raises."""
    try:
        store = open_store(
            place_of(settings, kid),
            passphrase=passphrases.absent(),
            timeout=settings.keyring_timeout,
            warn=lambda _: None,
        )
    except IssuerError:
        return Presence.UNAVAILABLE
    return store.presence(kid)


def require_usable(key: KeyRecord) -> None:
    """Let pass only a key that may sign.

    Raises:
        ExampleKey: (`example_key`) for the published one.
        CompromisedKey: (`key_compromised`) for one that others may hold.
        RetiredKey: (`key_retired`) for one that was retired.
    """
    require_not_example(key.kid)
    if key.compromised:
        raise CompromisedKey(
            f"the key {escape(key.label)} is marked as compromised and signs no more",
            hint=_OTHER_KEY,
        )
    if key.retired_at is not None:
        raise RetiredKey(
            f"the key {escape(key.label)} is retired and signs no more", hint=_OTHER_KEY
        )


def require_not_example(kid: str) -> None:
    """Let pass any key but the published one.

    Raises:
        ExampleKey: (`example_key`) for that one.
    """
    if kid == EXAMPLE_KID:
        raise ExampleKey(
            "this is the published example key: anybody can sign with it",
            hint=Hint("make your own: ", run("key", "generate")),
        )
