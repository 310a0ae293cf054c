"""`polygent-issue customer show`."""

from datetime import UTC, datetime, timedelta

import pytest
from support.licenses import FINGERPRINT, Books
from support.screen import at_terminal, finish

from polygent_issuer.registry import customers, machines

OTHER = "sha256:" + "cd" * 32


def _acme(books: Books) -> str:
    """Register Acme with a changed machine and a renewed license; return the current ID."""
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
    """Contacts, machines with their past, licenses and journal rows are shown."""
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
    """JSON has the customer, machines with their past, licenses and journal rows."""
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


def test_changes_of_a_machine_are_shown(books: Books) -> None:
    """Each change names its components; repeated changes within 12 months are noted."""
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
    [result] = books.desk.ok("customer", "show", "acme", "--json").json["machines"]
    assert result["notes"] == ["3rd machine change in 12 months"]
    assert result["changes"][0] == {
        "at": "2027-09-26T09:30:00Z",
        "components": {"board": "changed", "disk": "same"},
    }
    assert result["changes"][2]["components"] == {}


def test_a_possible_clone_is_noted(books: Books) -> None:
    """The same fingerprint under another host name is noted, for any customer."""
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


def test_an_expiry_after_the_year_9999_has_no_local_time(books: Books) -> None:
    """East of Greenwich the last hours of 9999 have no date, so the local instant is null."""
    end = datetime(9999, 12, 31, 23, tzinfo=UTC)
    books.license(books.customer(time_zone="Asia/Tokyo"), expires_at=end)
    assert "9999-12-30" in books.desk.ok("customer", "show", "acme").text
    [shown] = books.desk.ok("customer", "show", "acme", "--json").json["licenses"]
    assert shown["expires_at_local"] is None


def test_the_last_ten_journal_rows_are_shown(books: Books) -> None:
    """Only the last ten rows are shown, the newest last."""
    acme = books.customer()
    for number in range(12):
        books.machine(acme, f"m{number}", f"fingerprint-{number}")
    shown = books.desk.ok("customer", "show", "acme", "--json").json
    assert len(shown["journal"]) == 10
    sequence = [row["seq"] for row in shown["journal"]]
    assert sequence == list(range(sequence[-1] - 9, sequence[-1] + 1))
    assert sequence[-1] == books.last_row().seq


def test_a_customer_without_machines_is_shown(books: Books) -> None:
    """Missing machines and licenses are reported; an unset value has no line."""
    books.customer()
    text = books.desk.ok("customer", "show", "acme").text
    assert "no machines\n" in text
    assert "no licenses\n" in text
    assert "contacts" not in text


@pytest.mark.parametrize(
    ("typed", "code", "hint"),
    [
        ("acmee", "not_found", "did you mean acme?"),
        ("zzzzzzzz", "not_found", "polygent-issue customer list"),
        ("twin", "ambiguous", "twin-1 (Twin), twin-2 (Twin)"),
        ("ac", "not_found", "did you mean acme?"),
    ],
)
def test_an_ambiguous_customer_is_refused(books: Books, typed: str, code: str, hint: str) -> None:
    """An unknown or ambiguous name is exit 5 with candidates; a script needs the full name."""
    books.customer()
    for number in (1, 2):
        books.customer("Twin", f"twin-{number}")
    outcome = books.desk.run("customer", "show", typed, "--json")
    assert outcome.code == 5
    assert outcome.json["error"]["code"] == code
    assert hint in outcome.json["error"]["hint"]


def test_a_terminal_accepts_an_unambiguous_prefix(books: Books) -> None:
    """On a terminal `customer show ac` finds Acme."""
    books.customer()
    code, screen = finish(at_terminal(books.desk.home, "customer", "show", "ac"))
    assert code == 0
    assert "Acme GmbH" in screen
