"""The facts of a mail, read from the registry and verified."""

from datetime import timedelta

import pytest
from support.licenses import YEAR, Books
from support.registries import tampering

from polygent_issuer.delivery.license_mail import Kind, LicenseMail, license_mail
from polygent_issuer.errors import NotFound
from polygent_issuer.home.settings import Settings
from polygent_issuer.registry.errors import RegistryDamaged


def read(books: Books, license_id: str, window: timedelta | None = None) -> LicenseMail:
    """Return the mail of a license."""
    with books.reading() as db:
        return license_mail(db, license_id, Settings(upload_window=window))


def test_a_new_license_lists_what_it_allows(books: Books) -> None:
    """The mail has the file, its name, the deadline and the terms."""
    acme = books.customer()
    record = books.license(acme, books.machine(acme))
    letter = read(books, record.id, timedelta(days=2))
    assert letter.file == record.file
    assert letter.file_name == f"acme-prod-1-2027-11-29-{record.id[:8]}.lic"
    assert letter.stem + ".lic" == letter.file_name
    assert letter.upload_before == record.issued_at + timedelta(days=2)
    assert letter.kind is Kind.NEW
    named = [term.name for term in letter.differences]
    assert named == ["tier", "users", "session hosts", "deploy hosts", "features"]


@pytest.mark.parametrize(
    ("longer", "kind"), [(YEAR, Kind.RENEWAL), (timedelta(), Kind.REPLACEMENT)]
)
def test_a_later_expiry_is_a_renewal(books: Books, longer: timedelta, kind: Kind) -> None:
    """A license with the same expiry is a replacement."""
    acme = books.customer()
    old = books.license(acme)
    new = books.license(acme, replaces=old, expires_at=old.expires_at + longer)
    letter = read(books, new.id)
    assert letter.kind is kind
    assert [each.jti for each in letter.replaced] == [old.id]
    assert letter.differences == ()


def test_a_replaced_license_may_be_missing(books: Books) -> None:
    """In a registry that was rebuilt from files all terms are listed."""
    acme = books.customer()
    old = books.license(acme)
    new = books.license(acme, replaces=old)
    with tampering(books.desk.registry) as raw:
        raw.execute("PRAGMA foreign_keys = OFF")
        raw.execute("DELETE FROM licenses WHERE id = ?", (old.id,))
        raw.execute("DELETE FROM row_journal WHERE name = ?", (f"licenses/{old.id}",))
    letter = read(books, new.id)
    assert (letter.kind, letter.replaced) == (Kind.REPLACEMENT, ())
    assert "users" in [term.name for term in letter.differences]


def test_contacts_with_and_without_an_address(books: Books) -> None:
    """Each address is listed once, in order; other contacts are listed separately."""
    contacts = (
        "Ada <ada@acme.example>",
        "+49 30 1234",
        "ops@acme.example",
        "ADA@ACME.example",
        "ops@bücher.example",
    )
    record = books.license(books.customer(contacts=contacts))
    letter = read(books, record.id)
    assert [box.address for box in letter.recipients] == ["ada@acme.example", "ops@acme.example"]
    assert letter.unreachable == ("+49 30 1234", "ops@bücher.example")


@pytest.mark.sqlite("edits rows of the file")
def test_an_invalid_or_missing_license_is_not_mailed(books: Books) -> None:
    """A stored file must verify, and the license must exist."""
    record = books.license(books.customer())
    with pytest.raises(NotFound):
        read(books, "0" * 8)
    with tampering(books.desk.registry) as raw:
        raw.execute("UPDATE licenses SET file = CAST(replace(file, 'a', 'b') AS BLOB)")
    with pytest.raises(RegistryDamaged):
        read(books, record.id)
