"""The keys that a command signs with, unlocked."""

from collections.abc import Iterable

from polygent_issuer.cli.context import Invocation
from polygent_issuer.keystore.passphrases import Passphrase
from polygent_issuer.registry import KeyRecord
from polygent_issuer.signer import Signer


def signers_of(
    invocation: Invocation, keys: Iterable[KeyRecord], passphrase: Passphrase
) -> dict[str, Signer]:
    """The signer of each key, by kid, unlocked; this is where prompts happen.

    Raises:
        KeyUnavailable: each code of custody and of the key store.
    """
    from polygent_issuer.custody import signer_for

    signers: dict[str, Signer] = {}
    for kid, key in {key.kid: key for key in keys}.items():
        signers[kid] = signer_for(
            invocation.settings,
            key,
            passphrase=passphrase,
            timeout=invocation.settings.keyring_timeout,
            warn=invocation.warn,
        )
        invocation.closing.callback(signers[kid].close)
    return signers
