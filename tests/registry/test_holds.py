"""Holds of customers: their end, and the hold of merged customers."""

from datetime import timedelta

from support.registries import NOW, writing

from polygent_issuer.registry import Registry, customers
from polygent_issuer.registry.holds import Hold, hold_of, merged_hold, on_hold, set_hold

DAY = timedelta(days=1)


def test_a_hold_ends_at_its_instant(registry: Registry) -> None:
    """A hold is stored, is over at its end, and can be removed."""
    hold = Hold(since=NOW, until=NOW + DAY, reason="unpaid")
    with writing(registry) as db:
        held = set_hold(db, customers.add(db, slug="acme", name="Acme"), hold)
        assert hold_of(held, NOW) == hold
        assert on_hold(held, NOW + DAY - timedelta(microseconds=1))
        assert not on_hold(held, NOW + DAY)
        assert hold_of(held, NOW + DAY) is None
        released = set_hold(db, held, None)
        assert (released.held_at, released.held_until, released.held_reason) == (None, None, None)
        db.record("customer-released", customer="acme")


def test_the_hold_of_merged_customers(registry: Registry) -> None:
    """The first beginning, the last end and both reasons; an ended one does not count."""
    with writing(registry) as db:
        acme = customers.add(db, slug="acme", name="Acme")
        db.record("customer-added", customer="acme")
    one = acme._replace(held_at=NOW, held_until=NOW + 2 * DAY, held_reason="a")
    other = acme._replace(held_at=NOW - DAY, held_until=NOW + DAY, held_reason="b")
    both = Hold(since=NOW - DAY, until=NOW + 2 * DAY, reason="a; b")
    assert merged_hold((one, other), NOW) == both
    assert merged_hold((one, other._replace(held_until=None)), NOW) == both._replace(until=None)
    assert merged_hold((one, other), NOW + DAY) == hold_of(one, NOW)
    assert merged_hold((one, one), NOW) == hold_of(one, NOW)
    assert merged_hold((acme, acme), NOW) is None
