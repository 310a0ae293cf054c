"""The report: what runs, totals, what changed, and the customers of each key."""

from datetime import timedelta

import pytest
from support.licenses import Books
from support.registries import YEAR, tampering

from polygent_issuer.delivery.report import LicenseReport, license_report
from polygent_issuer.keys.signer import SoftwareSigner, generate_private_key
from polygent_issuer.registry import customers, licenses
from polygent_issuer.registry.errors import RegistryDamaged

DAY = timedelta(days=1)


def made(books: Books, since: timedelta = timedelta(days=30)) -> LicenseReport:
    """Make the report of now."""
    with books.reading() as db:
        return license_report(db, now=books.desk.now, since=books.desk.now - since)


def test_expired_licenses_are_listed_and_not_counted(books: Books) -> None:
    """Totals are of what runs; an expired license is listed unless its customer is archived."""
    acme, gone = books.customer(), books.customer("Gone Ltd", "gone")
    books.license(acme, books.machine(acme))
    books.license(acme, expires_at=books.desk.now + DAY)
    books.license(gone, expires_at=books.desk.now + DAY)
    books.license(gone)
    with books.writing() as db:
        customers.archive(db, gone)
        db.record("customer-archived", customer="gone")
    books.desk.now += DAY
    report = made(books)
    rows = [(each.customer.slug, each.place, each.expired) for each in report.licenses]
    assert rows == [("acme", "any", True), ("acme", "prod-1", False), ("gone", "any", False)]
    assert (report.total.licenses, report.total.customers, report.total.users) == (2, 2, 50)
    assert [(each.name, each.licenses, each.session_hosts) for each in report.by_tier] == [
        ("enterprise", 1, 2),
        ("standard", 1, 2),
    ]
    assert [(each.name, each.deploy_hosts) for each in report.by_plan] == [("standard-annual", 2)]


def test_a_license_belongs_to_the_month_of_the_last_second_that_it_covers(books: Books) -> None:
    """The sixteen months begin with the present one; later expiries are counted together."""
    now = books.desk.now
    assert f"{now:%Y-%m}" == "2026-11"
    acme = books.customer()
    for days in (1, 32, 33, 500):  # midnight after 30 November, 31 December and 1 January
        midnight = now.replace(hour=0, minute=0)
        books.license(acme, expires_at=midnight + days * DAY)
    report = made(books)
    assert [each.name for each in report.months][::15] == ["2026-11", "2028-02"]
    assert {each.name: each.licenses for each in report.months if each.licenses} == {
        "2026-11": 1,
        "2026-12": 1,
        "2027-01": 1,
    }
    assert report.later.licenses == 1


def test_changes_have_the_users_before_and_after(books: Books) -> None:
    """They come from the stored files; the first license of a customer has none before it."""
    acme = books.customer()
    books.license(acme)
    books.desk.now += 40 * DAY
    first = books.license(acme)
    books.license(acme, replaces=first)
    last = books.license(acme)
    with books.writing() as db:
        licenses.retire(db, last.id, "left")
        db.record("license-retired", customer="acme", license=last.id, reason="left")
        details = {"replaces": [first.id, "of another registry"]}
        db.record("license-reissued", customer="acme", license=first.id, details=details)
    seen = [(each.action, each.users_text, each.row.operator) for each in made(books).changes]
    assert seen == [
        ("issued", "0→25", "Ada"),
        ("renewed", "25→25", "Ada"),
        ("issued", "0→25", "Ada"),
        ("retired", "25→0", "Ada"),
        ("reissued", "?→25", "Ada"),
    ]
    assert len(made(books, since=timedelta(days=41)).changes) == 6


def test_keys_have_the_customers_whose_running_licenses_they_signed(books: Books) -> None:
    """Each customer counts once, and an unused key has none."""
    other = SoftwareSigner(generate_private_key())
    books.key("second", other)
    books.key("unused", SoftwareSigner(generate_private_key()))
    acme, globex = books.customer(), books.customer("Globex", "globex")
    for customer in (globex, acme, acme):
        books.license(customer)
    books.license(globex, signer=other, expires_at=books.desk.now + 2 * YEAR)
    reach = {each.key.label: (each.licenses, each.customers) for each in made(books).keys}
    assert reach == {
        "main": (3, ("acme", "globex")),
        "second": (1, ("globex",)),
        "unused": (0, ()),
    }


@pytest.mark.parametrize(
    ("held_until", "zone", "hold"),
    [
        (None, None, "on hold: unpaid"),
        ("2026-12-01T00:00:00.000000Z", None, "until 2026-11-30: unpaid"),
        ("2026-12-01T15:00:00.000000Z", "Asia/Tokyo", "until 2026-12-01: unpaid"),
        ("2026-11-30T09:30:00.000000Z", None, ""),
    ],
)
def test_a_hold_is_shown_until_it_ends(
    books: Books, held_until: str | None, zone: str | None, hold: str
) -> None:
    """It ends with the customer's day that the operator chose, and without one it does not end."""
    acme = books.customer()
    books.license(acme)
    with books.writing() as db:
        held = {"held_at": db.at, "held_until": held_until, "held_reason": "unpaid"}
        db.update("customers", acme.id, time_zone=zone, **held)
        db.record("customer-held", customer="acme")
    assert [each.hold for each in made(books).licenses] == [hold]


def test_an_edited_row_is_refused(books: Books) -> None:
    """The figures rest on rows that are as the journal recorded them."""
    books.license(books.customer())
    with tampering(books.desk.registry) as connection:
        connection.execute("UPDATE licenses SET plan = 'gold'")
    with pytest.raises(RegistryDamaged, match="licenses"):
        made(books)
