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
    """Return a pinned key with this label."""
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


def test_the_first_free_label_is_used() -> None:
    """The labels are main, main-2 and so on; a gap is filled."""
    assert free_label(()) == "main"
    assert free_label((key("other"),)) == "main"
    assert free_label((key("main"), key("main-3"))) == "main-2"
    assert free_label((key("main"), key("main-2"))) == "main-3"


def test_a_label_belongs_to_one_key() -> None:
    """The label or kid of another key, and an empty label, are refused."""
    other = key("main")
    require_free_label("second", (other,))
    for label in ("main", other.kid, "", "a\x1bb"):
        with pytest.raises(InputRefused) as raised:
            require_free_label(label, (other,))
        assert raised.value.hint


AGREED = Consent(accepted=frozenset({FindingCode.KEY_ROLLOUT}), reason="rolled out")


def two_keys(key_lifecycle: KeyLifecycle) -> tuple[KeyRecord, KeyRecord]:
    """Generate an active key and another one."""
    folder = key_lifecycle.home
    first, second = (
        key_lifecycle.generate(label=name, store_uri=f"file:{folder}/{name}", backup=None).key
        for name in ("one", "two")
    )
    return first, second


def activation(key_lifecycle: KeyLifecycle, named: str) -> Decided[Activation]:
    """Decide an activation."""
    return change.decide(
        key_lifecycle.registry, lambda db: decide_activation(db, named), now=NOW, actor=ACTOR
    )


def signing(key_lifecycle: KeyLifecycle) -> str:
    """Return the label of the active key."""
    with key_lifecycle.registry.reading() as db:
        active = keys.active(db)
    assert active is not None
    return active.label


def test_the_finding_names_both_keys(key_lifecycle: KeyLifecycle) -> None:
    """The finding has the risk for servers, the key that stays active, and the first step."""
    one, two = two_keys(key_lifecycle)
    finding = Activation(key=two, active=one).finding
    assert finding.code == "key-rollout"
    assert "servers need the public key of two" in finding.message
    assert "one stays active until then" in finding.message
    assert finding.hint is not None
    assert "export-public --all" in finding.hint
    assert "stays active" not in Activation(key=two, active=None).finding.message


def test_an_activation_is_journalled(key_lifecycle: KeyLifecycle) -> None:
    """The journal row has the accepted finding, the reason, and the key that was active."""
    one, two = two_keys(key_lifecycle)
    shown = activation(key_lifecycle, "two")
    changed = activate(shown, consent=AGREED)
    assert (changed.kid, changed.active) == (two.kid, True)
    with key_lifecycle.registry.reading() as db:
        *_, row = journal.rows(db)
    assert (row.event, row.kid, row.operator) == ("key-activated", two.kid, "Ada")
    assert (row.accepted, row.reason) == (("key-rollout",), "rolled out")
    assert row.details == {"before": one.kid}


def test_nothing_changes_without_consent(key_lifecycle: KeyLifecycle) -> None:
    """The core also requires consent, not only the command line."""
    two_keys(key_lifecycle)
    shown = activation(key_lifecycle, "two")
    with pytest.raises(ConsentNeeded):
        activate(shown, consent=Consent())
    assert signing(key_lifecycle) == "one"


def test_an_activation_stops_if_the_active_key_changed(key_lifecycle: KeyLifecycle) -> None:
    """The consent was for another situation."""
    two_keys(key_lifecycle)
    key_lifecycle.generate(label="three", store_uri=f"file:{key_lifecycle.home}/three", backup=None)
    shown = activation(key_lifecycle, "two")
    other = activation(key_lifecycle, "three")
    activate(other, consent=AGREED)
    with pytest.raises(RegistryChanged) as changed:
        activate(shown, consent=AGREED)
    assert changed.value.hint == "check the keys: polygent-issue key list"
    assert signing(key_lifecycle) == "three"


def test_a_key_that_was_retired_meanwhile_is_not_activated(key_lifecycle: KeyLifecycle) -> None:
    """A new decision is refused, too."""
    _, two = two_keys(key_lifecycle)
    shown = activation(key_lifecycle, "two")
    with key_lifecycle.registry.writing(now=NOW, actor=ACTOR) as db:
        db.update("keys", two.kid, retired_at=db.at)
        db.record("key-retired", kid=two.kid)
    with pytest.raises(RegistryChanged):
        activate(shown, consent=AGREED)
    with pytest.raises(KeyUnavailable, check=lambda error: error.code == "key_retired"):
        activation(key_lifecycle, "two")
    assert signing(key_lifecycle) == "one"


@pytest.fixture
def two(key_lifecycle: KeyLifecycle) -> tuple[KeyRecord, KeyRecord]:
    """The active key, with two licenses, and another key."""
    one, other = (
        key_lifecycle.generate(
            label=name, store_uri=f"file:{key_lifecycle.home}/{name}", backup=None
        ).key
        for name in ("one", "two")
    )
    with writing(key_lifecycle.registry) as db:
        zeta = customers.add(db, slug="zeta", name="Zeta")
        acme = customers.add(db, slug="acme", name="Acme")
        add_license(db, 1, zeta, one.kid, expires_at=NOW + YEAR)
        add_license(db, 2, acme, one.kid, expires_at=NOW + 2 * YEAR)
    return one, other


