"""Labels of keys, the active key, and retirement.

Before a key is activated, servers must have its public key. A *retired* key no longer signs, but
its licenses stay valid. Somebody else may have a *compromised* key and can sign anything with any
date, so `iat` does not distinguish a forgery from a license. Servers must remove the key, and every
license signed with it becomes invalid.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from itertools import chain, count
from typing import Final

from polygent_issuer.errors import InputRefused
from polygent_issuer.findings import Consent, Finding, FindingCode, require
from polygent_issuer.keys.stores import require_usable
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
from polygent_issuer.text import Hint, escape, join, run
from polygent_issuer.verifier.license import display_name_problem

_FIRST: Final = "main"
_MOST_COMMANDS: Final = 3


def free_label(known: Iterable[KeyRecord], suggested: str = "") -> str:
    """Return an unused label: the suggested one if it is valid, else `main` or `main-N`."""
    taken = {name for key in known for name in (key.label, key.kid)}
    if suggested not in taken and display_name_problem(suggested) is None:
        return suggested
    labels = chain([_FIRST], (f"{_FIRST}-{number}" for number in count(2)))
    return next(label for label in labels if label not in taken)


def require_free_label(label: str, known: Iterable[KeyRecord]) -> str:
    """Return the label if the registry will accept it for a new key.

    Raises:
        InputRefused: (`input_refused`) for a label that cannot be displayed or is in use.
    """
    problem = display_name_problem(label)
    if problem is not None:
        raise InputRefused(f"invalid label: {problem}", hint="choose another label")
    if any(label in (other.label, other.kid) for other in known):
        raise InputRefused(
            f"the label {escape(label)} is already used by another key",
            hint=Hint(
                "choose another label; to see that key: ", run("key", "show", *label_words(label))
            ),
        )
    return label


def label_words(label: str) -> tuple[str, ...]:
    """Return a label as the last words of a command, after `--` if it begins with a hyphen."""
    return ("--", label) if label.startswith("-") else (label,)


@dataclass(frozen=True, kw_only=True, slots=True)
class Activation:
    """The key to activate, and the key that is active now."""

    key: KeyRecord
    active: KeyRecord | None

    @property
    def needed(self) -> bool:
        """True if the key is not active yet."""
        return self.active is None or self.active.kid != self.key.kid

    @property
    def finding(self) -> Finding:
        """The risk that servers do not have the public key yet."""
        until = f"; {escape(self.active.label)} stays active until then" if self.active else ""
        return Finding(
            code=FindingCode.KEY_ROLLOUT,
            message=f"servers need the public key of {escape(self.key.label)} before they accept "
            f"files that are signed with it{until}",
            hint=Hint(
                "first install it on every server: ",
                run("key", "export-public", "--all", "--format", "jwks"),
            ),
        )


def signing_command(known: Iterable[KeyRecord], *, instead_of: KeyRecord | None = None) -> Hint:
    """Return the command that activates another usable key, or that generates a new one."""
    known = tuple(known)
    if not known:
        return run("key", "generate", "main", "--backup", "FILE")
    usable = [
        key for key in known if key.may_sign and (not instead_of or key.kid != instead_of.kid)
    ]
    if usable:  # the newest first: it was generated as the next one
        commands = [run("key", "use", *label_words(key.label)) for key in reversed(usable)]
        return join(", or ", commands[:_MOST_COMMANDS])
    label = free_label(known)
    generate = run("key", "generate", label, "--backup", "FILE")
    return Hint(generate, ", then ", run("key", "use", label))


def decide_activation(db: Reading, name: str) -> Activation:
    """Decide the activation of a key, named by its label, its kid, or the beginning of either.

    Raises:
        NotFound, Ambiguous: (`not_found`, `ambiguous`) for no such key, or several.
        KeyUnavailable: (`example_key`, `key_retired`, `key_compromised`).
    """
    activation = Activation(key=keys.find(db, name), active=keys.active(db))
    if activation.needed:
        require_usable(activation.key)
    return activation


def activate(decided: Decided[Activation], *, consent: Consent) -> KeyRecord:
    """Activate a key, and record who accepted the risk.

    Raises:
        ConsentNeeded: (`consent_needed`) when a finding was not accepted.
        RegistryChanged: (`registry_changed`) when the key or the active key changed meanwhile.
    """
    key, before = decided.decision.key, decided.decision.active
    findings = (decided.decision.finding, *decided.behind)
    require(findings, consent)

    def write(db: Writing) -> KeyRecord:
        changed = keys.activate(db, key.kid)
        db.record(
            "key-activated",
            kid=key.kid,
            accepted=consent.used(findings),
            reason=consent.reason,
            details={"before": before and before.kid},
        )
        return changed

    return change.carry_out(decided, write, hint=Hint("check the keys: ", run("key", "list")))


@dataclass(frozen=True, kw_only=True, slots=True)
class Retirement:
    """The retirement of a key, and its consequences.

    Two are equal when the records of their keys are equal: a license that was issued meanwhile must
    not stop the retirement of a leaked key.

    Attributes:
        compromised: whether the key is, or will be, marked as compromised.
        since: the time of that mark.
        needed: whether the registry has to change.
        licenses: the current licenses that were signed with the key, sorted by customer.
        last_end: the last expiry of the files signed with it, including replaced ones.
        active: the active key, if it is another one.
        signing_command: the command that activates another key, if none is active.
    """

    key: KeyRecord
    compromised: bool
    since: datetime | None
    needed: bool
    licenses: tuple[LicenseRecord, ...] = field(compare=False)
    last_end: datetime | None = field(compare=False)
    active: KeyRecord | None = field(compare=False)
    signing_command: str | None = field(compare=False)


def decide_retirement(db: Reading, name: str, *, compromised: bool) -> Retirement:
    """Decide the retirement of a key, named by its label, its kid, or the beginning of either.

    A compromised key is retired even while it is active, since others may have it.

    Raises:
        NotFound, Ambiguous: (`not_found`, `ambiguous`) for no such key, or several.
        InputRefused: (`key_signs`) for the active key, unless it is compromised.
    """
    key, known = keys.find(db, name), keys.every(db)
    if key.active and not compromised:
        raise InputRefused(
            f"the key {escape(key.label)} is active and cannot be retired",
            hint=Hint(
                "activate another key first: ",
                signing_command(known, instead_of=key),
                "; if the key may have leaked, retire it at once: ",
                run("key", "retire", "--compromised", *label_words(key.label)),
            ),
            code="key_signs",
        )
    active = next((other for other in known if other.active and other.kid != key.kid), None)
    current = licenses.select(db, kid=key.kid, status=LicenseStatus.CURRENT)
    use = keys.uses(db).get(key.kid)
    return Retirement(
        key=key,
        compromised=compromised or key.compromised,
        since=keys.compromised_since(db, key),
        needed=key.retired_at is None or (compromised and not key.compromised),
        licenses=tuple(sorted(current, key=lambda record: record.customer_slug)),
        last_end=None if use is None else use.last_end,
        active=active,
        signing_command=signing_command(known, instead_of=key) if active is None else None,
    )


def retire(decided: Decided[Retirement], *, reason: str, consent: Consent) -> Retirement:
    """Retire a key, and record who decided it and why.

    Raises:
        ConsentNeeded: (`consent_needed`) when a finding was not accepted.
        RegistryChanged: (`registry_changed`) when the key's record changed meanwhile.
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
        return decide_retirement(db, key.kid, compromised=compromised)

    return change.carry_out(
        decided,
        write,
        undone="nothing was retired",
        hint=Hint("check the key: ", run("key", "show", *label_words(key.label))),
    )
