"""When current licenses end, and whose they are."""

from datetime import timedelta

from support.cli import NOW
from support.licenses import Books

from polygent_issuer.registry import customers, licenses, summaries


def test_the_first_to_end_comes_first(books: Books) -> None:
    """Between two instants, of which the later one counts."""
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


def test_only_what_is_current_of_active_customers(books: Books) -> None:
    """Neither replaced nor retired, nor of a customer who was archived."""
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
