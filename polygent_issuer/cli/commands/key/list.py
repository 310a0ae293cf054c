"""`polygent-issue key list`: every key that ever signed, or will."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from polygent_issuer.cli.context import Invocation
from polygent_issuer.cli.output.key import backup_state, brief_place, key_json, key_state
from polygent_issuer.cli.output.license import list_command
from polygent_issuer.cli.output.model import Block, Line, Style, Table
from polygent_issuer.cli.output.result import Report
from polygent_issuer.keys.signing import place_of
from polygent_issuer.registry import KeyRecord, keys
from polygent_issuer.terms import dates


@dataclass(frozen=True, kw_only=True, slots=True)
class ListedKey:
    """A key of the list.

    Attributes:
        store: the store URI of its private key.
        current: how many current licenses were signed with it.
        since: since when it is marked as compromised, or else retired.
    """

    key: KeyRecord
    store: str
    current: int
    since: datetime | None

    def to_json(self) -> dict[str, Any]:
        """Return the key for programs."""
        leaked = self.since if self.key.compromised else None
        return {
            **key_json(self.key, self.store),
            "current_licenses": self.current,
            "compromised_since": dates.optional_instant(leaked),
        }

    def row(self) -> tuple[str, ...]:
        """Return the key for the table."""
        key = self.key
        since = "" if self.since is None else f" since {self.since.date().isoformat()}"
        return (
            *(key.label, f"{key_state(key)}{since}", key.kid, brief_place(self.store)),
            *(backup_state(key), dates.instant(key.created_at), str(self.current)),
        )


def list_all(invocation: Invocation) -> Report:
    """List the keys: which one signs, where each private half is, and what hangs on each."""
    with invocation.registry.reading(checked=False) as db:
        uses = keys.uses(db)
        listed = tuple(
            ListedKey(
                key=key,
                store=place_of(invocation.settings, key.kid),
                current=uses[key.kid].current if key.kid in uses else 0,
                since=keys.compromised_since(db, key) or key.retired_at,
            )
            for key in keys.every(db)
        )
    return Report({"keys": [each.to_json() for each in listed]}, _text(listed))


def _text(listed: tuple[ListedKey, ...]) -> Iterable[Block]:
    """Yield a table; the key that signs stands out. Then what hangs on keys that sign no more."""
    if not listed:
        yield Line("no key yet: polygent-issue key generate", "dim")
        return
    headers = ("label", "state", "kid", "store", "backup", "created", "current licenses")
    rows = tuple(each.row() for each in listed)
    styles: tuple[Style, ...] = tuple("good" if each.key.active else "plain" for each in listed)
    yield Table(headers, rows, styles, folding=("kid", "store"))
    for each in listed:
        key = each.key
        if each.current and not key.may_sign:
            line = f"under {key.label}, {key_state(key)}: {list_command(key.label)}"
            yield Line(line, "bad" if key.compromised else "dim")
