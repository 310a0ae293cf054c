"""Customers with the number of their current licenses, and the first end."""

from support.registries import NOW, YEAR, add_license, license_id, new_key, writing

from polygent_issuer.registry import Registry, customers, keys, licenses, summaries


def test_only_current_licenses_count(registry: Registry) -> None:
    """Neither replaced nor retired ones; the first to end, whichever was issued first."""
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
