"""Counts, expiries, chains, and prefix searches."""

import sqlite3
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest
from support.cli import NOW
from support.lic_files import license_id
from support.licenses import Books
from support.registries import YEAR, add_license, fill, new_key, writing

from polygent_issuer.registry import LicenseStatus, Registry, customers, keys, licenses, summaries
from polygent_issuer.registry.errors import RegistryDamaged
from polygent_issuer.registry.summaries import ids, labels, slugs


def test_each_table_is_counted(registry: Registry) -> None:
    """Each main table is counted."""
    fill(registry)
    with registry.reading() as db:
        assert summaries.count_all(db) == {
            "customers": 2,
            "machines": 1,
            "licenses": 2,
            "keys": 1,
            "journal": 3,
        }


def test_a_missing_table_is_damage(registry: Registry, path: Path) -> None:
    """Counting the rows of a missing table is `registry_damaged`."""
    registry.close()
    with closing(sqlite3.connect(path)) as raw:
        raw.execute("DROP TABLE outbox")
        raw.execute("DROP TABLE licenses")
    with (
        Registry.open(path) as again,
        again.reading() as db,
        pytest.raises(RegistryDamaged),
    ):
        summaries.count_all(db)


def test_only_current_licenses_count(registry: Registry) -> None:
    """The summary of a customer has current licenses only, and their first expiry."""
    with writing(registry) as db:
        kid = keys.add(db, key=new_key(7), label="main").kid
        globex = customers.add(db, slug="globex", name="Globex")
        acme = customers.add(db, slug="acme", name="Acme", contacts=("ops@acme.example",))
        add_license(db, 1, acme, kid)
        for number, years in ((2, 4), (3, 3), (4, 2), (5, 1)):
            add_license(db, number, acme, kid, expires_at=NOW + years * YEAR)
        for number in (1, 5):
            licenses.replace(db, license_id(number), license_id(2))
        licenses.retire(db, license_id(4), "closed")
        customers.archive(db, globex)
    with registry.reading() as db:
        (only,) = summaries.customers(db, archived=False)
        assert only.customer == customers.get(db, "acme")
        assert (only.current, only.first) == (2, NOW.replace(microsecond=0) + 3 * YEAR)
        both = list(summaries.customers(db, archived=True))
        assert [each.customer.slug for each in both] == ["acme", "globex"]
        assert (both[1].current, both[1].first) == (0, None)
        assert customers.count_archived(db) == 1


def test_expiries_are_sorted(books: Books) -> None:
    """The expiries between two instants include the later one."""
    acme, globex = books.customer(), books.customer("Globex", "globex")
    for days in (3, 1, 2):
        books.license(acme if days == 2 else globex, expires_at=NOW + timedelta(days=days))
    with books.reading() as db:
        found = list(summaries.expiries(db, NOW + timedelta(days=1), NOW + timedelta(days=3)))
    assert [(each.customer, (each.expires_at - NOW).days) for each in found] == [
        ("Acme GmbH", 2),
        ("Globex", 3),
    ]
    assert [each.customer_id for each in found] == [acme.id, globex.id]


def test_only_current_licenses_of_active_customers_have_expiries(books: Books) -> None:
    """Replaced and retired licenses, and archived customers, are left out."""
    acme, gone = books.customer(), books.customer("Gone", "gone")
    old = books.license(acme)
    kept = books.license(acme, replaces=old, expires_at=old.expires_at + timedelta(days=1))
    retired = books.license(acme)
    books.license(gone)
    with books.writing() as db:
        licenses.retire(db, retired.id, "left")
        customers.archive(db, gone)
        db.record("test")
    with books.reading() as db:
        found = list(summaries.expiries(db, NOW, NOW + timedelta(days=1000)))
    assert [each.expires_at for each in found] == [kept.expires_at]


REST = "-0000-4000-8000-000000000000"


def test_customers_by_slug(books: Books) -> None:
    """A prefix finds customers by slug, in order."""
    for slug in ("acme", "acme-2", "bolt"):
        books.customer(slug.title(), slug)
    with books.reading() as db:
        found = slugs(db, "ac", 10)
        assert [(row.slug, row.name, row.archived_at) for row in found] == [
            ("acme", "Acme", None),
            ("acme-2", "Acme-2", None),
        ]
        assert slugs(db, "x", 10) == ()
        assert len(slugs(db, "", 10)) == 3


