"""`polygent-issue customer show`."""

from datetime import UTC, datetime, timedelta

import pytest
from support.licenses import FINGERPRINT, Books
from support.screen import at_terminal, finish

from polygent_issuer.registry import customers, machines

OTHER = "sha256:" + "cd" * 32


def _acme(books: Books) -> str:
    """Acme with a machine that was replaced, a license that was renewed; its current ID."""
    acme = books.customer(contacts=("ops@acme.example", "it@acme.example"), crm="A-17")
    machine = books.machine(acme)
    old = books.license(acme, machine, license_id="0000aaaa-0000-4000-8000-000000000000")
    books.desk.now += timedelta(days=2)
    with books.writing() as db:
        machines.change_identity(
            db, machine, fingerprint=OTHER, hostname="prod-9", components={}, document_id=None
        )
        db.record("machine-changed", customer="acme")
    return books.license(acme, machine, replaces=old).id


def test_everything_known_is_shown(books: Books) -> None:
    """Contacts, machine with its past, current and past licenses, the journal."""
    current = _acme(books)
    text = books.desk.ok("customer", "show", "acme").text
    lines = [line.split() for line in text.splitlines()]
    assert text.startswith("Acme GmbH\n  slug      acme\n")
    assert "  contacts  ops@acme.example, it@acme.example\n" in text
    assert "  CRM       A-17\n" in text
    assert ["prod-1", "prod-9", OTHER, "2026-12-02T09:30:00Z", "now"] in lines
    past = ["prod-1", FINGERPRINT, "2026-11-30T09:30:00Z", "2026-12-02T09:30:00Z"]
    assert past in lines
    assert [current[:8], "prod-1", "standard", "current", "2027-12-01"] in lines
    assert ["0000aaaa", "prod-1", "standard", "replaced", "2027-11-29"] in lines
    assert "polygent-issue journal show --customer acme" in text


def test_json_has_the_same(books: Books) -> None:
    """Customer, machines with what they were, licenses, journal."""
    current = _acme(books)
    shown = books.desk.ok("customer", "show", "ACME  gmbh", "--json").json
    assert shown["customer"]["slug"] == "acme"
    [machine] = shown["machines"]
    assert (machine["label"], machine["fingerprint"]) == ("prod-1", OTHER)
    [before] = machine["before"]
    assert (before["fingerprint"], before["until"]) == (FINGERPRINT, "2026-12-02T09:30:00Z")
    states = [(each["id"], each["status"], each["replaced_by"]) for each in shown["licenses"]]
    old = "0000aaaa-0000-4000-8000-000000000000"
    assert states == [(old, "replaced", current), (current, "current", None)]
    events = [row["event"] for row in shown["journal"]]
    assert events[0] == "customer-added"
    assert events[-1] == "license-renewed"


def test_changes_of_a_machine(books: Books) -> None:
    """When it changed and in which parts; the second and later ones within 12 months are told."""
    acme = books.customer()
    machine = books.machine(acme)
    for number in (1, 2, 3):
        books.desk.now += timedelta(days=100)
        with books.writing() as db:
            known = {"board": str(number), "disk": "1"} if number > 1 else {}
            machines.change_identity(
                db,
                machine,
                fingerprint=f"sha256:{number:064}",
                hostname="prod-1",
                components=known,
                document_id=None,
            )
            db.record("machine-changed", customer="acme")
    text = books.desk.ok("customer", "show", "acme").text
    assert "  prod-1 changed at 2027-09-26T09:30:00Z: board changed, disk same\n" in text
    assert "  prod-1 changed at 2027-06-18T09:30:00Z: board added, disk added\n" in text
    assert text.count("prod-1 changed at") == 2
    assert "  prod-1: 3rd machine change in 12 months\n" in text
    [told] = books.desk.ok("customer", "show", "acme", "--json").json["machines"]
    assert told["notes"] == ["3rd machine change in 12 months"]
    assert told["changes"][0] == {
        "at": "2027-09-26T09:30:00Z",
        "components": {"board": "changed", "disk": "same"},
    }
    assert told["changes"][2]["components"] == {}


