"""Which key signs: changing it is a roll-out, since servers must know the new one first."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from polygent_issuer.findings import Consent, Finding, FindingCode, require
from polygent_issuer.hints import Hint, join, run
from polygent_issuer.keys.labels import free_label, typed
from polygent_issuer.keys.signing import require_usable
from polygent_issuer.registry import KeyRecord, Reading, Writing, change, keys
from polygent_issuer.registry.change import Decided
from polygent_issuer.text import escape

_NAMED: Final = 3


@dataclass(frozen=True, kw_only=True, slots=True)
class Activation:
    """A change of the key that signs; two are equal when they rest on the same facts.

    Attributes:
        key: the one that shall sign.
        present: the one that signs now.
    """

    key: KeyRecord
    present: KeyRecord | None

    @property
    def needed(self) -> bool:
        """Whether it is another one."""
        return self.present is None or self.present.kid != self.key.kid

    @property
    def finding(self) -> Finding:
        """What speaks against letting a key sign at once."""
        label = escape(self.key.label)
        instead = (
            ""
            if self.present is None
            else f"; until they have it, {escape(self.present.label)} signs on"
        )
        return Finding(
            code=FindingCode.KEY_ROLLOUT,
            message=f"a server that lacks the public half of {label} refuses every file "
            f"that is signed with it{instead}",
            hint=Hint(
                "first give it to every server: ",
                run("key", "export-public", "--all", "--format", "jwks"),
            ),
        )


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
        return join(", or ", ways[:_NAMED])
    label = free_label(known)
    generate = run("key", "generate", label, "--backup", "FILE")
    return Hint(generate, ", and then ", run("key", "use", label))


def decide(db: Reading, named: str) -> Activation:
    """What would follow; nothing is written.

    Args:
        named: a label, a kid, or the beginning of one.

    Raises:
        NotFound, Ambiguous: (`not_found`, `ambiguous`) no such key, or several.
        ExampleKey, RetiredKey, CompromisedKey: (`example_key`, `key_retired`, `key_compromised`)
            for keys that shall not sign.
    """
    decided = Activation(key=keys.find(db, named), present=keys.active(db))
    if decided.needed:
        require_usable(decided.key)
    return decided


def activate(
    decided: Decided[Activation],
    *,
    consent: Consent,
) -> KeyRecord:
    """Let a key sign from now on, and journal who accepted what that means.

    Args:
        decided: what `decide` said; shown to the operator.
        consent: must cover the finding.

    Raises:
        ConsentNeeded: (`consent_needed`) when the finding was not accepted.
        RegistryChanged: (`registry_changed`) when the key, or the one that signs, changed since.
    """
    key, present = decided.decision.key, decided.decision.present
    finding = decided.decision.finding
    require([finding], consent)

    def write(db: Writing) -> KeyRecord:
        changed = keys.activate(db, key.kid)
        db.record(
            "key-activated",
            kid=key.kid,
            accepted=consent.used([finding]),
            reason=consent.reason,
            details={"before": present and present.kid},
        )
        return changed

    hint = Hint("look again: ", run("key", "list"))
    return change.carry_out(decided, write, hint=hint)
