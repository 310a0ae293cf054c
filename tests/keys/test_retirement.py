"""The end of a key: decided on what was shown, journalled, and never taken back."""

from datetime import datetime, timedelta

import pytest
from support.registries import ACTOR, NOW, YEAR, add_license, writing

from polygent_issuer.errors import RegistryChanged
from polygent_issuer.findings import Consent, ConsentNeeded, FindingCode
from polygent_issuer.keys.errors import KeySigns
from polygent_issuer.keys.lifecycle import KeyLifecycle
from polygent_issuer.keys.rotation import Retirement, decide_retirement, retire, signing_command
from polygent_issuer.registry import KeyRecord, change, customers, journal, keys
from polygent_issuer.registry.change import Decided


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


def decided(custodian: KeyLifecycle, named: str, *, compromised: bool = False) -> Retirement:
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
    found = decided(custodian, "one", compromised=True)
    assert [record.customer_slug for record in found.licenses] == ["acme", "zeta"]
    assert found.last_end == (NOW + 2 * YEAR).replace(microsecond=0)
    assert (found.needed, found.since, found.active) == (True, None, None)
    assert found.signing_command == "polygent-issue key use two"
    spare = decided(custodian, other.kid)
    assert (spare.active, spare.signing_command) == (one, None)
    assert (spare.licenses, spare.last_end) == ((), None)


@pytest.mark.usefixtures("two")
def test_the_one_that_signs_is_not_retired(custodian: KeyLifecycle) -> None:
    """Unless it is compromised: then nothing signs, and the journal counts what hangs on it."""
    with pytest.raises(KeySigns):
        decided(custodian, "one")
    done = carry_out(proposed(custodian, "one", compromised=True))
    assert (done.key.active, done.key.compromised, done.since) == (False, True, NOW)
    assert not done.needed
    with custodian.registry.reading() as db:
        assert keys.active(db) is None
        *_, row = journal.rows(db)
    assert (row.event, row.kid, row.reason) == ("key-compromised", done.key.kid, "stolen")
    assert row.details == {"current_licenses": 2, "signed": True}
    assert not decided(custodian, "one").needed


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
    assert changed.value.hint == "look again: polygent-issue key show two"


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
    assert signing_command(ended) == f"{make}, and then {use} main"