def test_a_clone_elsewhere(books: Books) -> None:
    """The same fingerprint under another hostname, at whomever."""
    books.machine(books.customer())
    books.machine(books.customer("Globex", "globex"), "gx")
    text = books.desk.ok("customer", "show", "acme").text
    clone = "this host is prod-1, but its fingerprint is registered for gx (Globex, globex"
    assert f"  prod-1: possible clone: {clone}" in text


def test_the_table_has_one_date_per_expiry_and_json_the_local_instant(books: Books) -> None:
    """The local instant needs a time zone that the customer has and this machine knows."""
    end = datetime(2027, 12, 1, tzinfo=UTC)
    acme = books.customer(time_zone="Asia/Tokyo")
    books.license(acme, expires_at=end)
    text = books.desk.ok("customer", "show", "acme").text
    assert "2027-11-30\n" in text
    assert "2027-12-01" not in text
    shown = books.desk.ok("customer", "show", "acme", "--json").json["licenses"]
    assert [each["expires_at_local"] for each in shown] == ["2027-12-01T09:00:00+09:00"]
    with books.writing() as db:
        customers.edit(db, acme, time_zone="Mars/Olympus")
        db.record("customer-edited", customer="acme")
    shown = books.desk.ok("customer", "show", "acme", "--json").json["licenses"]
    assert [each["expires_at_local"] for each in shown] == [None]


def test_an_expiry_past_the_calendar_of_a_zone(books: Books) -> None:
    """East of Greenwich the last hours of 9999 have no date: the local instant is null."""
    end = datetime(9999, 12, 31, 23, tzinfo=UTC)
    books.license(books.customer(time_zone="Asia/Tokyo"), expires_at=end)
    assert "9999-12-30" in books.desk.ok("customer", "show", "acme").text
    [shown] = books.desk.ok("customer", "show", "acme", "--json").json["licenses"]
    assert shown["expires_at_local"] is None


def test_the_journal_is_its_last_ten_rows_newest_last(books: Books) -> None:
    """A long history stays short here."""
    acme = books.customer()
    for number in range(12):
        books.machine(acme, f"m{number}", f"fingerprint-{number}")
    shown = books.desk.ok("customer", "show", "acme", "--json").json
    assert len(shown["journal"]) == 10
    sequence = [row["seq"] for row in shown["journal"]]
    assert sequence == list(range(sequence[-1] - 9, sequence[-1] + 1))
    assert sequence[-1] == books.last_row().seq


def test_a_bare_customer_is_shown_too(books: Books) -> None:
    """No machine and no license are said in words; what is unknown has no line."""
    books.customer()
    text = books.desk.ok("customer", "show", "acme").text
    assert "no machines\n" in text
    assert "no licenses\n" in text
    assert "contacts" not in text


@pytest.mark.parametrize(
    ("typed", "code", "hint"),
    [
        ("acmee", "not_found", "did you mean `acme`?"),
        ("zzzzzzzz", "not_found", "polygent-issue customer list"),
        ("twin", "ambiguous", "twin-1 (Twin), twin-2 (Twin)"),
        ("ac", "not_found", "did you mean `acme`?"),
    ],
)
def test_who_is_meant_must_be_clear(books: Books, typed: str, code: str, hint: str) -> None:
    """Exit 5 with the nearest, or with the candidates; off a terminal no beginning will do."""
    books.customer()
    for number in (1, 2):
        books.customer("Twin", f"twin-{number}")
    outcome = books.desk.run("customer", "show", typed, "--json")
    assert outcome.code == 5
    assert outcome.json["error"]["code"] == code
    assert hint in outcome.json["error"]["hint"]


def test_at_a_terminal_a_beginning_will_do(books: Books) -> None:
    """`customer show ac` means Acme to a person."""
    books.customer()
    code, screen = finish(at_terminal(books.desk.home, "customer", "show", "ac"))
    assert code == 0
    assert "Acme GmbH" in screen
