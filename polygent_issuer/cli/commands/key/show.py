"""`polygent-issue key show`: one key, and whether it can sign here."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any

import typer

from polygent_issuer.cli.completion import candidates
from polygent_issuer.cli.context import Invocation
from polygent_issuer.cli.output.key import (
    backup_state,
    key_json,
    key_state,
    no_server_needs,
    whereabouts,
)
from polygent_issuer.cli.output.license import list_command
from polygent_issuer.cli.output.model import Block, Fields, Line
from polygent_issuer.cli.output.result import Result
from polygent_issuer.keys.signer import Presence
from polygent_issuer.keys.signing import place_of, presence
from polygent_issuer.registry import KeyRecord, KeyUse, keys
from polygent_issuer.terms import dates

KeyName = Annotated[
    str,
    typer.Argument(
        metavar="KEY", autocompletion=candidates.keys, help="A label, or the beginning of a kid."
    ),
]


@dataclass(frozen=True, kw_only=True, slots=True)
class ShownKey(Result):
    """A key's public side.

    Attributes:
        store: the store of its private key; `presence` says whether it is there.
        use: what was signed with it; None for nothing.
        since: since when it is marked as compromised.
    """

    key: KeyRecord
    store: str
    presence: Presence
    use: KeyUse | None
    since: datetime | None
    now: datetime

    @property
    def current(self) -> int:
        """How many current licenses hang on it."""
        return 0 if self.use is None else self.use.current

    def to_json(self) -> Mapping[str, Any]:
        """`key` as in the list, with the public key and what is signed with it."""
        return {
            "key": {
                **key_json(self.key, self.store),
                "presence": str(self.presence),
                "public_pem": self.key.public_key.to_pem().decode(),
                "licenses": 0 if self.use is None else self.use.licenses,
                "current_licenses": self.current,
                "compromised_since": dates.optional_instant(self.since),
            }
        }

    def blocks(self) -> Iterable[Block]:
        """Fields, then the public key."""
        key, retired = self.key, self.key.retired_at
        signed = 0 if self.use is None else self.use.licenses
        yield Line(key.label, "title")
        yield Fields(
            (
                ("kid", key.kid),
                ("state", key_state(key)),
                ("private half", whereabouts(key, self.store, self.presence)),
                ("backup", backup_state(key)),
                ("created", dates.instant(key.created_at)),
                ("retired", dates.optional_instant(retired)),
                ("compromised", dates.optional_instant(self.since)),
                ("licenses", f"{signed}, {self.current} of them current"),
            )
        )
        if self.current:
            yield Line(f"they are: {list_command(key.label)}", "bad" if key.compromised else "dim")
        elif not key.may_sign and not key.compromised:
            yield Line(no_server_needs(self.use.last_end if self.use else None, self.now), "dim")
        yield Line()
        for line in self.key.public_key.to_pem().decode().splitlines():
            yield Line(line)


def show(invocation: Invocation, key: KeyName) -> ShownKey:
    """Show a key: its public half, the licenses under it, and whether it can sign here.

    Its store is asked whether it holds the private half; nothing is unlocked, nobody is asked.
    """
    with invocation.registry.reading() as db:
        record = keys.find(db, key)
        use, since = keys.uses(db).get(record.kid), keys.compromised_since(db, record)
    return ShownKey(
        key=record,
        store=place_of(invocation.settings, record.kid),
        presence=presence(invocation.settings, record.kid),
        use=use,
        since=since,
        now=invocation.now,
    )
