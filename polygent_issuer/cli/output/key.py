"""How keys look: their public side, and where the private one is."""

from datetime import datetime
from typing import Any, Final

from polygent_issuer.keys.signer import Presence
from polygent_issuer.registry import KeyRecord
from polygent_issuer.store_uri import is_token_uri
from polygent_issuer.terms import dates

EXPORT_ALL: Final = "polygent-issue key export-public --all --format jwks --output keys.json"
"""The command that makes the set of keys that servers are to trust."""

_HERE: Final = {
    Presence.PRESENT: "there",
    Presence.LOCKED: "its keyring is locked",
    Presence.UNAVAILABLE: "its store cannot be asked",
}


def key_json(key: KeyRecord, store: str) -> dict[str, Any]:
    """Return a key for programs; `store` is where this operator has its private half."""
    return {
        "kid": key.kid,
        "label": key.label,
        "active": key.active,
        "store": store,
        "created_at": dates.instant(key.created_at),
        "backed_up_at": dates.optional_instant(key.backed_up_at),
        "retired_at": dates.optional_instant(key.retired_at),
        "compromised": key.compromised,
    }


def key_state(key: KeyRecord) -> str:
    """Return what the key is good for, in a word or two."""
    if key.compromised:
        return "compromised"
    if key.retired_at is not None:
        return "retired"
    return "active" if key.active else "standby"


def backup_state(key: KeyRecord) -> str:
    """Return when it was last backed up."""
    return dates.optional_instant(key.backed_up_at) or "none"


def brief_place(store: str) -> str:
    """Return a store for a table: of a key in a token, without the module's path."""
    return store.partition("?")[0] if is_token_uri(store) else store


def whereabouts(key: KeyRecord, store: str, presence: Presence) -> str:
    """Return where this operator has the private half, and whether it is there."""
    here = _HERE.get(presence) or ("not there" if not key.may_sign else f"not there{way_back(key)}")
    return f"{store} ({here})"


def no_server_needs(last_end: datetime | None, now: datetime) -> str:
    """Return from when on servers may drop a key under which no license is current.

    The last file under it ends at `last_end`: where a server has not the next one, it runs on.
    """
    if last_end is None:
        return "nothing was ever signed with it: servers may drop its public half"
    if last_end <= now:
        return "every file under it has expired: servers may drop its public half"
    return (
        "no current license is signed with it: a server may drop its public half once the file "
        f"installed there is of another key, and any server from {dates.instant(last_end)} on"
    )


def way_back(key: KeyRecord) -> str:
    """Return how a private half comes back that is not in its place; it ends a sentence on that."""
    if key.backed_up_at is None:
        return ", and no backup was noted"
    return ": polygent-issue key import BACKUP takes it from its backup"
