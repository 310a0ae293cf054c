"""`polygent-issue key list`: every key that ever signed, or will."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from polygent_issuer.cli.context import Invocation
from polygent_issuer.cli.output.key import backup_state, brief_place, key_json, key_state
from polygent_issuer.cli.output.license import list_command
from polygent_issuer.cli.output.model import Block, Line, Style, Table
from polygent_issuer.cli.output.result import Result
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
        """The key for programs."""
        leaked = self.since if self.key.compromised else None
        return {
            **key_json(self.key, self.store),
            "current_licenses": self.current,
            "compromised_since": dates.optional_instant(leaked),
        }

    def row(self) -> tuple[str, ...]:
        """The key for the table."""
        key = self.key
        since = "" if self.since is None else f" since {self.since.date().isoformat()}"
        return (
            *(key.label, f"{key_state(key)}{since}", key.kid, brief_place(self.store)),
            *(backup_state(key), dates.instant(key.created_at), str(self.current)),
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Keys(Result):
    """The keys, oldest first."""

    keys: tuple[ListedKey, ...]

    def to_json(self) -> Mapping[str, Any]:
        """`keys`."""
        return {"keys": [each.to_json() for each in self.keys]}

    def blocks(self) -> Iterable[Block]:
        """A table; the one that signs stands out. Then what hangs on keys that sign no more."""
        if not self.keys:
            yield Line("no key yet: polygent-issue key generate", "dim")
            return
        styles: tuple[Style, ...] = tuple("good" if k.key.active else "plain" for k in self.keys)
        headers = ("label", "state", "kid", "store", "backup", "created", "current licenses")
        rows = tuple(each.row() for each in self.keys)
        yield Table(headers, rows, styles, folding=("kid", "store"))
        for each in self.keys:
            if each.current and not each.key.may_sign:
                state, command = key_state(each.key), list_command(each.key.label)
                yield Line(
                    f"under {each.key.label}, {state}: {command}",
                    "bad" if each.key.compromised else "dim",
                )


def list_all(invocation: Invocation) -> Keys:
    """List the keys: which one signs, where each private half is, and what hangs on each."""
    with invocation.registry.reading(checked=False) as db:
        uses = keys.uses(db)
        return Keys(
            keys=tuple(
                ListedKey(
                    key=key,
                    store=place_of(invocation.settings, key.kid),
                    current=uses[key.kid].current if key.kid in uses else 0,
                    since=keys.compromised_since(db, key) or key.retired_at,
                )
                for key in keys.every(db)
            )
        )
