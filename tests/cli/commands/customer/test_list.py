"""`polygent-issue customer list`."""

from datetime import UTC, datetime, timedelta

from support.licenses import Books
from support.screen import at_terminal, finish


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
    assert outcome.json["error"]["hint"] == "polygent-issue init"
