"""`polygent-issue customer show`."""

import csv
import io
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


def test_customers_are_listed_by_slug_with_the_next_expiry(books: Books) -> None:
    """Each row has the number of current licenses and the last full day of the next expiry."""
    globex, acme = books.customer("Globex AG", "globex"), books.customer()
    old = books.license(globex, expires_at=datetime(2026, 12, 24, tzinfo=UTC))
    books.license(globex, expires_at=datetime(2028, 1, 1, tzinfo=UTC))
    books.license(globex, expires_at=datetime(2027, 6, 1, 12, tzinfo=UTC), replaces=old)
    assert acme.slug == "acme"
    text = books.desk.ok("customer", "list").text
    assert text.splitlines() == [
        "customer  name       current licenses  next expiry",
        "acme      Acme GmbH  0",
        "globex    Globex AG  2                 2027-05-31",
    ]


def test_an_expiry_is_not_broken_by_long_names(books: Books) -> None:
    """At 80 columns the name folds; slug and expiry are whole."""
    customer = books.customer("株式会社ポリジェント" * 3, "zhushihuisheporijiento" * 2)
    books.license(customer, expires_at=datetime(2027, 6, 1, 12, tzinfo=UTC))
    code, shown = finish(at_terminal(books.desk.home, "customer", "list", COLUMNS="80"))
    assert code == 0, shown
    assert "2027-05-31" in shown
    assert customer.slug in shown


def test_json_carries_every_member(books: Books) -> None:
    """JSON has stable names, with null for unknown values."""
    books.customer(contacts=("ops@acme.example",), time_zone="Europe/Berlin", crm="A-17")
    [acme] = books.desk.ok("customer", "list", "--json").json["customers"]
    assert acme == {
        "slug": "acme",
        "name": "Acme GmbH",
        "contacts": ["ops@acme.example"],
        "time_zone": "Europe/Berlin",
        "crm": "A-17",
        "aliases": [],
        "created_at": "2026-11-30T09:30:00Z",
        "archived_at": None,
        "notes": None,
        "held_at": None,
        "held_until": None,
        "held_reason": None,
        "current_licenses": 0,
        "next_expiry": None,
        "on_hold": False,
    }
    books.license(books.customer("Globex", "globex"), expires_at=books.desk.now + timedelta(days=1))
    _, globex = books.desk.ok("customer", "list", "--json").json["customers"]
    assert (globex["current_licenses"], globex["next_expiry"]) == (1, "2026-12-01T09:30:00Z")


def test_an_empty_list_names_the_next_command(books: Books) -> None:
    """Without customers the text names a command, and JSON is an empty list."""
    assert "polygent-issue customer add NAME" in books.desk.ok("customer", "list").text
    assert books.desk.ok("customer", "list", "--json").json["customers"] == []


def test_without_a_home_it_is_exit_7(books: Books) -> None:
    """A missing home is exit 7, and none is created."""
    elsewhere = str(books.desk.folder / "nowhere")
    outcome = books.desk.run("customer", "list", "--home", elsewhere, "--json")
    assert outcome.code == 7
    assert outcome.json["error"]["code"] == "home_missing"
    assert outcome.json["error"]["hint"] == f"polygent-issue --home {elsewhere} init"


COLUMNS = ["slug", "name", "contacts", "time_zone", "crm", "notes"]


def test_a_round_trip_changes_nothing(books: Books) -> None:
    """Formulas, semicolons, quotes, no-break spaces and repeated contacts survive."""
    books.customer("=Acme; +1\u00a0GmbH", "acme", contacts=("+49 30", 'Ada; "A"', "Ada", "Ada"))
    books.customer(
        "Globex", "globex", crm="@x", notes="-1; =2", time_zone="Europe/Berlin", contacts=("'=x",)
    )
    books.customer("Left", "left")
    books.desk.ok("customer", "archive", "left", "--reason", "left")
    before = books.last_row()
    outcome = books.desk.ok("customer", "export", "-o", str(books.desk.folder))
    path = books.desk.folder / "customers.csv"
    assert outcome.text == f"wrote {path}\n"
    assert path.read_bytes().startswith(b"\xef\xbb\xbf")
    header, *rows = csv.reader(io.StringIO(path.read_text("utf-8-sig")))
    assert (header, [row[0] for row in rows]) == (COLUMNS, ["acme", "globex"])
    assert rows[0][1] == "'=Acme;' +1\u00a0GmbH"
    result = books.desk.ok("customer", "import", str(path), "--json").json
    assert (result["added"], result["changed"], result["unchanged"]) == (0, 0, 2)
    assert books.last_row() == before
    assert books.desk.run("customer", "export", "-o", str(path)).code == 8


def test_stdout_has_the_table_or_json(books: Books) -> None:
    """CSV by default; with `--json` an object for each customer, with the cells of its row."""
    books.customer(contacts=("ops@acme.example", "Ada"))
    text = books.desk.ok("customer", "export").text
    assert text.splitlines()[1] == '"acme","Acme GmbH","ops@acme.example; Ada","","",""'
    [acme] = books.desk.ok("customer", "export", "--json").json["customers"]
    assert acme == {
        "slug": "acme",
        "name": "Acme GmbH",
        "contacts": "ops@acme.example; Ada",
        "time_zone": None,
        "crm": None,
        "notes": None,
    }
    assert books.desk.run("customer", "export", "--json", "-o", "-").code == 2
