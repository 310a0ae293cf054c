"""Which key signs: a change needs consent, and is decided on what was shown."""

import pytest
from support.registries import ACTOR, NOW

from polygent_issuer.errors import RegistryChanged
from polygent_issuer.findings import Consent, ConsentNeeded, FindingCode
from polygent_issuer.keys.errors import RetiredKey
from polygent_issuer.keys.lifecycle import KeyLifecycle
from polygent_issuer.keys.rotation import Activation, activate, decide_activation
from polygent_issuer.registry import KeyRecord, change, journal, keys
from polygent_issuer.registry.change import Decided

AGREED = Consent(accepted=frozenset({FindingCode.KEY_ROLLOUT}), reason="rolled out")


def two_keys(custodian: KeyLifecycle) -> tuple[KeyRecord, KeyRecord]:
    """The one that signs, and another."""
    folder = custodian.home
    first, second = (
        custodian.generate(label=name, store_uri=f"file:{folder}/{name}", backup=None).key
        for name in ("one", "two")
    )
    return first, second


def decided(custodian: KeyLifecycle, named: str) -> Decided[Activation]:
    """What would follow."""
    return change.decide(
        custodian.registry, lambda db: decide_activation(db, named), now=NOW, actor=ACTOR
    )


def signing(custodian: KeyLifecycle) -> str:
    """The label of the key that signs."""
    with custodian.registry.reading() as db:
        active = keys.active(db)
    assert active is not None
    return active.label


def test_the_finding_names_both(custodian: KeyLifecycle) -> None:
    """What happens to a server that is not ready, what signs until then, and what to do first."""
    one, two = two_keys(custodian)
    finding = Activation(key=two, active=one).finding
    assert finding.code == "key-rollout"
    assert "lacks the public half of two" in finding.message
    assert "one signs on" in finding.message
    assert finding.hint is not None
    assert "export-public --all" in finding.hint
    assert "signs on" not in Activation(key=two, active=None).finding.message


def test_a_change_is_journalled(custodian: KeyLifecycle) -> None:
    """Who accepted what, why, and which key signed before."""
    one, two = two_keys(custodian)
    shown = decided(custodian, "two")
    changed = activate(shown, consent=AGREED)
    assert (changed.kid, changed.active) == (two.kid, True)
    with custodian.registry.reading() as db:
        *_, row = journal.rows(db)
    assert (row.event, row.kid, row.operator) == ("key-activated", two.kid, "Ada")
    assert (row.accepted, row.reason) == (("key-rollout",), "rolled out")
    assert row.details == {"before": one.kid}


def test_nothing_changes_without_consent(custodian: KeyLifecycle) -> None:
    """The core asks for it, too, not the command line alone."""
    two_keys(custodian)
    shown = decided(custodian, "two")
    with pytest.raises(ConsentNeeded):
        activate(shown, consent=Consent())
    assert signing(custodian) == "one"


def test_a_change_in_the_meantime_stops_it(custodian: KeyLifecycle) -> None:
    """The consent was given for another situation: another key signs by now."""
    two_keys(custodian)
    custodian.generate(label="three", store_uri=f"file:{custodian.home}/three", backup=None)
    shown = decided(custodian, "two")
    other = decided(custodian, "three")
    activate(other, consent=AGREED)
    with pytest.raises(RegistryChanged) as changed:
        activate(shown, consent=AGREED)
    assert changed.value.hint == "look again: polygent-issue key list"
    assert signing(custodian) == "three"


def test_a_key_that_was_retired_in_the_meantime(custodian: KeyLifecycle) -> None:
    """What may not sign does not become the one that does; decided anew, it is refused."""
    _, two = two_keys(custodian)
    shown = decided(custodian, "two")
    with custodian.registry.writing(now=NOW, actor=ACTOR) as db:
        db.update("keys", two.kid, retired_at=db.at)
        db.record("key-retired", kid=two.kid)
    with pytest.raises(RegistryChanged):
        activate(shown, consent=AGREED)
    with pytest.raises(RetiredKey):
        decided(custodian, "two")
    assert signing(custodian) == "one"
