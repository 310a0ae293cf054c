"""`polygent-issue customer import`."""

from datetime import timedelta
from typing import Any

import pytest
from support.licenses import Books
from support.screen import at_terminal, finish

from polygent_issuer.cli import prompts
from polygent_issuer.findings import Consent
from polygent_issuer.registry import journal

# Where the machine's own clock is read, it may be behind the desk's.
CLOCK = ("--accept", "clock-behind")
HEADER = "slug,name,contacts,time_zone,crm,notes"


def write(books: Books, text: str, name: str = "customers.csv") -> str:
    """Write a file of customers and return its path."""
    path = books.desk.folder / name
    path.write_text(text, encoding="utf-8", newline="")
    return str(path)


def imported(books: Books, text: str, *argv: str) -> dict[str, Any]:
    """Import rows without slugs below the header; return the JSON."""
    file = write(books, f"{HEADER}\n{text}")
    return books.desk.ok("customer", "import", file, *argv, "--json").json


def refused(books: Books, text: str) -> list[str]:
    """Return the problems of a file; nothing is written."""
    before = books.last_row()
    outcome = books.desk.run("customer", "import", write(books, f"{HEADER}\n{text}"), "--json")
    assert outcome.code == 3
    assert books.last_row() == before
    error = outcome.json["error"]
    messages = [each["message"] for each in error.get("problems", [error])]
    return [message.removeprefix("customers.csv, ") for message in messages]


def shown(books: Books, slug: str) -> dict[str, Any]:
    """Return a customer."""
    customer: dict[str, Any] = books.desk.ok("customer", "show", slug, "--json").json["customer"]
    return customer


def events(books: Books) -> list[tuple[str, str | None]]:
    """Return event and customer of each journal row after the first."""
    with books.reading() as db:
        return [(row.event, row.customer) for row in journal.rows(db)][1:]


def test_rows_add_and_change_customers(books: Books) -> None:
    """By slug, else by name, else new, each with a journal row; an empty cell keeps a value."""
    books.customer(contacts=("ops@acme.example",), crm="A-1")
    books.customer("Globex AG", "globex", notes="pays late")
    before = len(events(books))
    text = (
        "globex,Globex SE,,,,\n"
        ",ACME,it@acme.example;Ada,Europe/Berlin,,calls\n"
        ",Müller & Söhne,a@m.example,,M-1,\n"
        "mine,Initech,,,,\n"
    )
    result = imported(books, text)
    assert (result["done"], result["added"], result["changed"]) == (True, 2, 2)
    outcomes = [(each["line"], each["outcome"], each["slug"]) for each in result["customers"]]
    assert outcomes == [
        (2, "changed", "globex"),
        (3, "changed", "acme"),
        (4, "new", "muller-sohne"),
        (5, "new", "mine"),
    ]
    assert result["customers"][1]["changes"] == [
        {"name": "contacts", "old": "ops@acme.example", "new": "it@acme.example, Ada"},
        {"name": "time_zone", "old": None, "new": "Europe/Berlin"},
        {"name": "notes", "old": None, "new": "calls"},
    ]
    acme, globex = shown(books, "acme"), shown(books, "globex")
    assert (acme["name"], acme["crm"], acme["notes"]) == ("Acme GmbH", "A-1", "calls")
    assert acme["contacts"] == ["it@acme.example", "Ada"]
    assert (globex["name"], globex["notes"]) == ("Globex SE", "pays late")
    assert shown(books, "muller-sohne")["crm"] == "M-1"
    assert events(books)[before:] == [
        ("customer-edited", "globex"),
        ("customer-edited", "acme"),
        ("customer-added", "muller-sohne"),
        ("customer-added", "mine"),
    ]
    assert books.last_row().details == {"name": "Initech"}
    rows = len(events(books))
    again = imported(books, text)
    assert (again["added"], again["changed"], again["unchanged"]) == (0, 0, 4)
    assert len(events(books)) == rows


