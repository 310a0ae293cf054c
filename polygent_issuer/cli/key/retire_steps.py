"""What is to be done when a key ends, step by step."""

from collections.abc import Iterable
from datetime import datetime
from typing import Final

from polygent_issuer import dates
from polygent_issuer.cli.blocks import Block, Line
from polygent_issuer.cli.key.key_view import EXPORT_ALL, no_server_needs
from polygent_issuer.cli.license.standing import list_command, made_again
from polygent_issuer.custody.retirement import Retirement
from polygent_issuer.keystore import location
from polygent_issuer.keystore.vaults import SERVICE
from polygent_issuer.text import for_shell

_SHOWN: Final = 20


def retired(found: Retirement, now: datetime) -> Iterable[Block]:
    """Its licenses go on, and until when servers need its public half."""
    if not found.hanging or found.last_end is None:
        yield Line(no_server_needs(found.last_end, now))
        return
    yield Line(
        "its licenses keep working, and each is renewed with the key that signs; "
        f"servers keep its public half until {dates.instant(found.last_end)}"
    )


def compromised(found: Retirement) -> Iterable[Block]:
    """What others can do with it, and the steps that end that, numbered."""
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


def destroyed_by(store: str, kid: str) -> str:
    """How a private half is destroyed, as far as its place tells; it ends a sentence."""
    if store == location.KEYRING:
        return f", in the keyring's own program: the entry {SERVICE}, {kid}"
    if store.startswith(location.FILE) and not store.endswith("/"):
        return f": rm {for_shell(store.removeprefix(location.FILE))}"
    return ""


def hanging(found: Retirement, now: datetime) -> Iterable[Block]:
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
