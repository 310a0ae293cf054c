"""Batch renewals: the due licenses, the reasons for skipped ones, and no license twice."""

from collections.abc import Iterable
from contextlib import ExitStack
from datetime import timedelta
from itertools import zip_longest
from typing import Any

import pytest
from support.batches import MONTH, SOON, Batches, accepting, errors, words
from support.many_customers import fingerprint, old_id
from support.office import NOW
from support.registries import ACTOR

from polygent_issuer.batch import renewals, run
from polygent_issuer.batch.items import Job, Kept, Outcome
from polygent_issuer.findings import FindingCode
from polygent_issuer.issuing.proposal import Action
from polygent_issuer.registry import Registry, customers, licenses
from polygent_issuer.terms.dates import term_end
from polygent_issuer.terms.parsing import Changes, parse_term


@pytest.fixture
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three licenses at a time, so that a few licenses make several pieces and groups."""
    monkeypatch.setattr(renewals, "_CHUNK", 3)
    monkeypatch.setattr(run, "MAX_GROUP_SIZE", 2)


def places(outcomes: list[Outcome]) -> list[str]:
    """The places of the outcomes."""
    return [outcome.job.place for outcome in outcomes]


def notes(outcomes: list[Outcome]) -> dict[str, str]:
    """The reasons of kept items."""
    kept = (each for each in outcomes if isinstance(each, Kept))
    return {each.job.place: each.decision.note or "" for each in kept}


def test_licenses_that_expire_within_the_time_are_renewed(batches: Batches) -> None:
    """The first to expire comes first; a license that expires exactly then is not an item."""
    batches.crowd(1, first=1, expires_at=NOW + timedelta(days=29))
    batches.crowd(1, first=2, expires_at=NOW - timedelta(days=3))
    batches.crowd(1, first=3, expires_at=NOW + MONTH)
    batches.crowd(1, first=4, expires_at=NOW + timedelta(days=300))
    outcomes = batches.done(batches.due())
    assert places(outcomes) == ["c2, prod-1", "c1, prod-1"]
    [lapsed] = batches.current("c2")
    assert lapsed.expires_at == term_end(NOW, parse_term("1y"))
    [running] = batches.current("c1")
    old = NOW + timedelta(days=29)
    assert running.expires_at == term_end(old, parse_term("1y"))


@pytest.mark.usefixtures("small_pieces")
def test_each_license_of_several_pieces_is_renewed_once(batches: Batches) -> None:
    """Pieces are read between groups, which change the registry."""
    batches.crowd(11)
    batches.crowd(1, first=20, expires_at=SOON + timedelta(days=1))
    outcomes = batches.done(batches.due())
    numbers = sorted(range(1, 12), key=old_id)
    assert places(outcomes) == [f"c{number}, prod-1" for number in (*numbers, 20)]
    assert set(words(outcomes)) == {"renew"}
    assert batches.done(batches.due()) == []
    assert batches.sound()


@pytest.mark.usefixtures("small_pieces")
def test_short_terms_are_renewed_once(batches: Batches) -> None:
    """A new license that expires within the time, too, is not an item of the same batch."""
    batches.crowd(8, expires_at=NOW + timedelta(days=2), term="10d")
    outcomes = batches.done(batches.due())
    assert words(outcomes) == ["renew"] * 8
    assert batches.done(batches.due()) == []
    review, _ = batches.preview(batches.due())
    assert review.issues == 0


@pytest.mark.usefixtures("small_pieces")
def test_short_terms_are_renewed_once_after_a_preview(batches: Batches) -> None:
    """A license that the batch itself issued is not in the preview, and is not a failure."""
    batches.crowd(8, expires_at=NOW + timedelta(days=2), term="10d")
    review, _ = batches.preview(batches.due())
    outcomes = list(batches.run().outcomes(batches.due(), review.shown))
    assert words(outcomes) == ["renew"] * 8


def test_archived_customers_are_left_out(batches: Batches) -> None:
    """Their licenses are not items, and nothing fails."""
    batches.crowd(2)
    with batches.office.registry.writing(now=NOW, actor=ACTOR) as db:
        customers.archive(db, customers.find(db, "c1"))
        db.record("customer-archived", customer="c1")
    assert places(batches.done(batches.due())) == ["c2, prod-1"]


def test_trials_and_licenses_expired_long_ago_are_kept(batches: Batches) -> None:
    """The note has the command that renews them; a term converts a trial."""
    batches.crowd(1, first=1, plan="trial", term="30d", expires_at=NOW + timedelta(days=5))
    batches.crowd(1, first=2, expires_at=NOW - timedelta(days=91))
    batches.crowd(1, first=3)
    outcomes = batches.done(batches.due())
    reasons = notes(outcomes)
    assert words(outcomes) == ["keep", "keep", "renew"]
    assert reasons["c1, prod-1"].endswith(
        f"polygent-issue renew c1 --license {old_id(1)[:8]} --plan PLAN"
    )
    expired = "expired long ago, at 2026-08-31T09:30:00Z; to renew it anyway: "
    assert reasons["c2, prod-1"].startswith(expired)
    term = Changes(term=parse_term("1y"))
    assert words(batches.done(batches.due(changes=term))) == ["keep", "renew"]


def test_licenses_of_named_customers_are_due_for_90_days(batches: Batches) -> None:
    """They can be renewed up to 90 days before they expire, as for a single customer."""
    within = batches.office.settings.not_due
    batches.crowd(1, first=1, expires_at=NOW + within)
    batches.crowd(1, first=2, expires_at=NOW + within + timedelta(days=1))
    named = batches.renewals(within=within).of_customers(["c1", "c2"])
    outcomes = batches.done(named)
    assert words(outcomes) == ["renew", "keep"]
    assert notes(outcomes) == {"c2": "not due: valid until 2027-03-01T09:30:00Z"}


def test_customers_are_named_by_name_or_slug(batches: Batches) -> None:
    """A beginning of a name and an unknown name fail alone."""
    batches.crowd(3)
    named = batches.renewals().of_customers(["Customer 1", "c2", "Customer", "nobody"])
    outcomes = batches.done(named)
    assert words(outcomes) == ["renew", "renew", "not_found", "not_found"]
    assert list(errors(outcomes)) == ["Customer", "nobody"]


def test_a_customer_that_is_named_twice_is_renewed_once(batches: Batches) -> None:
    """Named by name and by slug, also after a preview, the customer is renewed once, then kept."""
    batches.crowd(1)
    names = ["c1", "Customer 1"]
    review, _ = batches.preview(batches.renewals().of_customers(names))
    jobs = batches.renewals().of_customers(names)
    outcomes = list(batches.run().outcomes(jobs, review.shown))
    assert words(outcomes) == ["renew", "keep"]


def second_machine(batches: Batches, slug: str, expires_in: timedelta) -> None:
    """Give a customer another machine with a license."""
    batches.done(
        batches.rows(
            f'[[license]]\ncustomer = "{slug}"\nmachine = "prod-2"\nmachine_info = "m2.json"\n'
            f"expires = {(NOW + expires_in).strftime('%Y-%m-%d')}\n",
            consent=accepting(*FindingCode),
        )
    )


def test_all_due_licenses_of_a_customer_are_one_item(batches: Batches) -> None:
    """Those that are due are renewed in one item; one that is not due stays as it is."""
    document = batches.office.document(fingerprint(77))
    (batches.office.folder / "m2.json").write_bytes(document.content)
    batches.crowd(1)
    second_machine(batches, "c1", timedelta(days=10))
    assert len(batches.current("c1")) == 2
    assert words(batches.done(batches.renewals().of_customers(["c1"]))) == ["renew renew"]
    assert words(batches.done(batches.renewals().of_customers(["c1"]))) == ["keep"]


@pytest.mark.parametrize(
    "changes",
    [
        Changes(expires=NOW + timedelta(days=25)),
        Changes(term=parse_term("25d"), basis="now"),
        Changes(term=parse_term("3mo"), basis=NOW - timedelta(days=70)),
        Changes(term=parse_term("5d")),
        Changes(users=30),
    ],
)
def test_a_repeated_batch_does_nothing(batches: Batches, changes: Changes) -> None:
    """Any new license is issued once."""
    batches.crowd(2)
    for _ in range(2):
        batches.done(batches.renewals(changes=changes).of_customers(["c1", "c2"]))
        batches.done(batches.due(changes=changes))
    assert len(batches.licenses()) == 4


@pytest.mark.parametrize("days", [20, 200])
def test_early_renewals_are_issued_once(batches: Batches, days: int) -> None:
    """With `not-due` accepted, licenses are renewed early, but only once."""
    batches.crowd(2, expires_at=NOW + timedelta(days=days))
    consent = accepting(FindingCode.NOT_DUE)
    jobs: Any = batches.renewals(consent=consent)
    assert words(batches.done(jobs.of_customers(["c1", "c2"]))) == ["renew", "renew"]
    assert words(batches.done(jobs.of_customers(["c1", "c2"]))) == ["keep", "keep"]


@pytest.mark.usefixtures("small_pieces")
def test_two_batches_at_once_issue_each_license_once(batches: Batches) -> None:
    """Two batches take turns, and exactly one of them issues each license."""
    batches.crowd(12)
    with ExitStack() as closing:
        other = closing.enter_context(Registry.open(batches.office.registry.place))
        mine = batches.run().outcomes(
            batches.renewals().of_licenses(batches.office.registry, expires_before=NOW + MONTH)
        )
        hers = batches.run(other).outcomes(
            batches.renewals().of_licenses(other, expires_before=NOW + MONTH)
        )
        turns = [each for pair in zip_longest(mine, hers) for each in pair if each is not None]
    assert set(words(turns)) <= {"renew", "keep"}
    assert words(turns).count("renew") == 12
    assert set(notes(turns).values()) <= {"another command has replaced or retired it"}
    with batches.office.registry.reading() as db:
        assert sum(record.is_current for record in licenses.select(db)) == 12
    assert len(batches.files()) == 12
    assert batches.pending() == []
    assert batches.sound()


def test_a_license_without_a_term_fails(batches: Batches) -> None:
    """An imported license has no term, so the item fails; a term for all fixes that."""
    batches.crowd(2, term=None, plan=None)
    outcomes = batches.done(batches.due())
    assert words(outcomes) == ["missing_input"] * 2
    term = Changes(term=parse_term("1y"))
    assert words(batches.done(batches.due(changes=term))) == ["renew"] * 2


@pytest.mark.usefixtures("small_pieces")
@pytest.mark.parametrize("action", [Action.RENEW, Action.REISSUE])
@pytest.mark.parametrize("by_name", [True, False])
def test_an_interrupted_preview_is_continued(
    batches: Batches, action: Action, *, by_name: bool
) -> None:
    """Under its digest the issued part is kept, and the rest is issued; no item comes twice."""
    batches.crowd(7)

    def jobs(resumed: str | None = None) -> Iterable[Job]:
        decider = batches.renewals(action=action, changes=Changes(users=30))
        if by_name:
            return decider.of_customers([f"c{number}" for number in range(1, 8)])
        return decider.of_licenses(batches.office.registry, resumed=resumed)

    digest = batches.preview(jobs())[0].digest
    first = batches.done(jobs(), review=digest, stopped=lambda: len(batches.files()) > 0)
    assert 0 < len(first) < 7
    again, _ = batches.preview(jobs(digest), resumed=digest)
    assert again.digest == digest
    outcomes = batches.done(jobs(digest), review=digest)
    assert words(outcomes).count("keep") == len(first)
    assert len(outcomes) == 7
    assert batches.preview(jobs(digest), resumed=digest)[0].digest == digest
    assert set(words(batches.done(jobs(digest), review=digest))) == {"keep"}
    assert len(batches.files()) == 7
    assert batches.sound()


def test_a_reissue_is_needed_for_terms_key_or_deadline(batches: Batches) -> None:
    """Otherwise the license is kept, and the note has the upload deadline of its file."""
    batches.crowd(2, expires_at=NOW + timedelta(days=300))
    decider = batches.renewals(action=Action.REISSUE)
    assert words(batches.done(decider.of_customers(["c1"]))) == ["reissue"]
    outcomes = batches.done(batches.renewals(action=Action.REISSUE).of_customers(["c1", "c2"]))
    assert notes(outcomes) == {
        "c1": "up to date: servers accept its file until 2026-12-07T09:30:00Z"
    }
    assert words(outcomes) == ["keep", "reissue"]
    more = batches.renewals(action=Action.REISSUE, changes=Changes(users=30))
    assert words(batches.done(more.of_licenses(batches.office.registry))) == ["reissue"] * 2
