"""A key that the registry marks as compromised, which a license file names."""

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
        since: since when it is marked so; `None` where nothing tells.
    """

    kid: str
    label: str
    since: datetime | None

    @property
    def message(self) -> str:
        """Why a file that names it is nobody's word."""
        since = "" if self.since is None else f" since {dates.instant(self.since)}"
        return (
            f"it names the key {escape(self.label)}, which is marked as compromised{since}: "
            "whoever holds that key can write such a file, so servers must refuse it"
        )

    def to_json(self) -> dict[str, Any]:
        """The key for programs."""
        since = None if self.since is None else dates.instant(self.since)
        return {"kid": self.kid, "label": self.label, "since": since}


def find(db: "Reading", kid: str) -> CompromisedKey | None:
    """The key of exactly this kid, whoever wrote that, if the registry marks it as compromised."""
    from polygent_issuer.registry import keys  # noqa: PLC0415  # 20 ms

    for key in keys.every(db):
        if key.compromised and key.kid == kid:
            return CompromisedKey(kid=kid, label=key.label, since=keys.compromised_since(db, key))
    return None
