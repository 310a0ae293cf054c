"""Mergers: all rows of one customer move to another, and the journal records it."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from support.databases import Databases
from support.registries import NOW, add_license, add_machine, new_key, new_registry, writing

from polygent_issuer.registry import (
    Customer,
    Registry,
    customers,
    journal,
    journal_check,
    keys,
    licenses,
)
from polygent_issuer.registry import machines as known
from polygent_issuer.registry.merging import Merger, decide, merge

LATER = NOW + timedelta(days=30)


@pytest.fixture
def registry(tmp_path: Path, engine: Databases | None) -> Iterator[Registry]:
    """A registry with Acme and its sister, without machines."""
    with new_registry(tmp_path, databases=engine) as made:
        with writing(made) as db:
            keys.add(db, key=new_key(7), label="main")
            acme = ("ops@a.example", "both@a.example")
            customers.add(db, slug="acme", name="Acme", contacts=acme)
            sister = ("both@a.example", "it@s.example")
            customers.add(
                db,
                slug="sister",
                name="Sister",
                contacts=sister,
                time_zone="Asia/Tokyo",
                crm="S-1",
                notes="pays late",
            )
        yield made


def merged(registry: Registry) -> tuple[Merger, Customer]:
    """Merge the sister into Acme; return the plan and the remaining customer."""
    with writing(registry, now=LATER) as db:
        decided = decide(db, customers.get(db, "sister"), customers.get(db, "acme"), now=LATER)
        return decided, merge(db, decided)


def test_the_row_of_the_remaining_customer(registry: Registry) -> None:
    """The slug becomes an alias, contacts are merged, missing zone and reference are filled."""
    _, kept = merged(registry)
    assert kept.aliases == ("sister",)
    assert kept.contacts == ("ops@a.example", "both@a.example", "it@s.example")
    assert (kept.time_zone, kept.crm, kept.notes) == ("Asia/Tokyo", "S-1", "pays late")
    with registry.reading() as db:
        assert [each.slug for each in customers.every(db, archived=True)] == ["acme"]
        assert customers.find(db, "sister") == kept
        assert journal_check.verify(db).problems == ()


def test_the_journal_records_the_deleted_row(registry: Registry) -> None:
    """The deletion is recorded, so a row that is inserted again is found."""
    with registry.reading() as db:
        gone = customers.get(db, "sister").id
    merged(registry)
    with registry.reading() as db:
        last = tuple(journal.rows(db))[-1]
    assert last.body["rows"][f"customers/{gone}"] is None


def test_values_of_the_remaining_customer_stay(registry: Registry) -> None:
    """Neither time zone nor reference is overwritten."""
    with writing(registry) as db:
        customers.edit(db, customers.get(db, "acme"), time_zone="UTC", crm="A-1")
    _, kept = merged(registry)
    assert (kept.time_zone, kept.crm) == ("UTC", "A-1")


def test_aliases_move(registry: Registry) -> None:
    """A customer who was merged into the sister before is found as Acme."""
    with writing(registry) as db:
        older = customers.add(db, slug="older", name="Older")
        merge(db, decide(db, older, customers.get(db, "sister"), now=NOW))
    _, kept = merged(registry)
    assert kept.aliases == ("older", "sister")


def test_machines_keep_unused_labels(registry: Registry) -> None:
    """A label that both customers have gets an unused number."""
    with writing(registry) as db:
        acme, sister = customers.get(db, "acme"), customers.get(db, "sister")
        add_machine(db, acme, "prod", "a" * 64)
        clash = add_machine(db, sister, "prod", "b" * 64)
        own = add_machine(db, sister, "prod-2", "c" * 64)
        kid = keys.find(db, "main").kid
        add_license(db, 1, sister, kid, machine=clash)
        known.change_identity(
            db, own, fingerprint="d" * 64, hostname=None, components={}, document_id=None
        )
    decided, kept = merged(registry)
    assert {machine.label: label for machine, label in decided.moved} == {
        "prod": "prod-3",
        "prod-2": "prod-2",
    }
    with registry.reading() as db:
        labels = {each.label: each.fingerprint[0] for each in known.of(db, kept)}
        assert labels == {"prod": "a", "prod-2": "d", "prod-3": "b"}
        history = known.history(db, known.by_label(db, kept, "prod-2"))
        assert [each.fingerprint[0] for each in history] == ["d", "c"]
        (held,) = licenses.of(db, kept)
        assert (held.customer_slug, held.machine_label) == ("acme", "prod-3")
        assert journal_check.verify(db).problems == ()


def test_machines_with_the_same_fingerprint_are_merged(registry: Registry) -> None:
    """Licenses and history move to the remaining machine."""
    with writing(registry) as db:
        acme, sister = customers.get(db, "acme"), customers.get(db, "sister")
        ours = add_machine(db, acme, "prod", "a" * 64)
        theirs = add_machine(db, sister, "web", "b" * 64)
        kid = keys.find(db, "main").kid
        add_license(db, 1, sister, kid, machine=theirs)
        known.change_identity(
            db, theirs, fingerprint="a" * 64, hostname="web", components={}, document_id=None
        )
    decided, kept = merged(registry)
    assert [(gone.label, kept.label) for gone, kept in decided.same] == [("web", "prod")]
    assert decided.moved == ()
    with registry.reading() as db:
        (machine,) = known.of(db, kept)
        assert machine == ours
        past = [(each.fingerprint[0], each.hostname) for each in known.history(db, machine)]
        assert past == [("a", "prod"), ("a", "web"), ("b", "web")]
        (held,) = licenses.of(db, kept)
        assert held.machine_id == ours.id
        assert journal_check.verify(db).problems == ()


def test_equal_rows_give_equal_plans(registry: Registry) -> None:
    """A plan is different after a change, so that only the previewed one is carried out."""
    with registry.reading() as db:
        acme, sister = customers.get(db, "acme"), customers.get(db, "sister")
        assert decide(db, sister, acme, now=NOW) == decide(db, sister, acme, now=NOW)
        assert decide(db, sister, acme, now=NOW) != decide(
            db, sister, acme._replace(crm="A-1"), now=NOW
        )
