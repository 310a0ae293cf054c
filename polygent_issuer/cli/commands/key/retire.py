"""`polygent-issue key use` and `retire`: select the key that signs; retire a key."""

import sys
from collections.abc import Iterable
from datetime import datetime
from typing import Final

from polygent_issuer import store_uri
from polygent_issuer.cli import prompts
from polygent_issuer.cli.context import Invocation
from polygent_issuer.cli.options.common import (
    ConsentOptions,
    KeyName,
    Yes,
    flag,
)
from polygent_issuer.cli.output import result
from polygent_issuer.cli.output.blocks import Block, Fields, Line
from polygent_issuer.cli.output.key import (
    EXPORT_ALL,
    backup_state,
    key_json,
    no_server_needs,
    way_back,
    whereabouts,
)
from polygent_issuer.cli.output.records import list_command, reissue_all_command, reissue_command
from polygent_issuer.cli.output.result import Report, hint_json
from polygent_issuer.keys import rotation
from polygent_issuer.keys.keyring_backends import SERVICE
from polygent_issuer.keys.rotation import Retirement, decide_retirement, label_words, retire
from polygent_issuer.keys.signer import Presence
from polygent_issuer.keys.stores import place_of, presence
from polygent_issuer.registry import KeyRecord
from polygent_issuer.terms import dates
from polygent_issuer.text import Hint, counted, for_shell, run

_SHOWN: Final = 20


def use(invocation: Invocation, key: KeyName, *, consents: ConsentOptions) -> Report:
    """Select the key that signs new licenses.

    The key becomes active: commands sign with it unless --key selects another. Servers need its
    public key before they can accept new licenses, so this needs consent (key-rollout).
    """
    decided = invocation.decide(lambda db: rotation.decide_activation(db, key))
    chosen, before = decided.decision.key, decided.decision.active
    store = place_of(invocation.settings, chosen.kid)
    if not decided.decision.needed:
        return _use_report(chosen, before, store)
    if presence(invocation.settings, chosen.kid) is Presence.ABSENT:
        invocation.warn(
            Hint(f"the private key of {chosen.label} is not in {store}", way_back(chosen, store))
        )
    typed = consents.parse()
    agreed = prompts.obtain_consent(invocation, [decided.decision.finding, *decided.behind], typed)
    activated = rotation.activate(decided, consent=agreed)
    return _use_report(activated, before, store)


def _use_report(key: KeyRecord, before: KeyRecord | None, store: str) -> Report:
    changed = before is None or before.kid != key.kid
    old, kid = ("none", None) if before is None else (before.label, before.kid)
    text = [Line(f"{key.label} is already the active key; nothing was changed", "dim")]
    if changed:
        text = [Line(f"active key: {old} → {key.label}", "good")]
    if changed and before is not None:
        retire = run("key", "retire", *label_words(before.label))
        text += [
            Line("licenses signed with the old key stay valid; servers must keep its public key"),
            Line(Hint("to prevent signing with the old key by mistake: ", retire), "dim"),
        ]
    return Report({"key": key_json(key, store), "before": kid, "changed": changed}, text)


def retire_key(
    invocation: Invocation,
    key: KeyName,
    *,
    compromised: bool = flag(
        "--compromised", "Mark the key as compromised: servers must remove it."
    ),
    consents: ConsentOptions,
    yes: Yes = False,
) -> Report:
    """Retire a signing key.

    A retired key never signs again. Its current licenses are listed with the command that reissues
    them all. Servers keep the public key while these licenses are valid.

    With --compromised, remove the public key from every server at once, and reissue every license
    signed with it.
    """
    typed, now = consents.parse(), invocation.now
    decided = invocation.decide(lambda db: decide_retirement(db, key, compromised=compromised))
    retirement = decided.decision
    place = place_of(invocation.settings, retirement.key.kid)
    present = presence(invocation.settings, retirement.key.kid)
    if not retirement.needed:
        return _report(retirement, place, present, now, changed=False)
    confirm = invocation.interactive and not yes
    if confirm:
        result.write_blocks(_consequences(retirement, place, present, now), sys.stderr)
    agreed = prompts.obtain_consent(invocation, decided.behind, typed)
    reason = prompts.required_reason(invocation, agreed.reason, "retire a key")
    if confirm:
        label = retirement.key.label
        question = f"permanently retire the key {label}"
        if retirement.compromised:
            question = f"permanently mark the key {label} as compromised"
        prompts.require_yes(f"{question}?")
    done = retire(decided, reason=reason, consent=agreed)
    return _report(done, place, present, now, changed=True, previewed=confirm)