def proposed(
    key_lifecycle: KeyLifecycle, named: str, *, compromised: bool = False, now: datetime = NOW
) -> Decided[Retirement]:
    """Decide a retirement to carry out."""
    return change.decide(
        key_lifecycle.registry,
        lambda db: decide_retirement(db, named, compromised=compromised),
        now=now,
        actor=ACTOR,
    )


def retirement(key_lifecycle: KeyLifecycle, named: str, *, compromised: bool = False) -> Retirement:
    """Decide a retirement."""
    return proposed(key_lifecycle, named, compromised=compromised).decision


def carry_out(shown: Decided[Retirement], **more: object) -> Retirement:
    """Carry out a retirement."""
    given: dict[str, object] = {"consent": Consent(), **more}
    return retire(shown, reason="stolen", **given)  # type: ignore[arg-type]


def test_a_retirement_lists_the_licenses_by_customer(
    key_lifecycle: KeyLifecycle, two: tuple[KeyRecord, KeyRecord]
) -> None:
    """The decision has the last expiry, the active key, and the command that activates another."""
    one, other = two
    decision = retirement(key_lifecycle, "one", compromised=True)
    assert [record.customer_slug for record in decision.licenses] == ["acme", "zeta"]
    assert decision.last_end == (NOW + 2 * YEAR).replace(microsecond=0)
    assert (decision.needed, decision.since, decision.active) == (True, None, None)
    assert decision.signing_command == "polygent-issue key use two"
    spare = retirement(key_lifecycle, other.kid)
    assert (spare.active, spare.signing_command) == (one, None)
    assert (spare.licenses, spare.last_end) == ((), None)


@pytest.mark.usefixtures("two")
def test_the_active_key_is_not_retired(key_lifecycle: KeyLifecycle) -> None:
    """Only a compromised active key is retired; the journal counts its current licenses."""
    with pytest.raises(InputRefused, check=lambda error: error.code == "key_signs"):
        retirement(key_lifecycle, "one")
    done = carry_out(proposed(key_lifecycle, "one", compromised=True))
    assert (done.key.active, done.key.compromised, done.since) == (False, True, NOW)
    assert not done.needed
    with key_lifecycle.registry.reading() as db:
        assert keys.active(db) is None
        *_, row = journal.rows(db)
    assert (row.event, row.kid, row.reason) == ("key-compromised", done.key.kid, "stolen")
    assert row.details == {"current_licenses": 2, "signed": True}
    assert not retirement(key_lifecycle, "one").needed


@pytest.mark.usefixtures("two")
def test_a_finding_needs_consent(key_lifecycle: KeyLifecycle) -> None:
    """The core also requires consent, not only the command line."""
    shown = proposed(key_lifecycle, "two", now=NOW - timedelta(days=1))
    with pytest.raises(ConsentNeeded):
        carry_out(shown)
    consent = Consent(accepted=frozenset({FindingCode.CLOCK_BEHIND}))
    carry_out(shown, consent=consent)
    with key_lifecycle.registry.reading() as db:
        *_, row = journal.rows(db)
    assert (row.event, row.accepted) == ("key-retired", ("clock-behind",))


def test_a_retirement_stops_if_the_key_changed(
    key_lifecycle: KeyLifecycle, two: tuple[KeyRecord, KeyRecord]
) -> None:
    """The preview is outdated if the key was changed meanwhile."""
    shown = proposed(key_lifecycle, "two")
    with writing(key_lifecycle.registry) as db:
        keys.activate(db, two[1].kid)
    with pytest.raises(RegistryChanged) as changed:
        carry_out(shown)
    assert changed.value.hint == "check the key: polygent-issue key show two"


def test_a_license_issued_meanwhile_does_not_stop_a_retirement(
    key_lifecycle: KeyLifecycle, two: tuple[KeyRecord, KeyRecord]
) -> None:
    """A leaked key is still retired, and the result lists the new license."""
    shown = proposed(key_lifecycle, "one", compromised=True)
    with writing(key_lifecycle.registry) as db:
        add_license(db, 3, customers.get(db, "acme"), two[0].kid)
    done = carry_out(shown)
    assert done.key.compromised
    assert (len(shown.decision.licenses), len(done.licenses)) == (2, 3)


def test_the_command_that_activates_a_key(
    key_lifecycle: KeyLifecycle, two: tuple[KeyRecord, KeyRecord]
) -> None:
    """At most three usable keys are named, the newest first, else a new one with a free label."""
    use = "polygent-issue key use"
    assert signing_command(()) == "polygent-issue key generate main --backup FILE"
    assert signing_command(two) == f"{use} two, or {use} one"
    assert signing_command(two, instead_of=two[1]) == f"{use} one"
    assert signing_command(two * 2).count(use) == 3
    carry_out(proposed(key_lifecycle, "one", compromised=True))
    carry_out(proposed(key_lifecycle, "two"))
    with key_lifecycle.registry.reading() as db:
        ended = keys.every(db)
    make = "polygent-issue key generate main --backup FILE"
    assert signing_command(ended) == f"{make}, then {use} main"