def test_nothing_is_written_if_a_row_is_wrong(books: Books) -> None:
    """Every problem of the file is named, with those of matching; the other rows stay out."""
    books.customer()
    books.customer("Globex AG", "globex")
    books.customer("Globex KG", "globex-kg")
    books.desk.ok("customer", "archive", "globex-kg", "--reason", "left")
    text = (
        ",Initech,ops@,,,\n"
        ",INITECH GmbH,,Europe/Berln,,\n"
        "acme,,,,,\n"
        ",Acme,,,,\n"
        "acme-2,Acme GmbH,,,,\n"
        "ghost,,,,,\n"
        ",,a@b.example,,,\n"
        ",Globex,,,,\n"
        ",globex kg,,,,\n"
        "one,Wayne SA,,,,\n"
        "one,Tyrell,,,,\n"
    )
    assert refused(books, text) == [
        "line 2: contacts: not an email address: ops@",
        "line 3: time_zone: unknown time zone: Europe/Berln",
        "line 3: the row is for the same customer as customers.csv, line 2",
        "line 5: the row is for the same customer as customers.csv, line 4",
        "line 6: slug: Acme GmbH has the slug acme, which never changes",
        "line 7: name: no customer has the slug ghost, and a new one needs a name",
        "line 8: name: the name is missing",
        "line 9: name: several customers match Globex",
        "line 10: Globex KG was archived at 2026-11-30T09:30:00Z",
        "line 12: the row is for the same customer as customers.csv, line 11",
    ]


def test_similar_names_need_consent(books: Books) -> None:
    """To known customers, to earlier rows, and of a changed name; the journal has who accepted."""
    books.customer()
    books.customer("Globex AG", "globex")
    text = (
        ",Acme Inc,,,,\n"
        ",Initech Inc,,,,\n"
        ",Initech Ltd,,,,\n"
        "globex,Acme Ltd,,,,\n"
        ",Store 001,,,,\n"
        ",Store 002,,,,\n"
        "same-1,Wayne SA,,,,\n"
        "same-2,Wayne SA,,,,\n"
    )
    file = write(books, f"{HEADER}\n{text}")
    outcome = books.desk.run("customer", "import", file, "--json")
    assert outcome.code == 4
    assert [each["message"] for each in outcome.json["error"]["findings"]] == [
        "line 2: the name Acme Inc is very similar to Acme GmbH (acme)",
        "line 4: the name Initech Ltd is very similar to Initech Inc (line 3)",
        "line 5: the name Acme Ltd is very similar to Acme GmbH (acme)",
        "line 9: the name Wayne SA is very similar to Wayne SA (line 8)",
    ]
    preview = books.desk.ok("customer", "import", file, "--dry-run").text
    assert "line 2: NEW Acme Inc (acme-inc)\n  similar-customer: the name Acme Inc is" in preview
    assert (
        "consent needed: --accept similar-customer --reason TEXT\ndry run: nothing was written"
        in preview
    )
    argv = ("--accept", "similar-customer")
    assert books.desk.run("customer", "import", file, *argv).code == 4
    result = books.desk.ok("customer", "import", file, *argv, "--reason", "checked", "--json").json
    assert result["accepted"] == ["similar-customer"]
    with books.reading() as db:
        rows = list(journal.rows(db))[-8:]
    assert [bool(row.accepted) for row in rows] == [True, False, True, True, *[False] * 3, True]
    assert {row.reason for row in rows} == {"checked"}


def test_the_slug_of_a_merged_customer_changes_no_name(books: Books) -> None:
    """An export from before the merger has the old name with the slug that is now an alias."""
    books.customer()
    books.customer("Globex AG", "globex")
    books.desk.ok("customer", "merge", "globex", "acme", "--yes", "--reason", "same", *CLOCK)
    result = imported(books, "globex,Globex AG,,,G-1,\n", *CLOCK)
    [row] = result["customers"]
    assert (row["slug"], row["changes"]) == ("acme", [{"name": "crm", "old": None, "new": "G-1"}])
    assert shown(books, "acme")["name"] == "Acme GmbH"


