"""Which key signs: changing it is a roll-out, since servers must know the new one first."""

from collections.abc import Iterable
from datetime import datetime
from typing import Final

from polygent_issuer.custody.labels import free_label, typed
from polygent_issuer.custody.signing import require_usable
from polygent_issuer.errors import RegistryChanged
from polygent_issuer.findings import Consent, Finding, FindingCode, require
from polygent_issuer.hints import Hint, run
from polygent_issuer.registry import Actor, KeyRecord, Registry, keys
from polygent_issuer.text import shown

_NAMED: Final = 3


def signing_command(known: Iterable[KeyRecord], *, instead_of: KeyRecord | None = None) -> Hint:
    """The command that lets a key sign where none does: one that may, else a new one.

    Args:
        known: all keys of the registry.
        instead_of: the one that shall not.
    """
    known = tuple(known)
    if not known:
        return run("key", "generate", "main", "--backup", "FILE")
    shunned = None if instead_of is None else instead_of.kid
    usable = [key for key in known if key.kid != shunned and key.may_sign]
    # The newest first: it was made to sign next.
    ways = [run("key", "use", *typed(key.label)) for key in reversed(usable)]
    if ways:
        more = (part for way in ways[1:_NAMED] for part in (", or ", way))
        return Hint(ways[0], *more)
    label = free_label(known)
    generate = run("key", "generate", label, "--backup", "FILE")
    return Hint(generate, ", and then ", run("key", "use", label))


def rollout_finding(key: KeyRecord, present: KeyRecord | None) -> Finding:
    """What speaks against letting a key sign at once.

    Args:
        key: the one that shall sign.
        present: the one that signs now.
    """
    instead = "" if present is None else f"; until they have it, {shown(present.label)} signs on"
    return Finding(
        code=FindingCode.KEY_ROLLOUT,
        message=f"a server that lacks the public half of {shown(key.label)} refuses every file "
        f"that is signed with it{instead}",
        hint=Hint(
            "first give it to every server: ",
            run("key", "export-public", "--all", "--format", "jwks"),
        ),
    )


def activate(
    registry: Registry,
    key: KeyRecord,
    present: KeyRecord | None,
    *,
    consent: Consent,
    now: datetime,
    actor: Actor,
) -> KeyRecord:
    """Let a key sign from now on, and journal who accepted what that means.

    Args:
        registry: where it is pinned.
        key: the one that shall sign.
        present: the one that signed when the finding was shown.
        consent: must cover the finding.
        now: the instant of the change, aware.
        actor: who decides it.

    Raises:
        ExampleKey, RetiredKey, CompromisedKey: (`example_key`, `key_retired`, `key_compromised`)
            for keys that shall not sign.
        ConsentNeeded: (`consent_needed`) when the finding was not accepted.
        RegistryChanged: (`registry_changed`) when another key signs by now than was shown.
    """
    finding = rollout_finding(key, present)
    require([finding], consent)
    with registry.writing(now=now, actor=actor) as db:
        signing = keys.active(db)
        if (signing and signing.kid) != (present and present.kid):
            raise RegistryChanged.since_shown(
                "nothing was changed", hint=Hint("look again: ", run("key", "list"))
            )
        require_usable(keys.find(db, key.kid))
        changed = keys.activate(db, key.kid)
        db.record(
            "key-activated",
            kid=key.kid,
            accepted=consent.used([finding]),
            reason=consent.reason,
            details={"before": present and present.kid},
        )
    return changed
