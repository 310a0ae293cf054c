"""Which key signs; whether it is there and opens is custody's business."""

from polygent_issuer.custody import require_usable, signing_command
from polygent_issuer.errors import KeyUnavailable
from polygent_issuer.registry import KeyRecord, Reading, keys


class NoKey(KeyUnavailable):
    """No key signs: there is none yet, or none is chosen since the last one was compromised."""

    code = "no_key"


def choose_key(db: Reading, wanted: str | None) -> KeyRecord:
    """The key named by label or kid, else the active one.

    Raises:
        NotFound, Ambiguous: (`not_found`, `ambiguous`) no such key, or several.
        NoKey: (`no_key`) when none was named and none is active.
        KeyUnavailable: (`key_retired`, `key_compromised`) when it shall not sign.
    """
    found = keys.active(db) if wanted is None else keys.find(db, wanted)
    if found is None:
        known = keys.every(db)
        none = "no key is chosen to sign" if known else "there is no signing key yet"
        raise NoKey(none, hint=signing_command(known))
    require_usable(found)
    return found
