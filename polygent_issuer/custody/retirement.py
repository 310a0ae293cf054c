"""The end of a key: it signs no more, and what was signed with it is led to another.

A *retired* key is as good as ever: its licenses run on and still verify. A *compromised* one is in
other hands, perhaps: whoever has it signs what they like and dates it as they like, so `iat`
cannot tell a forgery from a license. Servers must drop it, and with it every license under it.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from polygent_issuer.errors import InputRefused, RegistryChanged
from polygent_issuer.findings import Consent, Finding, require
from polygent_issuer.registry import (
    Actor,
    KeyRecord,
    LicenseRecord,
    LicenseStatus,
    Reading,
    Registry,
    keys,
    licenses,
)
from polygent_issuer.text import for_shell, shown


@dataclass(frozen=True, kw_only=True, slots=True)
class Retirement:
    """What the end of a key means; two are equal when they rest on the same facts.

    Attributes:
        key: as it is recorded.
        compromised: whether it is to be marked so.
        needed: whether anything is to be written; else it is so already.
        hanging: the current licenses that were signed with it, the first to expire first.
        signs: the key that signs once this one does not, if that is decided.
        others: the other keys that may sign.
    """

    key: KeyRecord
    compromised: bool
    needed: bool
    hanging: tuple[LicenseRecord, ...]
    signs: KeyRecord | None
    others: tuple[KeyRecord, ...]


def decide(db: Reading, typed: str, *, compromised: bool) -> Retirement:
    """What would follow; nothing is written.

    Args:
        typed: a label, a kid, or the beginning of one.
        compromised: whether others may hold the key: then it is taken even while it signs.

    Raises:
        NotFound, Ambiguous: (`not_found`, `ambiguous`) no such key, or several.
        InputRefused: (`input_refused`) for the key that signs, unless it is compromised.
    """
    key = keys.find(db, typed)
    usable = tuple(
        other
        for other in keys.every(db)
        if other.kid != key.kid and other.retired_at is None and not other.compromised
    )
    needed = key.retired_at is None or (compromised and not key.compromised)
    if key.active and not compromised:
        raise _signs(key, usable)
    signs = keys.active(db)
    current = licenses.select(db, kid=key.kid, status=LicenseStatus.CURRENT)
    return Retirement(
        key=key,
        compromised=compromised or key.compromised,
        needed=needed,
        hanging=tuple(current),
        signs=None if signs is None or signs.kid == key.kid else signs,
        others=usable,
    )


def retire(
    registry: Registry,
    decided: Retirement,
    *,
    reason: str,
    findings: Iterable[Finding] = (),
    consent: Consent,
    now: datetime,
    actor: Actor,
) -> Retirement:
    """Carry out what was shown, and journal who decided it and why.

    Args:
        registry: where the key is pinned.
        decided: what `decide` said; shown to the operator.
        reason: why; kept in the journal.
        findings: what was found beside it; `consent` must cover it.
        now: the instant of the change, aware.
        actor: who decides it.

    Raises:
        ConsentNeeded: (`consent_needed`) when a finding was not accepted.
        RegistryChanged: (`registry_changed`) when the key's record has changed since.
    """
    findings = tuple(findings)
    require(findings, consent)
    key = decided.key
    with registry.writing(now=now, actor=actor) as db:
        if keys.find(db, key.kid) != key:
            raise RegistryChanged(
                "somebody else has changed this key in the meantime",
                hint=f"look again: polygent-issue key show {key.kid[:8]}",
            )
        keys.retire(db, key.kid, compromised=decided.compromised)
        db.record(
            "key-compromised" if decided.compromised else "key-retired",
            kid=key.kid,
            accepted=consent.used(findings),
            reason=reason,
            details={"current_licenses": len(decided.hanging), "signed": key.active},
        )
        return decide(db, key.kid, compromised=decided.compromised)


def _signs(key: KeyRecord, usable: tuple[KeyRecord, ...]) -> InputRefused:
    if usable:
        labels = " or ".join(f"`polygent-issue key use {for_shell(k.label)}`" for k in usable[:2])
        hint = f"let another one sign first: {labels}"
    else:
        hint = "make another one first: polygent-issue key generate, and then key use"
    return InputRefused(
        f"the key {shown(key.label)} is the one that signs",
        hint=f"{hint}; if others may hold it: --compromised",
    )
