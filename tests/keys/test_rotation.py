"""Labels of keys, the active key, and retirement."""

from datetime import UTC, datetime, timedelta

import pytest
from support.registries import ACTOR, NOW, YEAR, add_license, writing

from polygent_issuer.errors import InputRefused, KeyUnavailable, RegistryChanged
from polygent_issuer.findings import Consent, ConsentNeeded, FindingCode
from polygent_issuer.keys.lifecycle import KeyLifecycle
from polygent_issuer.keys.rotation import (
    Activation,
    Retirement,
    activate,
    decide_activation,
    decide_retirement,
    free_label,
    require_free_label,
    retire,
    signing_command,
)
from polygent_issuer.keys.signer import generate_private_key
from polygent_issuer.registry import KeyRecord, change, customers, journal, keys
from polygent_issuer.registry.change import Decided
from polygent_issuer.verifier.keys import Key


def key(label: str) -> KeyRecord:
    """A pinned key of this label."""
    public_key = Key.from_public_key(generate_private_key().public_key())
    return KeyRecord(
        kid=public_key.kid,
        label=label,
        public_pem=public_key.to_pem(),
        created_at=datetime(2026, 11, 30, tzinfo=UTC),
        active=False,
        retired_at=None,
        compromised=False,
        backed_up_at=None,
    )


def test_a_free_label_is_the_first_that_is_free() -> None:
    """main, then main-2; a gap is filled."""
    assert free_label(()) == "main"
    assert free_label((key("other"),)) == "main"
    assert free_label((key("main"), key("main-3"))) == "main-2"
    assert free_label((key("main"), key("main-2"))) == "main-3"


def test_a_label_is_of_one_key() -> None:
    """Neither the label nor the kid of another one; an empty one is refused, too."""
    other = key("main")
    require_free_label("second", (other,))
    for label in ("main", other.kid, "", "a\x1bb"):
        with pytest.raises(InputRefused) as raised:
            require_free_label(label, (other,))
        assert raised.value.hint


AGREED = Consent(accepted=frozenset({FindingCode.KEY_ROLLOUT}), reason="rolled out")


def two_keys(custodian: KeyLifecycle) -> tuple[KeyRecord, KeyRecord]:
    """The one that signs, and another."""
    folder = custodian.home
    first, second = (
        custodian.generate(label=name, store_uri=f"file:{folder}/{name}", backup=None).key
        for name in ("one", "two")
    )
    return first, second


def activation(custodian: KeyLifecycle, named: str) -> Decided[Activation]:
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
    assert "servers need the public key of two" in finding.message
    assert "one stays active until then" in finding.message
    assert finding.hint is not None
    assert "export-public --all" in finding.hint
    assert "stays active" not in Activation(key=two, active=None).finding.message


def test_a_change_is_journalled(custodian: KeyLifecycle) -> None:
    """Who accepted what, why, and which key signed before."""
    one, two = two_keys(custodian)
    shown = activation(custodian, "two")
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
    shown = activation(custodian, "two")
    with pytest.raises(ConsentNeeded):
        activate(shown, consent=Consent())
    assert signing(custodian) == "one"


def test_a_change_in_the_meantime_stops_it(custodian: KeyLifecycle) -> None:
    """The consent was given for another situation: another key signs by now."""
    two_keys(custodian)
    custodian.generate(label="three", store_uri=f"file:{custodian.home}/three", backup=None)
    shown = activation(custodian, "two")
    other = activation(custodian, "three")
    activate(other, consent=AGREED)
    with pytest.raises(RegistryChanged) as changed:
        activate(shown, consent=AGREED)
    assert changed.value.hint == "check the keys: polygent-issue key list"
    assert signing(custodian) == "three"


def test_a_key_that_was_retired_in_the_meantime(custodian: KeyLifecycle) -> None:
    """What may not sign does not become the one that does; decided anew, it is refused."""
    _, two = two_keys(custodian)
    shown = activation(custodian, "two")
    with custodian.registry.writing(now=NOW, actor=ACTOR) as db:
        db.update("keys", two.kid, retired_at=db.at)
        db.record("key-retired", kid=two.kid)
    with pytest.raises(RegistryChanged):
        activate(shown, consent=AGREED)
    with pytest.raises(KeyUnavailable, check=lambda error: error.code == "key_retired"):
        activation(custodian, "two")
    assert signing(custodian) == "one"


@pytest.fixture
def two(custodian: KeyLifecycle) -> tuple[KeyRecord, KeyRecord]:
    """The key that signs, with two licenses, and another."""
    one, other = (
        custodian.generate(label=name, store_uri=f"file:{custodian.home}/{name}", backup=None).key
        for name in ("one", "two")
    )
    with writing(custodian.registry) as db:
        zeta = customers.add(db, slug="zeta", name="Zeta")
        acme = customers.add(db, slug="acme", name="Acme")
        add_license(db, 1, zeta, one.kid, expires_at=NOW + YEAR)
        add_license(db, 2, acme, one.kid, expires_at=NOW + 2 * YEAR)
    return one, other


