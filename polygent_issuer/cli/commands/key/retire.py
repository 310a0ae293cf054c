"""`polygent-issue key retire`: a key that signs no more, or that others may hold."""

import sys
from collections.abc import Iterable
from datetime import datetime
from typing import Annotated, Final

from polygent_issuer import store_uri
from polygent_issuer.cli import consent, prompts
from polygent_issuer.cli.context import Invocation
from polygent_issuer.cli.options.common import KeyName, flag
from polygent_issuer.cli.output import result
from polygent_issuer.cli.output.json_text import hint_json
from polygent_issuer.cli.output.key import (
    EXPORT_ALL,
    backup_state,
    key_json,
    key_state,
    no_server_needs,
    whereabouts,
)
from polygent_issuer.cli.output.license import list_command, reissue_command
from polygent_issuer.cli.output.model import Block, Fields, Line
from polygent_issuer.cli.output.result import Report
from polygent_issuer.keys.keyring_backends import SERVICE
from polygent_issuer.keys.rotation import Retirement, decide_retirement, retire
from polygent_issuer.keys.signer import Presence
from polygent_issuer.keys.signing import place_of, presence
from polygent_issuer.terms import dates
from polygent_issuer.text import for_shell

_SHOWN: Final = 20


def retire_key(
    invocation: Invocation,
    key: KeyName,
    *,
    compromised: Annotated[
        bool, flag("--compromised", "Others may hold it: servers must drop it.")
    ] = False,
    consents: consent.ConsentOptions,
    yes: consent.Yes = False,
) -> Report:
    """Let a key sign no more, for good; the licenses under it are listed, with the way out.

    Its public half stays with the servers while its licenses run. With --compromised it is the
    other way round: servers must drop it, so each license under it is issued again.
    """
    given, now = consent.given(consents), invocation.now
    decided = invocation.decide(lambda db: decide_retirement(db, key, compromised=compromised))
    retirement = decided.decision
    place = place_of(invocation.settings, retirement.key.kid)
    present = presence(invocation.settings, retirement.key.kid)
    if not retirement.needed:
        return _report(retirement, place, present, now, changed=False)
    asks = invocation.interactive and not yes
    if asks:
        result.write_blocks(_following(retirement, place, present, now), sys.stderr)
    agreed = consent.obtain(invocation, decided.behind, given)
    reason = consent.required_reason(invocation, agreed.reason, "a key is retired")
    if asks:
        prompts.require_yes(f"let {retirement.key.label} sign no more, for good?")
    done = retire(decided, reason=reason, consent=agreed)
    return _report(done, place, present, now, changed=True)


def _report(
    retirement: Retirement, store: str, present: Presence, now: datetime, *, changed: bool
) -> Report:
    """Return what the key is now, and the current licenses under it, with what mends each."""
    key = retirement.key
    members = {
        "key": {
            **key_json(key, store),
            "presence": str(present),
            "compromised_since": dates.optional_instant(retirement.since),
        },
        "changed": changed,
        "signs": None if retirement.active is None else retirement.active.kid,
        "to_sign": retirement.signing_command,
        "last_end": dates.optional_instant(retirement.last_end),
        "current_licenses": len(retirement.licenses),
        "licenses": (
            {
                "id": record.id,
                "customer": record.customer_slug,
                "machine": record.machine_label,
                "expires_at": dates.instant(record.expires_at),
                **hint_json(reissue_command(record, now), "mend"),
            }
            for record in retirement.licenses
        ),
    }
    state = f"the key {key.label} is {key_state(key)}"
    done = (
        Line(f"{state}: it signs no more", "good") if changed else Line(f"{state} already", "dim")
    )
    return Report(members, [done, *_following(retirement, store, present, now)])


def _following(
    retirement: Retirement, store: str, present: Presence, now: datetime
) -> Iterable[Block]:
    """Yield what follows, in the order in which it is to be done."""
    key, since = retirement.key, retirement.since
    yield Fields(
        (
            ("kid", key.kid),
            ("compromised", f"since {dates.instant(since)}" if since else None),
            ("signs instead", "none" if retirement.active is None else retirement.active.label),
            ("private half", whereabouts(key, store, present)),
            ("backup", backup_state(key)),
            ("current licenses", str(len(retirement.licenses))),
        )
    )
    if retirement.compromised:
        yield from _compromised(retirement)
    elif not retirement.licenses or retirement.last_end is None:
        yield Line(no_server_needs(retirement.last_end, now))
    else:
        yield Line(
            "its licenses keep working, and each is renewed with the key that signs; "
            f"servers keep its public half until {dates.instant(retirement.last_end)}"
        )
    by = "" if present is Presence.ABSENT else _destroyed_by(store, key.kid)
    yield Line(
        "nothing signs with its private half and backups again, but nothing deletes them: "
        f"that is yours to do{by}"
    )
    yield from _license_lines(retirement, now)


def _compromised(retirement: Retirement) -> Iterable[Block]:
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
    if retirement.licenses:
        steps.insert(0, "issue its licenses again: the commands are below")
        steps.append("send each customer both at once: the set for the server, its new file")
    else:
        steps.append("have every server take that set instead of what it has")
    if retirement.signing_command is not None:
        steps.insert(0, f"let another key sign: {retirement.signing_command}")
    for number, step in enumerate(steps, start=1):
        yield Line(f"{number}. {step}", indent=1)


def _destroyed_by(store: str, kid: str) -> str:
    """Return how to destroy a private key in this store, as the end of a sentence."""
    if store == store_uri.KEYRING:
        return f", in the keyring's own program: the entry {SERVICE}, {kid}"
    if store.startswith(store_uri.FILE) and not store.endswith("/"):
        return f": rm {for_shell(store.removeprefix(store_uri.FILE))}"
    return ""


def _license_lines(retirement: Retirement, now: datetime) -> Iterable[Block]:
    """The licenses as lines: a table would break the commands where the screen is narrow."""
    if not retirement.licenses:
        return
    customers = len({record.customer_slug for record in retirement.licenses})
    yield Line(f"its current licenses, by customer ({customers}):", "title")
    for record in retirement.licenses[:_SHOWN]:
        day = dates.last_full_day(record.expires_at).isoformat()
        license_ = f"{record.customer_slug}, {record.machine_label or 'any machine'}, until {day}"
        yield Line(f"{license_}: {reissue_command(record, now)}", indent=1)
    if (more := len(retirement.licenses) - _SHOWN) > 0:
        yield Line(f"and {more} more: {list_command(retirement.key.label)}", "dim")
