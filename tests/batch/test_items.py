"""Previews: items are decided in order and counted, with one digest."""

from datetime import timedelta

import pytest
from support.batches import Batches, accepting
from support.office import NOW

from polygent_issuer.batch.items import Decision, Job, digest, shortened
from polygent_issuer.findings import Consent, FindingCode
from polygent_issuer.registry import Reading, journal
from polygent_issuer.registry.errors import RegistryFailed

ROWS = "".join(
    f'[[license]]\ncustomer = "c{number}"\n{more}\n'
    for number, more in ((1, ""), (2, "users = 5"), (3, ""), (4, 'plan = ""\nusers = 0'))
)


def filled(batches: Batches) -> Batches:
    """Four customers, two of them with licenses that are due."""
    batches.crowd(2)
    batches.crowd(2, first=3, expires_at=NOW + timedelta(days=300))
    return batches


def test_items_are_counted(batches: Batches) -> None:
    """Actions, kept and refused items, and stopping findings are counted; nothing is written."""
    filled(batches)
    with batches.office.registry.reading() as db:
        head = journal.head(db)
    review, seen = batches.preview(batches.rows(ROWS))
    assert dict(review.actions) == {"renew": 2, "keep": 1, "refused": 1}
    assert dict(review.missing) == {"entitlement-loss": 1}
    assert (review.issues, review.ready) == (2, 1)
    assert [each.job.subject for each in seen] == ["c1", "c2", "c3", "plan.toml, license 4"]
    with batches.office.registry.reading() as db:
        assert journal.head(db) == head
    assert batches.unlocked == 0


def test_consent_makes_items_ready(batches: Batches) -> None:
    """With consent the decisions and the digest are the same, and no finding stops an item."""
    filled(batches)
    before = batches.preview(batches.rows(ROWS))[0]
    consent = accepting(FindingCode.ENTITLEMENT_LOSS)
    after = batches.preview(batches.rows(ROWS, consent=consent))[0]
    assert (after.ready, dict(after.missing)) == (2, {})
    assert after.digest == before.digest


def test_the_digest_depends_on_the_order(batches: Batches) -> None:
    """Two previews of the same items in different orders have different digests."""
    batches.crowd(2)
    forth, _ = batches.preview(batches.renewals().of_customers(["c1", "c2"]))
    back, _ = batches.preview(batches.renewals().of_customers(["c2", "c1"]))
    assert forth.digest != back.digest
    assert len(forth.digest) == 64


def test_each_decision_has_a_short_digest(batches: Batches) -> None:
    """The first 64 bits of the digest, which covers the subject, identify a decision."""
    batches.crowd(2)
    review, seen = batches.preview(batches.renewals().of_customers(["c1", "c2"]))
    assert all(shortened(each.digest) in review.shown for each in seen)
    other = Job(place="c3", subject="c3", decide=seen[0].job.decide, consent=Consent())
    assert shortened(digest(other, seen[0].decision)) not in review.shown


def test_kept_and_refused_items_have_digests(batches: Batches) -> None:
    """The digest of a refused item has the code of the error, not its message."""
    batches.crowd(1)
    [seen] = batches.preview(batches.renewals().of_customers(["nobody"]))[1]
    assert seen.digest == digest(seen.job, "not_found")
    assert digest(seen.job, Decision()) == digest(seen.job, Decision(note="why"))
    assert digest(seen.job, Decision()) != seen.digest


def test_a_registry_failure_ends_the_preview(batches: Batches) -> None:
    """A failing registry is not the outcome of an item."""

    def fails(_: Reading) -> Decision:
        raise RegistryFailed("disk")

    with pytest.raises(RegistryFailed):
        batches.preview([Job(place="x", subject="x", decide=fails, consent=Consent())])
