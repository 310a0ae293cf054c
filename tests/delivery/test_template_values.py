"""A letter in plain words."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from support.licenses import Books

from polygent_issuer.delivery.license_mail import LicenseMail, license_mail
from polygent_issuer.delivery.template import PLACEHOLDERS, template_values
from polygent_issuer.email_address import Mailbox
from polygent_issuer.home.settings import Settings
from polygent_issuer.verifier import Limits

ADA = Mailbox(name="Ada", address="ada@acme.example")
END = datetime(2027, 12, 1, tzinfo=UTC)


def letter(books: Books, **customer: Any) -> LicenseMail:
    """The letter of a license for a machine."""
    acme = books.customer(**customer)
    kept = books.license(acme, books.machine(acme), expires_at=END)
    with books.reading() as db:
        return license_mail(db, kept.id, Settings())


def followed(first: LicenseMail, **claims: Any) -> LicenseMail:
    """The letter of a license that differs in these claims from the one that it replaces."""
    old = first.license
    new = replace(old, jti=old.jti[::-1], replaces=(old.jti,), **claims)
    return replace(first, license=new, replaced=(old,))


def test_every_placeholder_has_its_words(books: Books) -> None:
    """Those that are documented, and no other; none is empty."""
    told = template_values(letter(books), ADA)
    assert list(told) == [*[name for name in PLACEHOLDERS if name != "changes"], "changes"]
    assert all(told.values())


def test_a_new_license(books: Books) -> None:
    """What it is, until when, until when to upload, what it allows."""
    first = letter(books)
    told = template_values(first, ADA)
    assert told["greeting"] == "Hello Ada,"
    assert (told["kind"], told["what"]) == ("new license", "your new Polygent license")
    assert (told["machine"], told["customer"]) == ("prod-1", "Acme GmbH")
    assert told["valid_until"] == "2027-12-01T00:00:00Z, last full day 2027-11-30"
    assert told["last_day"] == "2027-11-30"
    assert told["upload_before"] == "2026-12-07T09:30:00Z"
    assert told["upload_day"] == "2026-12-07"
    assert told["changes"].splitlines() == [
        "Your license includes:",
        "  tier: standard",
        "  users: 25",
        "  session hosts: 2",
        "  deploy hosts: 1",
        "  features: insights, planner",
    ]


def test_the_customers_time_zone(books: Books) -> None:
    """Both moments as they are there, too; a zone that this machine lacks changes nothing."""
    first = letter(books, time_zone="Asia/Kathmandu")
    told = template_values(first, None)
    assert told["greeting"] == "Hello,"
    assert "in Asia/Kathmandu 2027-12-01T05:45:00+05:45" in told["valid_until"]
    there = "2026-12-07T09:30:00Z (in Asia/Kathmandu 2026-12-07T15:15:00+05:45)"
    assert told["upload_before"] == there
    lost = replace(first, customer=replace(first.customer, time_zone="Mars/Base"))
    assert template_values(lost, None)["upload_before"] == "2026-12-07T09:30:00Z"


def test_what_changes(books: Books) -> None:
    """New for old, features by what happens to them, the end by its day."""
    told = template_values(
        followed(
            letter(books),
            exp=int((END + timedelta(days=366)).timestamp()),
            features=("bots", "planner"),
            limits=Limits(users=40, session_hosts=2, deploy_hosts=1),
            machine_fingerprint="cd" * 32,
        ),
        ADA,
    )
    assert told["kind"] == "renewal"
    assert told["changes"].splitlines() == [
        "What changes:",
        "  last full day: 2028-11-30 instead of 2027-11-30",
        f"  machine fingerprint: {'cd' * 32} instead of sha256:{'ab' * 32}",
        "  users: 40 instead of 25",
        "  feature bots: added",
        "  feature insights: removed",
    ]


def test_only_the_file_is_new(books: Books) -> None:
    """A reissue past the upload window changes no term."""
    told = template_values(followed(letter(books)), ADA)
    assert told["kind"] == "replacement"
    assert told["changes"] == "What changes:\n  only the file itself"


def test_an_enterprise_license_is_for_any_machine(books: Books) -> None:
    """There is no label."""
    kept = books.license(books.customer())
    with books.reading() as db:
        found = license_mail(db, kept.id, Settings())
    assert template_values(found, None)["machine"] == "any machine"


def test_foreign_characters_are_escaped(books: Books) -> None:
    """Should one have come past the registry."""
    first = letter(books)
    odd = replace(first, machine="prod\x1b[31m\u202e\r\nBcc: x@y.example")
    assert template_values(odd, None)["machine"] == "prod\\x1b[31m\\u202e\\x0d\\x0aBcc: x@y.example"
