"""Keys as text and JSON: the public key, and the place of the private key."""

from collections.abc import Iterable
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from polygent_issuer.cli.output.blocks import Block, Line
from polygent_issuer.keys.rotation import label_words
from polygent_issuer.keys.signer import Presence
from polygent_issuer.registry import KeyRecord
from polygent_issuer.store_uri import is_service, stays
from polygent_issuer.terms import dates
from polygent_issuer.text import Hint, run

if TYPE_CHECKING:
    from polygent_issuer.keys.backups import Backup

EXPORT_ALL: Final = run(
    "key", "export-public", "--all", "--format", "jwks", "--output", "keys.json"
)
"""The command that exports the set of keys for servers."""

_HERE: Final = {
    Presence.PRESENT: "present",
    Presence.LOCKED: "its keyring is locked",
    Presence.UNAVAILABLE: "its key store is unavailable",
}


def key_json(key: KeyRecord, store: str) -> dict[str, Any]:
    """Return a key as JSON; `store` is where this operator keeps its private key."""
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


def backup_state(key: KeyRecord) -> str:
    """Return the time of the last backup."""
    return dates.optional_instant(key.backed_up_at) or "none"


def backup_json(backup: "Backup") -> dict[str, Any]:
    """Return a recorded backup as JSON."""
    presence = str(backup.presence)
    return {"file": str(backup.path), "presence": presence, "same_disk": backup.same_disk}


def backup_lines(key: KeyRecord, backups: "Iterable[Backup]") -> Iterable[Block]:
    """Yield a warning for each backup at risk, or how to record the place of an older one."""
    backups = tuple(backups)
    for backup in backups:
        if backup.risk is not None:
            yield Line(f"the backup {backup.path} {backup.risk}", "warn")
    if key.backed_up_at is not None and not backups:
        check = run("key", "backup", "--check", *label_words(key.label), "FILE")
        yield Line(Hint("the place of the backup is not recorded; to record it: ", check), "dim")


def brief_place(store: str) -> str:
    """Return a store for a table, without the path of a module or a socket."""
    return store.partition("?")[0] if stays(store) else store


def whereabouts(key: KeyRecord, store: str, presence: Presence) -> str:
    """Return where this operator keeps the private key, and whether it is there."""
    lost = Hint("missing", way_back(key, store) if key.may_sign else "")
    return Hint(f"{store} (", _HERE.get(presence, lost), ")")


def no_server_needs(last_end: datetime | None, now: datetime) -> str:
    """Return when servers may remove a key that signed no current license.

    The last license that it signed expires at `last_end`. Until then a server may still use it.
    """
    if last_end is None:
        return "no license was ever signed with it: servers may remove its public key"
    if last_end <= now:
        return "every license signed with it has expired: servers may remove its public key"
    return (
        "no current license is signed with it: a server that has a license signed with another key "
        f"may remove its public key now, every other server from {dates.instant(last_end)} on"
    )


def way_back(key: KeyRecord, store: str) -> str:
    """Return the end of a sentence about a private key that is not in its store: what to do."""
    if is_service(store):
        from polygent_issuer.store_uri.remote import REMOTE

        return f"; {REMOTE[store.partition(':')[0]].missing}"
    if key.backed_up_at is None:
        return ", and no backup is recorded"
    return Hint("; to restore it from its backup: ", run("key", "import", "BACKUP"))
