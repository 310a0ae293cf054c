"""Keys that are marked as compromised: anyone may have signed a file that names one."""

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from polygent_issuer.terms import dates
from polygent_issuer.text import escape

if TYPE_CHECKING:
    from polygent_issuer.registry import Reading


@dataclass(frozen=True, kw_only=True, slots=True)
class CompromisedKey:
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


def find_compromised_key(db: "Reading", kid: str) -> CompromisedKey | None:
    """Return the key with exactly this kid if the registry marks it as compromised."""
    from polygent_issuer.registry import keys  # noqa: PLC0415  # 20 ms

    for key in keys.every(db):
        if key.compromised and key.kid == kid:
            return CompromisedKey(kid=kid, label=key.label, since=keys.compromised_since(db, key))
    return None
