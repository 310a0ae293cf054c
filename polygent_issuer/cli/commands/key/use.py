"""`polygent-issue key use`: which key signs."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from polygent_issuer.cli import consent
from polygent_issuer.cli.commands.key.show import KeyName
from polygent_issuer.cli.consent import ConsentOptions
from polygent_issuer.cli.context import Invocation
from polygent_issuer.cli.output.key import key_json, way_back
from polygent_issuer.cli.output.model import Block, Line
from polygent_issuer.cli.output.result import Result
from polygent_issuer.hints import run
from polygent_issuer.keys import rotation
from polygent_issuer.keys.rotation import label_words
from polygent_issuer.keys.signer import Presence
from polygent_issuer.keys.signing import place_of, presence
from polygent_issuer.registry import KeyRecord


@dataclass(frozen=True, kw_only=True, slots=True)
class Activated(Result):
    """The key that signs from now on, and the one that did before."""

    key: KeyRecord
    before: KeyRecord | None
    store: str

    @property
    def changed(self) -> bool:
        """Whether it was another one."""
        return self.before is None or self.before.kid != self.key.kid

    def to_json(self) -> Mapping[str, Any]:
        """`key` that signs, the kid `before`, and whether that is a change."""
        return {
            "key": key_json(self.key, self.store),
            "before": None if self.before is None else self.before.kid,
            "changed": self.changed,
        }

    def blocks(self) -> Iterable[Block]:
        """Old → new."""
        if not self.changed:
            yield Line(f"{self.key.label} signs, as before", "dim")
            return
        old = "none" if self.before is None else self.before.label
        yield Line(f"signing key: {old} → {self.key.label}", "good")
        if self.before is not None:
            yield Line("licenses under the old key stay as they are, and so must its public half")
            retire = run("key", "retire", *label_words(self.before.label))
            yield Line(f"so that nothing is signed with it by mistake: {retire}", "dim")


def use(invocation: Invocation, key: KeyName, *, consents: ConsentOptions) -> Activated:
    """Sign with this key from now on, unless --key names another.

    The servers need its public half first, so this needs consent (key-rollout).
    """
    decided = invocation.decide(lambda db: rotation.decide_activation(db, key))
    chosen, before = decided.decision.key, decided.decision.active
    store = place_of(invocation.settings, chosen.kid)
    if not decided.decision.needed:
        return Activated(key=chosen, before=before, store=store)
    if presence(invocation.settings, chosen.kid) is Presence.ABSENT:
        invocation.warn(f"the private half of {chosen.label} is not in {store}{way_back(chosen)}")
    given = consent.given(consents)
    agreed = consent.obtain(invocation, [decided.decision.finding, *decided.behind], given)
    activated = rotation.activate(decided, consent=agreed)
    return Activated(key=activated, before=before, store=store)
