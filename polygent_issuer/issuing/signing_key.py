"""Which key signs; that it can is custody's business."""

from polygent_issuer.errors import NotFound
from polygent_issuer.registry import KeyRecord, Reading, keys


def choose_key(db: Reading, wanted: str | None) -> KeyRecord:
    """The key named by label or kid, else the active one.

    Raises:
        NotFound, Ambiguous: (`not_found`, `ambiguous`) no such key, or none at all.
    """
    if wanted is not None:
        return keys.find(db, wanted)
    active = keys.active(db)
    if active is None:
        raise NotFound(
            "there is no signing key yet", hint="polygent-issue key generate LABEL --backup FILE"
        )
    return active
