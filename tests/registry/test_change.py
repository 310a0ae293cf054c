"""The protocol of a change: decide, compare, write, deliver."""

from collections.abc import Callable
from datetime import datetime, timedelta

import pytest
from support.registries import ACTOR, NOW, writing

from polygent_issuer.errors import OutputProblem, RegistryChanged
from polygent_issuer.findings import FindingCode
from polygent_issuer.registry import (
    Customer,
    Reading,
    Registry,
    Writing,
    change,
    customers,
    journal,
)
from polygent_issuer.registry.change import Decided
from polygent_issuer.registry.errors import RegistryFailed

pytestmark = pytest.mark.both


def add(registry: Registry, slug: str, *, now: datetime = NOW) -> None:
    """Add a customer, as another command."""
    with writing(registry, now=now) as db:
        customers.add(db, slug=slug, name=slug)


def names(db: Reading) -> tuple[str, ...]:
    """Return the customers except those whose slug begins with z, as a decision."""
    return tuple(each.slug for each in customers.every(db) if not each.slug.startswith("z"))


def decided(registry: Registry, now: datetime = NOW) -> Decided[tuple[str, ...]]:
    """Make a decision."""
    return change.decide(registry, names, now=now, actor=ACTOR)


def carry_out(shown: Decided[tuple[str, ...]]) -> Customer:
    """Add Acme."""

    def write(db: Writing) -> Customer:
        acme = customers.add(db, slug="acme", name="Acme")
        db.record("customer-added", customer="acme")
        return acme

    return change.carry_out(shown, write, undone="nothing was added", hint="look")


def newest_at(registry: Registry) -> datetime | None:
    """Return the instant of the newest journal row."""
    with registry.reading() as db:
        return db.newest_at()


def test_an_unchanged_journal_needs_no_second_decision(registry: Registry) -> None:
    """If the journal's head is the same, the decision is not made again."""
    calls: list[int] = []

    def once(db: Reading) -> tuple[str, ...]:
        calls.append(1)
        return names(db)

    assert carry_out(change.decide(registry, once, now=NOW, actor=ACTOR)).slug == "acme"
    assert calls == [1]


def test_unrelated_changes_do_not_stop_a_command(registry: Registry) -> None:
    """After an unrelated change the decision is made again with the same result."""
    shown = decided(registry)
    add(registry, "zeta")
    assert carry_out(shown).slug == "acme"


def test_a_different_decision_stops_the_command(registry: Registry) -> None:
    """If the second decision differs, nothing is written."""
    shown = decided(registry)
    add(registry, "globex")
    with pytest.raises(RegistryChanged, match="nothing was added") as caught:
        carry_out(shown)
    assert caught.value.hint == "look"
    assert decided(registry).decision == ("globex",)


def refusing(error: Exception) -> Callable[[Reading], tuple[str, ...]]:
    """Return a decision that raises an error when it is made again."""
    answers = iter([("first",)])

    def decide(_: Reading) -> tuple[str, ...]:
        for answer in answers:
            return answer
        raise error

    return decide


def test_an_error_counts_as_a_different_decision(registry: Registry) -> None:
    """If the second decision raises an error, the registry has changed since the preview."""
    shown = change.decide(registry, refusing(OutputProblem("taken")), now=NOW, actor=ACTOR)
    add(registry, "zeta")
    with pytest.raises(RegistryChanged, match="nothing was added"):
        carry_out(shown)


def test_a_home_problem_is_not_a_different_decision(registry: Registry) -> None:
    """If the registry cannot be read for the second decision, that error is raised."""
    shown = change.decide(registry, refusing(RegistryFailed("no disk")), now=NOW, actor=ACTOR)
    add(registry, "zeta")
    with pytest.raises(RegistryFailed):
        carry_out(shown)


def test_a_row_is_not_older_than_the_previous_row(registry: Registry) -> None:
    """A row gets the instant of the newest row if another command wrote it later."""
    shown = decided(registry)
    add(registry, "zeta", now=NOW + timedelta(hours=1))
    carry_out(shown)
    assert newest_at(registry) == NOW + timedelta(hours=1)


def test_a_corrected_clock_keeps_its_time(registry: Registry) -> None:
    """With an accepted `clock-behind` the row gets the time of the clock."""
    add(registry, "zeta", now=NOW + timedelta(days=400))
    shown = decided(registry, NOW)
    assert [finding.code for finding in shown.behind] == [FindingCode.CLOCK_BEHIND]
    carry_out(shown)
    assert newest_at(registry) == NOW
    assert decided(registry, NOW).behind == ()


def test_the_clock_is_checked_once(registry: Registry) -> None:
    """A row of a clock that is ahead, written meanwhile, does not stop the command."""
    shown = decided(registry)
    add(registry, "zeta", now=NOW + timedelta(days=400))
    assert shown.behind == ()
    assert carry_out(shown).slug == "acme"


def test_files_are_delivered_after_the_commit_and_then_cleared(registry: Registry) -> None:
    """Files are delivered after the COMMIT; an outbox that cannot be cleared is not an error."""
    seen: list[object] = []

    def deliver(written: str) -> tuple[str, ...]:
        with registry.reading() as db:
            seen.append((written, journal.head(db)[0]))
        return ("license",)

    def clear(_db: object, *ids: str) -> None:
        seen.append(ids)
        raise RegistryFailed("no disk")

    def write(db: Writing) -> str:
        db.record("test")
        return "written"

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(change, "clear_pending", clear)
        shown = decided(registry)
        done = change.carry_out(shown, write, deliver=deliver)
    assert done == "written"
    assert seen == [("written", shown.head[0] + 1), ("license",)]