def proposed(
    custodian: KeyLifecycle, named: str, *, compromised: bool = False, now: datetime = NOW
) -> Decided[Retirement]:
    """What would follow, as it is shown."""
    return change.decide(
        custodian.registry,
        lambda db: decide_retirement(db, named, compromised=compromised),
        now=now,
        actor=ACTOR,
    )


def retirement(custodian: KeyLifecycle, named: str, *, compromised: bool = False) -> Retirement:
    """What would follow."""
    return proposed(custodian, named, compromised=compromised).decision


def carry_out(shown: Decided[Retirement], **more: object) -> Retirement:
    """Retire what was shown."""
    given: dict[str, object] = {"consent": Consent(), **more}
    return retire(shown, reason="stolen", **given)  # type: ignore[arg-type]


def test_what_hangs_on_it_is_told_by_customer(
    custodian: KeyLifecycle, two: tuple[KeyRecord, KeyRecord]
) -> None:
    """With the end of the last file, what signs instead, and what lets another one sign."""
    one, other = two
    found = retirement(custodian, "one", compromised=True)
    assert [record.customer_slug for record in found.licenses] == ["acme", "zeta"]
    assert found.last_end == (NOW + 2 * YEAR).replace(microsecond=0)
    assert (found.needed, found.since, found.active) == (True, None, None)
    assert found.signing_command == "polygent-issue key use two"
    spare = retirement(custodian, other.kid)
    assert (spare.active, spare.signing_command) == (one, None)
    assert (spare.licenses, spare.last_end) == ((), None)


@pytest.mark.usefixtures("two")
def test_the_one_that_signs_is_not_retired(custodian: KeyLifecycle) -> None:
    """Unless it is compromised: then nothing signs, and the journal counts what hangs on it."""
    with pytest.raises(InputRefused, check=lambda error: error.code == "key_signs"):
        retirement(custodian, "one")
    done = carry_out(proposed(custodian, "one", compromised=True))
    assert (done.key.active, done.key.compromised, done.since) == (False, True, NOW)
    assert not done.needed
    with custodian.registry.reading() as db:
        assert keys.active(db) is None
        *_, row = journal.rows(db)
    assert (row.event, row.kid, row.reason) == ("key-compromised", done.key.kid, "stolen")
    assert row.details == {"current_licenses": 2, "signed": True}
    assert not retirement(custodian, "one").needed


@pytest.mark.usefixtures("two")
def test_a_finding_needs_consent(custodian: KeyLifecycle) -> None:
    """The core asks for it, too, not the command line alone."""
    shown = proposed(custodian, "two", now=NOW - timedelta(days=1))
    with pytest.raises(ConsentNeeded):
        carry_out(shown)
    consent = Consent(accepted=frozenset({FindingCode.CLOCK_BEHIND}))
    carry_out(shown, consent=consent)
    with custodian.registry.reading() as db:
        *_, row = journal.rows(db)
    assert (row.event, row.accepted) == ("key-retired", ("clock-behind",))


def test_a_key_that_was_changed_in_the_meantime(
    custodian: KeyLifecycle, two: tuple[KeyRecord, KeyRecord]
) -> None:
    """What was shown no longer holds."""
    shown = proposed(custodian, "two")
    with writing(custodian.registry) as db:
        keys.activate(db, two[1].kid)
    with pytest.raises(RegistryChanged) as changed:
        carry_out(shown)
    assert changed.value.hint == "check the key: polygent-issue key show two"


def test_a_license_in_the_meantime_stops_no_retirement(
    custodian: KeyLifecycle, two: tuple[KeyRecord, KeyRecord]
) -> None:
    """A leaked key is retired all the same, and the new license is told with the others."""
    shown = proposed(custodian, "one", compromised=True)
    with writing(custodian.registry) as db:
        add_license(db, 3, customers.get(db, "acme"), two[0].kid)
    done = carry_out(shown)
    assert done.key.compromised
    assert (len(shown.decision.licenses), len(done.licenses)) == (2, 3)


def test_what_lets_a_key_sign(custodian: KeyLifecycle, two: tuple[KeyRecord, KeyRecord]) -> None:
    """One that may, the newest first and at most three; else a new one, under a free label."""
    use = "polygent-issue key use"
    assert signing_command(()) == "polygent-issue key generate main --backup FILE"
    assert signing_command(two) == f"{use} two, or {use} one"
    assert signing_command(two, instead_of=two[1]) == f"{use} one"
    assert signing_command(two * 2).count(use) == 3
    carry_out(proposed(custodian, "one", compromised=True))
    carry_out(proposed(custodian, "two"))
    with custodian.registry.reading() as db:
        ended = keys.every(db)
    make = "polygent-issue key generate main --backup FILE"
    assert signing_command(ended) == f"{make}, then {use} main"
