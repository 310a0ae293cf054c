"""What follows from the end of a key, before it is decided and after."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from polygent_issuer import dates
from polygent_issuer.cli.blocks import Block, Fields, Line, Table
from polygent_issuer.cli.key.key_view import key_json, key_state, list_command, typed
from polygent_issuer.cli.output import Result
from polygent_issuer.custody.retirement import Retirement
from polygent_issuer.registry import LicenseRecord

_SHOWN: Final = 20
_EXPORT: Final = "polygent-issue key export-public --all --format jwks --output keys.json"


@dataclass(frozen=True, kw_only=True, slots=True)
class RetiredKeyReport(Result):
    """A key that signs no more.

    Attributes:
        store: where this operator has its private half.
        changed: whether it was this command that ended it.
    """

    retirement: Retirement
    store: str
    now: datetime
    changed: bool

    def to_json(self) -> Mapping[str, Any]:
        """`key`, and the current `licenses` under it, each with the command that `mend`s it."""
        found = self.retirement
        return {
            "key": key_json(found.key, self.store),
            "changed": self.changed,
            "signs": None if found.signs is None else found.signs.kid,
            "licenses": [
                {
                    "id": record.id,
                    "customer": record.customer_slug,
                    "machine": record.machine_label,
                    "expires_at": dates.instant(record.expires_at),
                    "mend": way_out(record, self.now),
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
        yield from following(self.retirement, self.store, self.now)


def way_out(record: LicenseRecord, now: datetime) -> str:
    """The command that issues a license again with the key that signs: the next one if it ended."""
    verb = "reissue" if record.expires_at > now else "renew"
    return f"polygent-issue {verb} {record.customer_slug} --license {record.id[:8]}"


def following(found: Retirement, store: str, now: datetime) -> Iterable[Block]:
    """What follows, in the order in which it is to be done."""
    yield Fields(
        (
            ("kid", found.key.kid),
            ("signs now", "none" if found.signs is None else found.signs.label),
            ("private half", f"{store}: it stays there, nothing deletes it"),
            ("current licenses", str(len(found.hanging))),
        )
    )
    if found.compromised:
        yield from _compromised(found)
    else:
        yield from _retired(found)
    yield from _hanging(found, now)


def _retired(found: Retirement) -> Iterable[Block]:
    if not found.hanging:
        yield Line("no current license is signed with it: servers may drop its public half")
        return
    last = max(record.expires_at for record in found.hanging)
    yield Line(
        "its licenses keep working, and each is renewed with the key that signs; "
        f"servers keep its public half until {dates.instant(last)}"
    )


def _compromised(found: Retirement) -> Iterable[Block]:
    yield Line(
        "whoever holds it signs licenses and dates them at will; nothing can be revoked", "bad"
    )
    yield Line(
        "a server believes them until it drops this key, then it refuses all under it", "bad"
    )
    if found.signs is None:
        chosen = f"use {typed(found.others[0])}" if found.others else "generate, then key use"
        yield Line(f"let another key sign: polygent-issue key {chosen}", indent=1)
    if found.hanging:
        yield Line("issue its licenses again: the commands are below", indent=1)
    yield Line(f"make the set of keys without it: {_EXPORT}", indent=1)
    yield Line("send each customer both at once: the set for the server, its new file", indent=1)


def _hanging(found: Retirement, now: datetime) -> Iterable[Block]:
    if not found.hanging:
        return
    rows = tuple(
        (
            record.customer_slug,
            record.machine_label or "any",
            dates.last_full_day(record.expires_at).isoformat(),
            way_out(record, now),
        )
        for record in found.hanging[:_SHOWN]
    )
    yield Table(("customer", "machine", "last full day", "to issue it again"), rows)
    if len(found.hanging) > _SHOWN:
        yield Line(f"and {len(found.hanging) - _SHOWN} more: {list_command(found.key)}", "dim")
