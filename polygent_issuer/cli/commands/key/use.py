"""`polygent-issue key use`: select the key that signs new licenses."""

from polygent_issuer.cli import consent
from polygent_issuer.cli.context import Invocation
from polygent_issuer.cli.options.common import KeyName
from polygent_issuer.cli.output.key import key_json, way_back
from polygent_issuer.cli.output.model import Line
from polygent_issuer.cli.output.result import Report
from polygent_issuer.hints import run
from polygent_issuer.keys import rotation
from polygent_issuer.keys.rotation import label_words
from polygent_issuer.keys.signer import Presence
from polygent_issuer.keys.signing import place_of, presence
from polygent_issuer.registry import KeyRecord


def use(invocation: Invocation, key: KeyName, *, consents: consent.ConsentOptions) -> Report:
    """Select the key that signs new licenses.

    The key becomes active: commands sign with it unless --key selects another. Servers need its
    public key before they can accept new licenses, so this needs consent (key-rollout).
    """
    decided = invocation.decide(lambda db: rotation.decide_activation(db, key))
    chosen, before = decided.decision.key, decided.decision.active
    store = place_of(invocation.settings, chosen.kid)
    if not decided.decision.needed:
        return _report(chosen, before, store)
    if presence(invocation.settings, chosen.kid) is Presence.ABSENT:
        invocation.warn(
            f"the private key of {chosen.label} is not in {store}{way_back(chosen, store)}"
        )
    typed = consent.parse_consent(consents)
    agreed = consent.obtain(invocation, [decided.decision.finding, *decided.behind], typed)
    activated = rotation.activate(decided, consent=agreed)
    return _report(activated, before, store)


def _report(key: KeyRecord, before: KeyRecord | None, store: str) -> Report:
    changed = before is None or before.kid != key.kid
    old, kid = ("none", None) if before is None else (before.label, before.kid)
    text = [Line(f"{key.label} is already the active key; nothing was changed", "dim")]
    if changed:
        text = [Line(f"active key: {old} → {key.label}", "good")]
    if changed and before is not None:
        retire = run("key", "retire", *label_words(before.label))
        text += [
            Line("licenses signed with the old key stay valid; servers must keep its public key"),
            Line(f"to prevent signing with the old key by mistake: {retire}", "dim"),
        ]
    return Report({"key": key_json(key, store), "before": kid, "changed": changed}, text)
