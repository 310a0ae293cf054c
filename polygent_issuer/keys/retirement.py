"""The end of a key: it signs no more, and what was signed with it is led to another.

A *retired* key is as good as ever: its licenses run on and still verify. A *compromised* one is in
other hands, perhaps: whoever has it signs what they like and dates it as they like, so `iat`
cannot tell a forgery from a license. Servers must drop it, and with it every license under it.
"""

from dataclasses import dataclass, field
from datetime import datetime

from polygent_issuer.findings import Consent, require
from polygent_issuer.hints import Hint, run
from polygent_issuer.keys.activation import signing_command
from polygent_issuer.keys.errors import KeySigns
from polygent_issuer.keys.labels import typed
from polygent_issuer.registry import (
    KeyRecord,
    LicenseRecord,
    LicenseStatus,
    Reading,
    Writing,
    change,
    keys,
    licenses,
)
from polygent_issuer.registry.change import Decided
from polygent_issuer.text import escape


@dataclass(frozen=True, kw_only=True, slots=True)
class Retirement:
    """What the end of a key means.

    Two are equal when the key is recorded alike: a license that was issued meanwhile must not stop
    the retirement of a leaked key.

    Attributes:
        key: as it is recorded.
        compromised: whether it is to be marked so.
        since: since when it is marked so.
        needed: whether anything is to be written; else it is so already.
        hanging: the current licenses that were signed with it, by customer.
        last_end: when the last file under it ends, also of a license that was replaced; None when
            there never was one.
        signs: the key that signs once this one does not, if that is decided.
        signing_command: the command that lets another one sign, where none does.
    """

    key: KeyRecord
    compromised: bool
    since: datetime | None
    needed: bool
    hanging: tuple[LicenseRecord, ...] = field(compare=False)
    last_end: datetime | None = field(compare=False)
    signs: KeyRecord | None = field(compare=False)
    signing_command: str | None = field(compare=False)


def decide(db: Reading, named: str, *, compromised: bool) -> Retirement:
    """What would follow; nothing is written.

    Args:
        named: a label, a kid, or the beginning of one.
        compromised: whether others may hold the key: then it is taken even while it signs.

    Raises:
        NotFound, Ambiguous: (`not_found`, `ambiguous`) no such key, or several.
        KeySigns: (`key_signs`) for the key that signs, unless it is compromised.
    """
    key, known = keys.find(db, named), keys.every(db)
    if key.active and not compromised:
        raise _refuse_signing(key, known)
    signs = next((other for other in known if other.active and other.kid != key.kid), None)
    current = licenses.select(db, kid=key.kid, status=LicenseStatus.CURRENT)
    use = keys.uses(db).get(key.kid)
    return Retirement(
        key=key,
        compromised=compromised or key.compromised,
        since=keys.compromised_since(db, key),
        needed=key.retired_at is None or (compromised and not key.compromised),
        hanging=tuple(sorted(current, key=lambda record: record.customer_slug)),
        last_end=None if use is None else use.last_end,
        signs=signs,
        signing_command=signing_command(known, instead_of=key) if signs is None else None,
    )


def retire(
    decided: Decided[Retirement],
    *,
    reason: str,
    consent: Consent,
) -> Retirement:
    """Carry out what was shown, and journal who decided it and why.

    Args:
        decided: what `decide` said; shown to the operator.
        reason: why; kept in the journal.
        consent: must cover a clock that is behind.

    Raises:
        ConsentNeeded: (`consent_needed`) when a finding was not accepted.
        RegistryChanged: (`registry_changed`) when the key's record has changed since.
    """
    require(decided.behind, consent)
    key, compromised = decided.decision.key, decided.decision.compromised

    def write(db: Writing) -> Retirement:
        keys.retire(db, key.kid, compromised=compromised)
        current = licenses.select(db, kid=key.kid, status=LicenseStatus.CURRENT)
        db.record(
            "key-compromised" if compromised else "key-retired",
            kid=key.kid,
            accepted=consent.used(decided.behind),
            reason=reason,
            details={"current_licenses": sum(1 for _ in current), "signed": key.active},
        )
        return decide(db, key.kid, compromised=compromised)

    return change.carry_out(
        decided,
        write,
        undone="nothing was retired",
        hint=Hint("look again: ", run("key", "show", *typed(key.label))),
    )


def _refuse_signing(key: KeyRecord, known: tuple[KeyRecord, ...]) -> KeySigns:
    return KeySigns(
        f"the key {escape(key.label)} is the one that signs",
        hint=Hint(
            "let another one sign first: ",
            signing_command(known, instead_of=key),
            "; if others may hold it, at once: ",
            run("key", "retire", "--compromised", *typed(key.label)),
        ),
    )
