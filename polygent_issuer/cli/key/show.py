"""`polygent-issue key show`: one key, and whether it can sign here."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Final

import typer

from polygent_issuer import dates
from polygent_issuer.cli.blocks import Block, Fields, Line
from polygent_issuer.cli.context import Invocation
from polygent_issuer.cli.key.key_view import (
    backup_state,
    key_json,
    key_state,
    list_command,
    way_back,
)
from polygent_issuer.cli.output import Result
from polygent_issuer.custody import place_of, presence
from polygent_issuer.keystore import Presence
from polygent_issuer.registry import KeyRecord, keys, licenses

KeyName = Annotated[str, typer.Argument(metavar="KEY", help="A label, or the beginning of a kid.")]

_HERE: Final = {
    Presence.PRESENT: "there",
    Presence.LOCKED: "its keyring is locked",
    Presence.UNAVAILABLE: "its store cannot be asked",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class ShownKey(Result):
    """A key's public side.

    Attributes:
        store: where this operator has its private half; `presence` says whether it is there.
        licenses: how many were signed with it; `current` of them are neither replaced nor retired.
    """

    key: KeyRecord
    store: str
    presence: Presence
    licenses: int
    current: int

    def to_json(self) -> Mapping[str, Any]:
        """`key` as in the list, with the public half and what is signed with it."""
        return {
            "key": {
                **key_json(self.key, self.store),
                "presence": str(self.presence),
                "public_pem": self.key.public_key.to_pem().decode(),
                "licenses": self.licenses,
                "current_licenses": self.current,
            }
        }

    def blocks(self) -> Iterable[Block]:
        """Fields, then the public half."""
        retired = self.key.retired_at
        here = _HERE.get(self.presence) or f"not there{way_back(self.key)}"
        yield Line(self.key.label, "title")
        yield Fields(
            (
                ("kid", self.key.kid),
                ("state", key_state(self.key)),
                ("private half", f"{self.store} ({here})"),
                ("backup", backup_state(self.key)),
                ("created", dates.instant(self.key.created_at)),
                ("retired", None if retired is None else dates.instant(retired)),
                ("licenses", f"{self.licenses}, {self.current} of them current"),
            )
        )
        if self.current and retired is not None:
            yield Line(
                f"they are: {list_command(self.key)}", "bad" if self.key.compromised else "dim"
            )
        yield Line()
        for line in self.key.public_key.to_pem().decode().splitlines():
            yield Line(line)


def show(invocation: Invocation, key: KeyName) -> ShownKey:
    """Show a key: its public half, the licenses under it, and whether it can sign here.

    Its store is asked whether it holds the private half; nothing is unlocked, nobody is asked.
    """
    with invocation.registry.reading() as db:
        found = keys.find(db, key)
        signed = [record.is_current for record in licenses.select(db, kid=found.kid)]
    return ShownKey(
        key=found,
        store=place_of(invocation.settings, found.kid),
        presence=presence(invocation.settings, found.kid),
        licenses=len(signed),
        current=sum(signed),
    )
