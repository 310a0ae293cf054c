"""What follows from the end of a key, before it is decided and after."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from polygent_issuer import dates
from polygent_issuer.cli.blocks import Block, Fields, Line
from polygent_issuer.cli.hint_json import hint_json
from polygent_issuer.cli.key import retire_steps
from polygent_issuer.cli.key.key_view import (
    backup_state,
    key_json,
    key_state,
    whereabouts,
)
from polygent_issuer.cli.license.standing import made_again
from polygent_issuer.cli.output import Result
from polygent_issuer.custody.retirement import Retirement
from polygent_issuer.keystore import Presence


@dataclass(frozen=True, kw_only=True, slots=True)
class RetiredKeyReport(Result):
    """A key that signs no more, or is to.

    Attributes:
        store: where this operator has its private half; `presence` says whether it is there.
        changed: whether it was this command that ended it.
    """

    retirement: Retirement
    store: str
    presence: Presence
    now: datetime
    changed: bool

    def to_json(self) -> Mapping[str, Any]:
        """`key`, and the current `licenses` under it, each with the command that `mend`s it."""
        found = self.retirement
        return {
            "key": {
                **key_json(found.key, self.store),
                "presence": str(self.presence),
                "compromised_since": _instant(found.since),
            },
            "changed": self.changed,
            "signs": None if found.signs is None else found.signs.kid,
            "to_sign": found.signing_command,
            "last_end": _instant(found.last_end),
            "current_licenses": len(found.hanging),
            "licenses": [
                {
                    "id": record.id,
                    "customer": record.customer_slug,
                    "machine": record.machine_label,
                    "expires_at": dates.instant(record.expires_at),
                    **hint_json(made_again(record, self.now), "mend"),
                }
                for record in found.hanging
            ],
        }

    def blocks(self) -> Iterable[Block]:
        """What it is now, and what the operator does next."""
        key = self.retirement.key
        if self.changed:
            yield Line(f"the key {key.label} is {key_state(key)}: it signs no more", "good")
        else:
            yield Line(f"the key {key.label} is {key_state(key)} already", "dim")
        yield from self.following()

    def following(self) -> Iterable[Block]:
        """What follows, in the order in which it is to be done."""
        found = self.retirement
        yield Fields(
            (
                ("kid", found.key.kid),
                ("compromised", None if found.since is None else f"since {_instant(found.since)}"),
                ("signs instead", "none" if found.signs is None else found.signs.label),
                ("private half", whereabouts(found.key, self.store, self.presence)),
                ("backup", backup_state(found.key)),
                ("current licenses", str(len(found.hanging))),
            )
        )
        yield from (
            retire_steps.compromised(found)
            if found.compromised
            else retire_steps.retired(found, self.now)
        )
        gone = self.presence is Presence.ABSENT
        by = "" if gone else retire_steps.destroyed_by(self.store, found.key.kid)
        yield Line(
            "nothing signs with its private half and backups again, but nothing deletes them: "
            f"that is yours to do{by}"
        )
        yield from retire_steps.hanging(found, self.now)


def _instant(moment: datetime | None) -> str | None:
    return None if moment is None else dates.instant(moment)
