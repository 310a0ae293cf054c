"""The one protocol: a decision stands, or the command stops; then rows, files and the outbox."""

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
    outbox,
)
from polygent_issuer.registry.change import Decided
from polygent_issuer.registry.errors import RegistryFailed


def add(registry: Registry, slug: str, *, now: datetime = NOW) -> None:
    """Let somebody else add a customer."""
    with writing(registry, now=now) as db:
        customers.add(db, slug=slug, name=slug)


def names(db: Reading) -> tuple[str, ...]:
    """A decision that rests on the customers but those whose slug begins with z."""
    return tuple(each.slug for each in customers.every(db) if not each.slug.startswith("z"))


def decided(registry: Registry, now: datetime = NOW) -> Decided[tuple[str, ...]]:
    """Decide so."""
    return change.decide(registry, names, now=now, actor=ACTOR)


def carry_out(shown: Decided[tuple[str, ...]]) -> Customer:
    """Add Acme."""

    def write(db: Writing) -> Customer:
        acme = customers.add(db, slug="acme", name="Acme")
        db.record("customer-added", customer="acme")
        return acme

    return change.carry_out(shown, write, undone="nothing was added", hint="look")


def newest_at(registry: Registry) -> datetime | None:
    """When the newest journal row was written."""
    with registry.reading() as db:
        return journal.newest_at(db)


def test_it_is_not_decided_again_where_nothing_was_written(registry: Registry) -> None:
    """The journal's head is the one that it rests on."""
    calls: list[int] = []

    def once(db: Reading) -> tuple[str, ...]:
        calls.append(1)
        return names(db)

    assert carry_out(change.decide(registry, once, now=NOW, actor=ACTOR)).slug == "acme"
    assert calls == [1]


def test_what_somebody_else_wrote_of_other_things_stops_nobody(registry: Registry) -> None:
    """It is decided again, and alike."""
    shown = decided(registry)
    add(registry, "zeta")
    assert carry_out(shown).slug == "acme"


def test_another_decision_stops_it(registry: Registry) -> None:
    """Nothing is written."""
    shown = decided(registry)
    add(registry, "globex")
    with pytest.raises(RegistryChanged, match="nothing was added") as caught:
        carry_out(shown)
    assert caught.value.hint == "look"
    assert decided(registry).decision == ("globex",)


def refusing(error: Exception) -> Callable[[Reading], tuple[str, ...]]:
    """Decide once, and refuse it when it is decided again."""
    answers = iter([("first",)])

    def decide(_: Reading) -> tuple[str, ...]:
        for answer in answers:
            return answer
        raise error

    return decide


def test_a_refusal_is_another_decision(registry: Registry) -> None:
    """What is refused by now was not shown."""
    shown = change.decide(registry, refusing(OutputProblem("taken")), now=NOW, actor=ACTOR)
    add(registry, "zeta")
    with pytest.raises(RegistryChanged, match="nothing was added"):
        carry_out(shown)


def test_a_registry_that_cannot_be_read_is_named(registry: Registry) -> None:
    """That is no change of mind."""
    shown = change.decide(registry, refusing(RegistryFailed("no disk")), now=NOW, actor=ACTOR)
    add(registry, "zeta")
    with pytest.raises(RegistryFailed):
        carry_out(shown)


def test_a_row_is_not_older_than_the_one_above_it(registry: Registry) -> None:
    """Somebody else was faster while a person thought."""
    shown = decided(registry)
    add(registry, "zeta", now=NOW + timedelta(hours=1))
    carry_out(shown)
    assert newest_at(registry) == NOW + timedelta(hours=1)


def test_a_clock_that_was_put_right_keeps_its_time(registry: Registry) -> None:
    """It was found behind, and is not from then on."""
    add(registry, "zeta", now=NOW + timedelta(days=400))
    shown = decided(registry, NOW)
    assert [finding.code for finding in shown.behind] == [FindingCode.CLOCK_BEHIND]
    carry_out(shown)
    assert newest_at(registry) == NOW
    assert decided(registry, NOW).behind == ()


def test_the_clock_is_judged_once(registry: Registry) -> None:
    """Whoever writes meanwhile with a clock that is ahead stops nobody."""
    shown = decided(registry)
    add(registry, "zeta", now=NOW + timedelta(days=400))
    assert shown.behind == ()
    assert carry_out(shown).slug == "acme"


def test_files_are_delivered_after_the_commit_and_then_cleared(registry: Registry) -> None:
    """No transaction is open meanwhile; an outbox that cannot be cleared stops nobody."""
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
        patch.setattr(outbox, "clear", clear)
        shown = decided(registry)
        done = change.carry_out(shown, write, deliver=deliver)
    assert done == "written"
    assert seen == [("written", shown.head[0] + 1), ("license",)]
