"""`polygent-issue customer export`."""

import csv
import io

from support.licenses import Books

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