def _report(
    retirement: Retirement,
    store: str,
    present: Presence,
    now: datetime,
    *,
    changed: bool,
    previewed: bool = False,
) -> Report:
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
        "reissue": hint_json(reissue_all_command(key.label), "next")
        if retirement.licenses
        else None,
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
    done = (
        Line(f"the key {key.label} is {key.state} and no longer signs", "good")
        if changed
        else Line(f"the key {key.label} is already {key.state}; nothing was changed", "dim")
    )
    after = () if previewed else _consequences(retirement, store, present, now)
    return Report(members, [done, *after, *_next_step(retirement)])


def _consequences(
    retirement: Retirement, store: str, present: Presence, now: datetime
) -> Iterable[Block]:
    key, since = retirement.key, retirement.since
    yield Fields(
        (
            ("kid", key.kid),
            ("compromised", f"since {dates.instant(since)}" if since else None),
            ("active key", "none" if retirement.active is None else retirement.active.label),
            ("private key", whereabouts(key, store, present)),
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
            "its licenses stay valid and are renewed with the active key; "
            f"servers must keep its public key until {dates.instant(retirement.last_end)}"
        )
    how = "" if present is Presence.ABSENT else _how_to_delete(store, key.kid)
    yield Line(f"the private key and its backups are not deleted; delete them yourself{how}")
    yield from _license_lines(retirement, now)


def _compromised(retirement: Retirement) -> Iterable[Block]:
    """Yield what others can do with a compromised key, and the numbered steps against it."""
    yield Line(
        "anyone with the private key can sign licenses with any date; licenses cannot be revoked",
        "bad",
    )
    yield Line(
        "a server accepts such licenses until you remove this key from it, and from then on it "
        "refuses every license signed with this key until a new file is uploaded",
        "bad",
    )
    steps: list[str] = [Hint("export the public keys without it: ", EXPORT_ALL)]
    if retirement.licenses:
        steps.insert(0, "reissue its licenses with the command below")
        steps.append("send each customer the public keys and the new license file together")
    else:
        steps.append("replace the public keys on every server")
    if retirement.signing_command is not None:
        steps.insert(0, Hint("activate another key: ", retirement.signing_command))
    for number, step in enumerate(steps, start=1):
        yield Line(Hint(f"{number}. ", step), indent=1)


def _how_to_delete(store: str, kid: str) -> str:
    """Return how to delete a private key from this store, as the end of a sentence."""
    if store == store_uri.KEYRING:
        return f" in the keyring manager: entry {SERVICE}, {kid}"
    if store.startswith(store_uri.FILE) and not store.endswith("/"):
        return f": rm {for_shell(store.removeprefix(store_uri.FILE))}"
    return ""


def _license_lines(retirement: Retirement, now: datetime) -> Iterable[Block]:
    """Yield the licenses; an expired one has its command, since a reissue keeps the expiry."""
    if not retirement.licenses:
        return
    customers = len({record.customer_slug for record in retirement.licenses})
    yield Line(f"current licenses signed with it ({counted(customers, 'customer')}):", "title")
    for record in retirement.licenses[:_SHOWN]:
        day = dates.last_full_day(record.expires_at).isoformat()
        license_ = f"{record.customer_slug}, {record.machine_label or 'any machine'}, until {day}"
        if record.expires_at <= now:
            license_ = Hint(f"{license_}: ", reissue_command(record, now))
        yield Line(license_, indent=1)
    if (more := len(retirement.licenses) - _SHOWN) > 0:
        yield Line(Hint(f"and {more} more: ", list_command(retirement.key.label)), "dim")


def _next_step(retirement: Retirement) -> Iterable[Block]:
    if retirement.licenses:
        label = "next" if retirement.compromised else "to reissue them now"
        yield Line(Hint(f"{label}: ", reissue_all_command(retirement.key.label)))
