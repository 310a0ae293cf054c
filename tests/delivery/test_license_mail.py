"""What a mail rests on: read from the registry, verified."""

from datetime import timedelta

import pytest
from support.licenses import YEAR, Books
from support.registries import tampering

from polygent_issuer.delivery.license_mail import Kind, LicenseMail, license_mail
from polygent_issuer.errors import NotFound
from polygent_issuer.home.settings import Settings
from polygent_issuer.registry.errors import RegistryDamaged


def read(books: Books, license_id: str, window: timedelta | None = None) -> LicenseMail:
    """The letter of a license."""
    with books.reading() as db:
        return license_mail(db, license_id, Settings(upload_window=window))


def test_a_new_license(books: Books) -> None:
    """Its bytes, its name, its deadline; and what it allows, without what says nothing."""
    acme = books.customer()
    kept = books.license(acme, books.machine(acme))
    letter = read(books, kept.id, timedelta(days=2))
    assert letter.file == kept.file
    assert letter.file_name == f"acme-prod-1-2027-11-29-{kept.id[:8]}.lic"
    assert letter.stem + ".lic" == letter.file_name
    assert letter.upload_before == kept.issued_at + timedelta(days=2)
    assert letter.kind is Kind.NEW
    named = [term.name for term in letter.differences]
    assert named == ["tier", "users", "session hosts", "deploy hosts", "features"]


@pytest.mark.parametrize(
    ("longer", "kind"), [(YEAR, Kind.RENEWAL), (timedelta(), Kind.REPLACEMENT)]
)
def test_what_follows_another(books: Books, longer: timedelta, kind: Kind) -> None:
    """More time is a renewal; the same time is another file for it."""
    acme = books.customer()
    old = books.license(acme)
    new = books.license(acme, replaces=old, expires_at=old.expires_at + longer)
    letter = read(books, new.id)
    assert letter.kind is kind
    assert [each.jti for each in letter.replaced] == [old.id]
    assert letter.differences == ()


def test_what_is_replaced_may_be_unknown(books: Books) -> None:
    """A registry rebuilt from files need not hold it: then all terms are told."""
    acme = books.customer()
    old = books.license(acme)
    new = books.license(acme, replaces=old)
    with tampering(books.path) as raw:
        raw.execute("PRAGMA foreign_keys = OFF")
        raw.execute("DELETE FROM licenses WHERE id = ?", (old.id,))
        raw.execute("DELETE FROM row_journal WHERE name = ?", (f"licenses/{old.id}",))
    letter = read(books, new.id)
    assert (letter.kind, letter.replaced) == (Kind.REPLACEMENT, ())
    assert "users" in [term.name for term in letter.differences]


def test_contacts_with_and_without_an_address(books: Books) -> None:
    """Each address once, in order; what cannot be mailed to is told apart."""
    contacts = (
        "Ada <ada@acme.example>",
        "+49 30 1234",
        "ops@acme.example",
        "ADA@ACME.example",
        "ops@bücher.example",
    )
    kept = books.license(books.customer(contacts=contacts))
    letter = read(books, kept.id)
    assert [box.address for box in letter.recipients] == ["ada@acme.example", "ops@acme.example"]
    assert letter.unreachable == ("+49 30 1234", "ops@bücher.example")


def test_what_is_not_what_was_issued_is_not_mailed(books: Books) -> None:
    """A stored file that does not verify; a license that is not there."""
    kept = books.license(books.customer())
    with pytest.raises(NotFound):
        read(books, "0" * 8)
    with tampering(books.path) as raw:
        raw.execute("UPDATE licenses SET file = CAST(replace(file, 'a', 'b') AS BLOB)")
    with pytest.raises(RegistryDamaged):
        read(books, kept.id)
