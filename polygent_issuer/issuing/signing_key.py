"""Which key signs; whether it is there and opens is custody's business."""

from polygent_issuer.custody import require_usable
from polygent_issuer.errors import KeyUnavailable
from polygent_issuer.registry import KeyRecord, Reading, keys


class NoKey(KeyUnavailable):
    """There is no signing key yet."""

    code = "no_key"


def choose_key(db: Reading, wanted: str | None) -> KeyRecord:
    """The key named by label or kid, else the active one.

    Raises:
        NotFound, Ambiguous: (`not_found`, `ambiguous`) no such key, or several.
        NoKey: (`no_key`) when there is none at all.
        KeyUnavailable: (`key_retired`, `key_compromised`) when it shall not sign.
    """
    found = keys.active(db) if wanted is None else keys.find(db, wanted)
    if found is None:
        raise NoKey(
            "there is no signing key yet", hint="polygent-issue key generate main --backup FILE"
        )
    require_usable(found)
    return found
