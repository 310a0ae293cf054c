"""Customers of whom no row tells."""

from support.batches import Batches
from support.office import ADA, NOW

from polygent_issuer.batch.named import unnamed
from polygent_issuer.batch.rows import RefusedRow, Row
from polygent_issuer.registry import customers


def test_who_has_a_license_and_no_row(batches: Batches) -> None:
    """By slug or name, also of a refused row; whoever is archived or has none misses nothing."""
    batches.crowd(5)
    with batches.office.registry.writing(now=NOW, actor=ADA) as db:
        customers.add(db, slug="fresh", name="Fresh")
        customers.archive(db, customers.find(db, "c4"))
        db.record("test")
    rows = (
        Row(place="1", customer="c1"),
        Row(place="2", customer="Customer 2"),
        Row(place="3", customer="Nobody"),
        RefusedRow(place="4", customer="c3", field="users", message="wrong", hint=None),
        RefusedRow(place="5", customer=None, field=None, message="wrong", hint=None),
    )
    assert unnamed(batches.office.registry, rows) == ("c5",)
