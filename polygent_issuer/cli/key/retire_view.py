"""What follows from the end of a key, before it is decided and after."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from polygent_issuer import dates
from polygent_issuer.cli.blocks import Block, Fields, Line
from polygent_issuer.cli.key.key_view import (
    EXPORT_ALL,
    backup_state,
    key_json,
    key_state,
    no_server_needs,
    whereabouts,
)
from polygent_issuer.cli.license.standing import list_command, made_again
from polygent_issuer.cli.output import Result
from polygent_issuer.custody.retirement import Retirement
from polygent_issuer.keystore import Presence, location
from polygent_issuer.keystore.vaults import SERVICE
from polygent_issuer.text import for_shell

_SHOWN: Final = 20


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
                    "mend": made_again(record, self.now),
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
        yield from _compromised(found) if found.compromised else _retired(found, self.now)
        by = "" if self.presence is Presence.ABSENT else _by(self.store, found.key.kid)
        yield Line(
            "nothing signs with its private half and backups again, but nothing deletes them: "
            f"that is yours to do{by}"
        )
        yield from _hanging(found, self.now)


def _retired(found: Retirement, now: datetime) -> Iterable[Block]:
    if not found.hanging or found.last_end is None:
        yield Line(no_server_needs(found.last_end, now))
        return
    yield Line(
        "its licenses keep working, and each is renewed with the key that signs; "
        f"servers keep its public half until {dates.instant(found.last_end)}"
    )


def _compromised(found: Retirement) -> Iterable[Block]:
    yield Line(
        "whoever holds it signs licenses and dates them at will: iat proves nothing, and nothing "
        "can be revoked",
        "bad",
    )
    yield Line(
        "a server believes them until it drops this key; then it refuses every file under it, "
        "until a new one is uploaded",
        "bad",
    )
    steps = [f"make the set of keys without it: {EXPORT_ALL}"]
    if found.hanging:
        steps.insert(0, "issue its licenses again: the commands are below")
        steps.append("send each customer both at once: the set for the server, its new file")
    else:
        steps.append("have every server take that set instead of what it has")
    if found.signing_command is not None:
        steps.insert(0, f"let another key sign: {found.signing_command}")
    for number, step in enumerate(steps, start=1):
        yield Line(f"{number}. {step}", indent=1)


def _by(store: str, kid: str) -> str:
    """How a private half is destroyed, as far as its place tells; it ends a sentence."""
    if store == location.KEYRING:
        return f", in the keyring's own program: the entry {SERVICE}, {kid}"
    if store.startswith(location.FILE) and not store.endswith("/"):
        return f": rm {for_shell(store.removeprefix(location.FILE))}"
    return ""


def _hanging(found: Retirement, now: datetime) -> Iterable[Block]:
    """The licenses as lines: a table would break the commands where the screen is narrow."""
    if not found.hanging:
        return
    customers = len({record.customer_slug for record in found.hanging})
    yield Line(f"its current licenses, by customer ({customers}):", "title")
    for record in found.hanging[:_SHOWN]:
        day = dates.last_full_day(record.expires_at).isoformat()
        machine = record.machine_label or "any machine"
        yield Line(
            f"{record.customer_slug}, {machine}, until {day}: {made_again(record, now)}", indent=1
        )
    if len(found.hanging) > _SHOWN:
        yield Line(
            f"and {len(found.hanging) - _SHOWN} more: {list_command(found.key.label)}", "dim"
        )


def _instant(moment: datetime | None) -> str | None:
    return None if moment is None else dates.instant(moment)
