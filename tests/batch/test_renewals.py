"""Renewals of many: who is due, who is kept and why, and none twice."""

from contextlib import ExitStack
from datetime import timedelta
from itertools import zip_longest
from typing import Any

import pytest
from support.batches import MONTH, SOON, Batches, accepting, errors, words
from support.many_customers import fingerprint, old_id
from support.office import ADA, NOW

from polygent_issuer.batch import renewals, run
from polygent_issuer.batch.outcomes import Kept, Outcome
from polygent_issuer.findings import FindingCode
from polygent_issuer.registry import REGISTRY_FILE, Registry, customers, licenses
from polygent_issuer.terms.dates import term_end
from polygent_issuer.terms.parsing import Changes, parse_term


@pytest.fixture
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three licenses at a time, so that a few make several pieces and groups."""
    monkeypatch.setattr(renewals, "_CHUNK", 3)
    monkeypatch.setattr(run, "MAX_GROUP_SIZE", 2)


def places(outcomes: list[Outcome]) -> list[str]:
    """Whose they are."""
    return [outcome.job.place for outcome in outcomes]


def notes(outcomes: list[Outcome]) -> dict[str, str]:
    """Why each was kept."""
    kept = (each for each in outcomes if isinstance(each, Kept))
    return {each.job.place: each.decision.note or "" for each in kept}


def test_what_ends_within_the_time_is_renewed(batches: Batches) -> None:
    """The first to end first; what ends later, or at that instant, is not an item."""
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
def test_many_are_read_in_pieces(batches: Batches) -> None:
    """Each once, though pieces begin between the groups that change what is read."""
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
    """Their next license ends within the time as well, and is no item of the same batch."""
    batches.crowd(8, expires_at=NOW + timedelta(days=2), term="10d")
    outcomes = batches.done(batches.due())
    assert words(outcomes) == ["renew"] * 8
    assert batches.done(batches.due()) == []
    review, _ = batches.preview(batches.due())
    assert review.issues == 0


@pytest.mark.usefixtures("small_pieces")
def test_short_terms_after_a_review(batches: Batches) -> None:
    """What the batch itself issued was not shown, and is no failure either."""
    batches.crowd(8, expires_at=NOW + timedelta(days=2), term="10d")
    review, _ = batches.preview(batches.due())
    outcomes = list(batches.run().outcomes(batches.due(), review.shown))
    assert words(outcomes) == ["renew"] * 8


def test_who_is_archived_is_left_out(batches: Batches) -> None:
    """No item, and none that fails."""
    batches.crowd(2)
    with batches.office.registry.writing(now=NOW, actor=ADA) as db:
        customers.archive(db, customers.find(db, "c1"))
        db.record("customer-archived", customer="c1")
    assert places(batches.done(batches.due())) == ["c2, prod-1"]


def test_trials_and_what_lapsed_long_ago_are_kept(batches: Batches) -> None:
    """The note says the command that means it; a term makes a contract of a trial."""
    batches.crowd(1, first=1, plan="trial", term="30d", expires_at=NOW + timedelta(days=5))
    batches.crowd(1, first=2, expires_at=NOW - timedelta(days=91))
    batches.crowd(1, first=3)
    outcomes = batches.done(batches.due())
    told = notes(outcomes)
    assert words(outcomes) == ["keep", "keep", "renew"]
    assert told["c1, prod-1"].endswith(
        f"polygent-issue renew c1 --license {old_id(1)[:8]} --plan PLAN"
    )
    assert told["c2, prod-1"].startswith("lapsed long ago, at 2026-08-31T09:30:00Z; to mean it: ")
    term = Changes(term=parse_term("1y"))
    assert words(batches.done(batches.due(changes=term))) == ["keep", "renew"]


def test_what_is_named_is_due_before_90_days(batches: Batches) -> None:
    """As for one customer alone: 90 days ahead are early enough, more are not."""
    within = batches.office.settings.not_due
    batches.crowd(1, first=1, expires_at=NOW + within)
    batches.crowd(1, first=2, expires_at=NOW + within + timedelta(days=1))
    named = batches.renewals(within=within).of_customers(["c1", "c2"])
    outcomes = batches.done(named)
    assert words(outcomes) == ["renew", "keep"]
    assert notes(outcomes) == {"c2": "not due: runs until 2027-03-01T09:30:00Z"}


def test_names_and_slugs(batches: Batches) -> None:
    """Either is right; a beginning, and who is unknown, fail by themselves."""
    batches.crowd(3)
    named = batches.renewals().of_customers(["Customer 1", "c2", "Customer", "nobody"])
    outcomes = batches.done(named)
    assert words(outcomes) == ["renew", "renew", "not_found", "not_found"]
    assert list(errors(outcomes)) == ["Customer", "nobody"]


def test_a_customer_who_is_named_twice(batches: Batches) -> None:
    """By name and by slug, even after a review: renewed once, then kept."""
    batches.crowd(1)
    names = ["c1", "Customer 1"]
    review, _ = batches.preview(batches.renewals().of_customers(names))
    jobs = batches.renewals().of_customers(names)
    outcomes = list(batches.run().outcomes(jobs, review.shown))
    assert words(outcomes) == ["renew", "keep"]


def second_machine(batches: Batches, slug: str, expires_in: timedelta) -> None:
    """Let a customer have another machine with a license."""
    batches.done(
        batches.rows(
            f'[[license]]\ncustomer = "{slug}"\nmachine = "prod-2"\nmachine_info = "m2.json"\n'
            f"expires = {(NOW + expires_in).strftime('%Y-%m-%d')}\n",
            consent=accepting(*FindingCode),
        )
    )


def test_the_machines_of_a_customer_stand_or_fall_together(batches: Batches) -> None:
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
def test_the_same_again_does_nothing(batches: Batches, changes: Changes) -> None:
    """Whatever the next license is to be, it is issued once."""
    batches.crowd(2)
    for _ in range(2):
        batches.done(batches.renewals(changes=changes).of_customers(["c1", "c2"]))
        batches.done(batches.due(changes=changes))
    assert len(batches.licenses()) == 4


@pytest.mark.parametrize("days", [20, 200])
def test_early_renewals_are_issued_once(batches: Batches, days: int) -> None:
    """Who accepts `not-due` renews early, and again only what is missing."""
    batches.crowd(2, expires_at=NOW + timedelta(days=days))
    consent = accepting(FindingCode.NOT_DUE)
    jobs: Any = batches.renewals(consent=consent)
    assert words(batches.done(jobs.of_customers(["c1", "c2"]))) == ["renew", "renew"]
    assert words(batches.done(jobs.of_customers(["c1", "c2"]))) == ["keep", "keep"]


@pytest.mark.usefixtures("small_pieces")
def test_two_operators_at_once(batches: Batches) -> None:
    """Their batches take turns: each license is issued by exactly one of them."""
    batches.crowd(12)
    with ExitStack() as closing:
        path = batches.office.folder / REGISTRY_FILE
        other = closing.enter_context(Registry.open(path))
        mine = batches.run().outcomes(batches.renewals().due(batches.office.registry))
        hers = batches.run(other).outcomes(batches.renewals().due(other))
        turns = [each for pair in zip_longest(mine, hers) for each in pair if each is not None]
    assert set(words(turns)) <= {"renew", "keep"}
    assert words(turns).count("renew") == 12
    assert set(notes(turns).values()) <= {"another command was first"}
    with batches.office.registry.reading() as db:
        assert sum(record.is_current for record in licenses.select(db)) == 12
    assert len(batches.files()) == 12
    assert batches.pending() == []
    assert batches.sound()


def test_without_a_term_it_says_so(batches: Batches) -> None:
    """What was imported has none: the item fails, and a term for all mends it."""
    batches.crowd(2, term=None, plan=None)
    outcomes = batches.done(batches.due())
    assert words(outcomes) == ["missing_input"] * 2
    term = Changes(term=parse_term("1y"))
    assert words(batches.done(batches.due(changes=term))) == ["renew"] * 2