def test_the_last_match_is_included(books: Books) -> None:
    """The common prefix of all matches is that of the first and the last one."""
    for number in range(12):
        books.customer(f"Acme {number}", f"acme-{number:02}")
    books.customer("Azul", "azul")
    with books.reading() as db:
        found = [row.slug for row in slugs(db, "a", 5)]
    assert found == ["acme-00", "acme-01", "acme-02", "acme-03", "azul"]  # "a" is common to all


def test_machines_of_one_customer(books: Books) -> None:
    """A prefix finds a customer's machines by label."""
    acme, bolt = books.customer(), books.customer("Bolt", "bolt")
    books.machine(acme, "prod 1")
    books.machine(acme, "$(touch x)", "sha256:" + "cd" * 32)
    books.machine(bolt, "prod 9")
    with books.reading() as db:
        assert [row.label for row in labels(db, acme, "", 10)] == ["$(touch x)", "prod 1"]
        assert [row.label for row in labels(db, acme, "pr", 10)] == ["prod 1"]


def test_licenses_by_id(books: Books) -> None:
    """A prefix finds licenses by id, with customer, machine and status."""
    acme = books.customer()
    old = books.license(acme, books.machine(acme), license_id=f"1f3a9c2e{REST}")
    new = books.license(acme, replaces=old, license_id=f"2f3a9c2e{REST}")
    gone = books.license(books.customer("Bolt", "bolt"), license_id=f"3f3a9c2e{REST}")
    with books.writing() as db:
        licenses.retire(db, gone.id, "never used")
        db.record("license-retired", customer="bolt", license=gone.id)
    with books.reading() as db:
        found = ids(db, "", 10, customer=None, current=False)
        assert [(row.short, row.customer, row.machine, row.status) for row in found] == [
            ("1f3a9c2e", "acme", "prod-1", LicenseStatus.REPLACED),
            ("2f3a9c2e", "acme", None, LicenseStatus.CURRENT),
            ("3f3a9c2e", "bolt", None, LicenseStatus.RETIRED),
        ]
        assert found[0].expires_at == old.expires_at
        assert [row.id for row in ids(db, "", 10, customer=acme, current=True)] == [new.id]
        assert [row.id for row in ids(db, "3f", 10, customer=None, current=False)] == [gone.id]


def test_an_ambiguous_short_id_is_the_whole_id(books: Books) -> None:
    """An id whose first eight characters another license has is not shortened."""
    acme = books.customer()
    mine = books.license(acme, license_id=f"1f3a9c2e{REST}").id
    books.license(books.customer("Bolt", "bolt"), license_id=f"1f3a9c2e{REST[:-1]}1")
    other = books.license(acme, license_id=f"1f3a9c2f{REST}").id
    with books.reading() as db:
        found = ids(db, "", 10, customer=acme, current=False)
        assert [row.short for row in found] == [mine, other[:8]]
        assert licenses.find(db, found[0].short).id == mine


@pytest.mark.sqlite("its query plan")
@pytest.mark.parametrize("search", ["slug", "id", "label"])
def test_the_prefix_searches_use_an_index(books: Books, search: str) -> None:
    """No search reads a whole table."""
    acme = books.customer()
    with books.reading() as db:
        plans: list[tuple[object, ...]] = []

        def explain(_build: object, sql: str, params: tuple[object, ...] = ()) -> object:
            plans.extend(db.connection.run(f"EXPLAIN QUERY PLAN {sql}", params))  # type: ignore[arg-type]
            return iter(())

        db.each = explain  # type: ignore[assignment,method-assign]
        if search == "slug":
            slugs(db, "a", 5)
        elif search == "id":
            ids(db, "1", 5, customer=acme, current=True)
            ids(db, "1", 5, customer=None, current=False)
        else:
            labels(db, acme, "a", 5)
    told = [str(row[3]) for row in plans]
    assert told
    assert not [line for line in told if line.startswith("SCAN") and line != "SCAN same"]
