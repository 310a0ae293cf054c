"""`polygent-issue key list`: every key that ever signed, or will."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from polygent_issuer import dates
from polygent_issuer.cli.blocks import Block, Line, Style, Table
from polygent_issuer.cli.context import Invocation
from polygent_issuer.cli.key.key_view import backup_state, key_json, key_state
from polygent_issuer.cli.output import Result
from polygent_issuer.custody import place_of
from polygent_issuer.registry import KeyRecord, keys
from polygent_issuer.settings.token_uri import is_token_uri


@dataclass(frozen=True, kw_only=True, slots=True)
class Keys(Result):
    """The keys, oldest first, each with its store URI."""

    keys: tuple[tuple[KeyRecord, str], ...]

    def to_json(self) -> Mapping[str, Any]:
        """`keys`."""
        return {"keys": [key_json(key, store) for key, store in self.keys]}

    def blocks(self) -> Iterable[Block]:
        """A table; the one that signs stands out."""
        if not self.keys:
            yield Line("no key yet: polygent-issue key generate", "dim")
            return
        styles: tuple[Style, ...] = tuple("good" if k.active else "plain" for k, _ in self.keys)
        headers = ("label", "state", "kid", "store", "backup", "created")
        yield Table(headers, tuple(_row(key, store) for key, store in self.keys), styles)


def list_all(invocation: Invocation) -> Keys:
    """List the keys: which one signs, where each private half is, and when it was backed up."""
    with invocation.registry.reading() as db:
        found = keys.every(db)
    return Keys(keys=tuple((key, place_of(invocation.settings, key.kid)) for key in found))


def _row(key: KeyRecord, store: str) -> tuple[str, ...]:
    created = dates.instant(key.created_at)
    return key.label, key_state(key), key.kid, _brief(store), backup_state(key), created


def _brief(store: str) -> str:
    """A store for a table: of a key in a token, without the module's path."""
    return store.partition("?")[0] if is_token_uri(store) else store
