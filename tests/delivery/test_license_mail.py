"""The facts of a license in a mail draft, and the texts of its placeholders."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from support.licenses import Books
from support.registries import YEAR, tampering

from polygent_issuer.delivery.license_mail import Kind, LicenseMail, license_mail, template_values
from polygent_issuer.delivery.template import PLACEHOLDERS
from polygent_issuer.email_address import Mailbox
from polygent_issuer.errors import NotFound
from polygent_issuer.home.settings import Settings
from polygent_issuer.registry.errors import RegistryDamaged
from polygent_issuer.verifier import Limits

ADA = Mailbox(name="Ada", address="ada@acme.example")
END = datetime(2027, 12, 1, tzinfo=UTC)


def letter(books: Books, **customer: Any) -> LicenseMail:
    """The mail of a license for a machine."""
    acme = books.customer(**customer)
    record = books.license(acme, books.machine(acme), expires_at=END)
    with books.reading() as db:
        return license_mail(db, record.id, Settings())


def renewed(first: LicenseMail, **claims: Any) -> LicenseMail:
    """Return the mail of a license that differs in these claims from the one that it replaces."""
    old = first.license
    new = replace(old, jti=old.jti[::-1], replaces=(old.jti,), **claims)
    return replace(first, license=new, replaced=(old,))


def test_every_placeholder_has_a_value(books: Books) -> None:
    """Exactly the documented placeholders have a value, and none is empty."""
    values = template_values(letter(books), ADA)
    assert list(values) == [*[name for name in PLACEHOLDERS if name != "changes"], "changes"]
    assert all(values.values())


def test_a_new_license_lists_its_terms(books: Books) -> None:
    """The values have the expiry, the deadline and the terms."""
    first = letter(books)
    values = template_values(first, ADA)
    assert values["greeting"] == "Hello Ada,"
    assert (values["kind"], values["what"]) == ("new license", "your new Polygent license")
    assert (values["machine"], values["customer"]) == ("prod-1", "Acme GmbH")
    assert values["valid_until"] == "2027-12-01T00:00:00Z, last full day 2027-11-30"
    assert values["last_day"] == "2027-11-30"
    assert values["upload_before"] == "2026-12-07T09:30:00Z"
    assert values["upload_day"] == "2026-12-07"
    assert values["changes"].splitlines() == [
        "Your license includes:",
        "  tier: standard",
        "  users: 25",
        "  session hosts: 2",
        "  deploy hosts: 1",
        "  features: insights, planner",
    ]


def test_times_are_also_in_the_customers_zone(books: Books) -> None:
    """A zone that this machine does not know is omitted."""
    first = letter(books, time_zone="Asia/Kathmandu")
    values = template_values(first, None)
    assert values["greeting"] == "Hello,"
    assert "in Asia/Kathmandu 2027-12-01T05:45:00+05:45" in values["valid_until"]
    there = "2026-12-07T09:30:00Z (in Asia/Kathmandu 2026-12-07T15:15:00+05:45)"
    assert values["upload_before"] == there
    lost = replace(first, customer=first.customer._replace(time_zone="Mars/Base"))
    assert template_values(lost, None)["upload_before"] == "2026-12-07T09:30:00Z"


def test_a_renewal_lists_its_changes(books: Books) -> None:
    """The values have the new and old terms, the changed features, and the last day."""
    values = template_values(
        renewed(
            letter(books),
            exp=int((END + timedelta(days=366)).timestamp()),
            features=("bots", "planner"),
            limits=Limits(users=40, session_hosts=2, deploy_hosts=1),
            machine_fingerprint="cd" * 32,
        ),
        ADA,
    )
    assert values["kind"] == "renewal"
    assert values["changes"].splitlines() == [
        "What changes:",
        "  last full day: 2028-11-30 instead of 2027-11-30",
        f"  machine fingerprint: {'cd' * 32} instead of sha256:{'ab' * 32}",
        "  users: 40 instead of 25",
        "  feature bots: added",
        "  feature insights: removed",
    ]


def test_a_reissue_has_no_changes(books: Books) -> None:
    """A reissue after the upload window changes no term."""
    values = template_values(renewed(letter(books)), ADA)
    assert values["kind"] == "replacement"
    assert values["changes"] == "What changes:\n  only the license file"


def test_an_enterprise_license_has_no_machine(books: Books) -> None:
    """The machine is `any machine`."""
    record = books.license(books.customer())
    with books.reading() as db:
        mail = license_mail(db, record.id, Settings())
    assert template_values(mail, None)["machine"] == "any machine"


def test_control_characters_are_escaped(books: Books) -> None:
    """Control characters in the registry are escaped."""
    first = letter(books)
    odd = replace(first, machine="prod\x1b[31m\u202e\r\nBcc: x@y.example")
    assert template_values(odd, None)["machine"] == "prod\\x1b[31m\\u202e\\x0d\\x0aBcc: x@y.example"


def facts_of(books: Books, license_id: str, window: timedelta | None = None) -> LicenseMail:
    """Return the mail of a license."""
    with books.reading() as db:
        return license_mail(db, license_id, Settings(upload_window=window))


def test_a_new_license_lists_what_it_allows(books: Books) -> None:
    """The mail has the file, its name, the deadline and the terms."""
    acme = books.customer()
    record = books.license(acme, books.machine(acme))
    letter = facts_of(books, record.id, timedelta(days=2))
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
    letter = facts_of(books, new.id)
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
    letter = facts_of(books, new.id)
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
    letter = facts_of(books, record.id)
    assert [box.address for box in letter.recipients] == ["ada@acme.example", "ops@acme.example"]
    assert letter.unreachable == ("+49 30 1234", "ops@bücher.example")


@pytest.mark.sqlite("edits rows of the file")
def test_an_invalid_or_missing_license_is_not_mailed(books: Books) -> None:
    """A stored file must verify, and the license must exist."""
    record = books.license(books.customer())
    with pytest.raises(NotFound):
        facts_of(books, "0" * 8)
    with tampering(books.desk.registry) as raw:
        raw.execute("UPDATE licenses SET file = CAST(replace(file, 'a', 'b') AS BLOB)")
    with pytest.raises(RegistryDamaged):
        facts_of(books, record.id)