def test_new_slugs_do_not_collide(books: Books) -> None:
    """A slug that is made avoids those of the registry and of every row, also of later ones."""
    books.customer("Something", "acme")
    result = imported(books, ",Ac-Me,,,,\n,Ac Me 2,,,,\nac-me,Zeta,,,,\n")
    assert [each["slug"] for each in result["customers"]] == ["ac-me-2", "ac-me-2-2", "ac-me"]


def test_a_new_name_lists_the_licenses_that_carry_the_old_one(books: Books) -> None:
    """As `customer edit` does, each with the command that reissues it."""
    license_ = books.license(books.customer(), expires_at=books.desk.now + timedelta(days=9))
    file = write(books, "slug,name\nacme,Globex AG\n")
    text = books.desk.ok("customer", "import", file).text
    assert "line 2: changed Acme GmbH (acme): name Acme GmbH → Globex AG" in text
    assert f"polygent-issue reissue acme --license {license_.id[:8]}" in text


def test_a_dry_run_and_an_empty_file_write_nothing(books: Books) -> None:
    """The dry run lists every row, a real run the first twenty."""
    rows = "".join(f",Store {number:03},,,,\n" for number in range(30))
    file = write(books, f"{HEADER}\n{rows}")
    before = books.last_row()
    preview = books.desk.ok("customer", "import", file, "--dry-run").text
    assert preview.count("NEW Store") == 30
    assert "add 30\ndry run: nothing was written\n" in preview
    assert books.desk.ok("customer", "import", write(books, HEADER, "e.csv")).text == (
        "the file has no rows\nnothing to do\n"
    )
    assert books.last_row() == before
    done = books.desk.ok("customer", "import", file).text
    assert done.count("NEW Store") == 20
    assert "and 10 more; --dry-run lists all of them\nadded 30\n" in done


def test_other_headers_are_mapped(books: Books) -> None:
    """From stdin, with `--map`; a wrong one is wrong usage."""
    argv = ("customer", "import", "-", "--map", "Firma=name", "--map", "Ort=")
    outcome = books.desk.ok(*argv, stdin="firma;Ort\nAcme GmbH;Köln\n".encode())
    assert outcome.text.startswith("line 2: NEW Acme GmbH (acme-gmbh)\nadded 1\n")
    assert books.desk.run(*argv, "--map", "Tel=phone", stdin=b"x").code == 2


def test_an_interrupted_decision_imports_nothing(
    books: Books, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If another operator adds the customer meanwhile, the whole file is decided again."""

    def while_asking(_invocation: object, _findings: object, given: Consent) -> Consent:
        books.customer()
        return given

    monkeypatch.setattr(prompts, "obtain_consent", while_asking)
    outcome = books.desk.run("customer", "import", write(books, "name\nAcme\nZeta\n"))
    assert outcome.code == 7
    assert "nothing was imported" in outcome.err
    assert books.last_row().customer == "acme"


def test_a_terminal_shows_the_rows_and_asks(books: Books) -> None:
    """Once for all similar names, then before anything is written."""
    books.customer()
    file = write(books, "name\nAcme Inc\nAcme Ltd\n")
    terminal = at_terminal(books.desk.home, "customer", "import", file, *CLOCK)
    terminal.expect("line 3: NEW Acme Ltd")
    terminal.expect("accept similar-customer for 2 items?")
    terminal.sendline("y")
    terminal.expect("reason for the journal")
    terminal.sendline("three firms")
    terminal.expect("import these?")
    terminal.sendline("y")
    code, screen = finish(terminal)
    assert (code, "added 2" in screen, "NEW" in screen) == (0, True, False)
    assert books.last_row().reason == "three firms"
    terminal = at_terminal(
        books.desk.home, "customer", "import", write(books, "name\nZeta\n"), *CLOCK
    )
    terminal.expect("import these?")
    terminal.sendline("n")
    assert finish(terminal)[0] == 130
    assert books.last_row().reason == "three firms"
