"""Signing keys: their pinned public keys, their labels, the active one, and compromised ones."""

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from polygent_issuer.registry.customers import require_text
from polygent_issuer.registry.errors import Taken, ambiguous, not_found
from polygent_issuer.registry.licenses import CURRENT
from polygent_issuer.registry.reading import Reading
from polygent_issuer.registry.records import (
    KeyRecord,
    KeyUse,
    Value,
    moment,
    moment_text,
    reader,
    seconds,
    text,
)
from polygent_issuer.registry.writing import Writing
from polygent_issuer.terms import dates
from polygent_issuer.text import Hint, escape, escape_short, nearest, option, run

if TYPE_CHECKING:
    from polygent_issuer.verifier.keys import Key, KeySet

_SHORTEST: Final = 4  # shorter beginnings could match a key by chance
_USES: Final = f"""SELECT kid, count(*) AS licenses,
    count(*) FILTER (WHERE {CURRENT}) AS current, max(expires_at) AS last_end
    FROM licenses GROUP BY kid"""  # noqa: S608  # a condition of our own
_LEAKED: Final = """SELECT at FROM journal WHERE at >= ? AND event = 'key-compromised' AND kid = ?
    ORDER BY at LIMIT 1"""
_key: Final = reader(KeyRecord)
_use: Final = reader(KeyUse, last_end=seconds)


def every(db: Reading) -> tuple[KeyRecord, ...]:
    """Return all keys, oldest first; `registry_damaged` if one was changed or is missing."""
    if db.all_keys is None:
        rows = db.row_check.every_key()
        db.require_every_recorded("keys", None)
        built = (db.build(_key, "keys", row) for row in rows)
        known = tuple(sorted(built, key=lambda key: (key.created_at, key.kid)))
        for key in known:
            db.require_recorded("keys", key.kid)
        db.all_keys = known
    return db.all_keys


def find(db: Reading, typed: str) -> KeyRecord:
    """Return the key with a label, a kid, or an unambiguous beginning of a kid.

    Raises:
        NotFound: (`not_found`) without a match; the hint names the most similar label.
        Ambiguous: (`ambiguous`) when several kids match; the hint lists them.
    """
    known = every(db)
    for key in known:
        if typed in (key.label, key.kid):
            return key
    matches = sorted(
        (key for key in known if len(typed) >= _SHORTEST and key.kid.startswith(typed)),
        key=lambda key: key.kid,
    )
    if len(matches) > 1:
        names = [f"{key.label} ({key.kid})" for key in matches]
        raise ambiguous(f"several keys begin with {escape(typed)}", names)
    if matches:
        return matches[0]
    if not known:
        raise not_found("the registry has no signing key yet", None, run("key", "generate"))
    suggestion = nearest(typed, [key.label for key in known])
    raise not_found(f"unknown key {escape(typed)}", suggestion, run("key", "list"))


def pinned(db: Reading, kid: str) -> KeyRecord:
    """Return the key that a license names; `registry_damaged` if it is missing."""
    key = next((key for key in every(db) if key.kid == kid), None)
    if key is None:
        raise db.damaged(f"lacks the key {escape_short(kid)} of a license")
    return key


def active(db: Reading) -> KeyRecord | None:
    """Return the active key, if there is one."""
    return next((key for key in every(db) if key.active), None)


def uses(db: Reading) -> Mapping[str, KeyUse]:
    """Return the use of each key, by kid; a key that signed nothing is left out."""
    return dict(db.each(lambda row: (text(row["kid"]), _use(row)), _USES))


def compromised_since(db: Reading, key: KeyRecord) -> datetime | None:
    """Return the instant since which a key is marked as compromised; None if it is not."""
    if not key.compromised or key.retired_at is None:
        return None
    # A compromised key is retired at the same time, or was before. A registry that was rebuilt from
    # files only has the retirement.
    params = (moment_text(key.retired_at), key.kid)
    return db.value(moment, _LEAKED, params) or key.retired_at


def add(db: Writing, *, key: "Key", label: str) -> KeyRecord:
    """Pin a public key; the first one becomes active. `taken` if the key or the label exists."""
    require_text("label", label, hint="choose another label")
    known = every(db)
    for other in known:
        if key.kid == other.kid:
            raise Taken(f"the registry already contains the key {key.kid}, as {other.label}")
        if label in (other.label, other.kid):
            raise Taken(
                f"the label {label} is already used by another key",
                hint=Hint("choose another ", option("--label")),
            )
    db.insert(
        "keys",
        kid=key.kid,
        label=label,
        public_pem=key.to_pem(),
        created_at=db.at,
        active=0 if known else 1,
        compromised=0,
    )
    return find(db, key.kid)


def activate(db: Writing, kid: str) -> KeyRecord:
    """Make this key the active one; `registry_misuse` for a retired key."""
    key = find(db, kid)
    present = active(db)
    if present is not None:
        db.update("keys", present.kid, active=0)
    db.update("keys", key.kid, active=1)
    return find(db, key.kid)


def retire(db: Writing, kid: str, *, compromised: bool = False) -> KeyRecord:
    """Retire a key; its licenses stay valid, unless it is `compromised`."""
    key = find(db, kid)
    columns: dict[str, Value] = {"active": 0}
    if key.retired_at is None:
        columns["retired_at"] = db.at
    if compromised:
        columns["compromised"] = 1
    db.update("keys", key.kid, **columns)
    return find(db, key.kid)


def note_backup(db: Writing, kid: str) -> KeyRecord:
    """Record that a backup of the private key was written now."""
    db.update("keys", find(db, kid).kid, backed_up_at=db.at)
    return find(db, kid)


def key_set(db: Reading) -> "KeySet":
    """Return the keys that verify licenses of this registry: all but the compromised ones."""
    from polygent_issuer.verifier.keys import KeySet  # noqa: PLC0415  # 30 ms

    return KeySet.of(*(key.public_key for key in every(db) if not key.compromised))


class CompromisedKey(NamedTuple):
    """A key that the registry pins and marks as compromised.

    Attributes:
        since: the time of that mark; `None` if the registry has none.
    """

    kid: str
    label: str
    since: datetime | None

    @property
    def message(self) -> str:
        """The reason why a file that names the key cannot be trusted."""
        since = "" if self.since is None else f" since {dates.instant(self.since)}"
        return (
            f"the file names the key {escape(self.label)}, which is marked as compromised{since}: "
            "anyone with that key can write such a file, so servers must refuse it"
        )

    def to_json(self) -> dict[str, Any]:
        """Return the key for programs."""
        since = None if self.since is None else dates.instant(self.since)
        return {"kid": self.kid, "label": self.label, "since": since}


def find_compromised_key(db: Reading, kid: str) -> CompromisedKey | None:
    """Return the key with exactly this kid if the registry marks it as compromised."""
    for key in every(db):
        if key.compromised and key.kid == kid:
            return CompromisedKey(kid=kid, label=key.label, since=compromised_since(db, key))
    return None
