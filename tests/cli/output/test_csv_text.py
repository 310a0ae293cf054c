"""`--csv`: lists in which a spreadsheet finds no formula."""

import csv
import io
import os
import re
import subprocess
import sys

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from support.cli import Desk
from support.licenses import Books

from polygent_issuer.cli.commands.customer import show
from polygent_issuer.cli.commands.expiring import COLUMNS as EXPIRING
from polygent_issuer.cli.commands.license.show import COLUMNS as LICENSES
from polygent_issuer.cli.output.files import write_csv
from polygent_issuer.cli.output.records import JOURNAL_COLUMNS as JOURNAL
from polygent_issuer.text import escape

LISTS = {
    ("license", "list"): LICENSES,
    ("customer", "list"): show.LIST_COLUMNS,
    ("expiring", "--within", "2y"): EXPIRING,
    ("journal", "show"): JOURNAL,
}
MEMBERS = {
    "license": "licenses",
    "customer": "customers",
    "expiring": "licenses",
    "journal": "rows",
}
FORMULAS = "=+-@\t\r\n\uff1d\uff0b\uff0d\uff20"


def read(text: str) -> list[list[str]]:
    """Return the rows as any program reads them."""
    return list(csv.reader(io.StringIO(text, newline=""), strict=True))


def written(value: object) -> str:
    """Return the cell of a file with one column."""
    out = io.StringIO(newline="")
    write_csv(out, ("x",), [{"x": value}])
    header, (cell,) = read(out.getvalue())
    assert header == ["x"]
    return cell


@pytest.mark.parametrize("argv", LISTS)
def test_each_list(books: Books, argv: tuple[str, ...]) -> None:
    """A header of the JSON's own names, then a row for each item of the JSON; nothing else."""
    acme = books.customer()
    books.license(acme, books.machine(acme))
    books.license(books.customer("Globex", "globex"))
    outcome = books.desk.ok(*argv, "--csv")
    assert outcome.out.count(b"\r\n") == outcome.out.count(b"\n")
    header, *rows = read(outcome.text)
    items = books.desk.ok(*argv, "--json").json[MEMBERS[argv[0]]]
    assert tuple(header) == LISTS[argv] == tuple(items[0])
    assert len(rows) == len(items) > 0
    assert [row[0] for row in rows] == [str(item[header[0]]) for item in items]


@pytest.mark.parametrize("argv", LISTS)
def test_an_empty_list_has_its_header(empty_desk: Desk, argv: tuple[str, ...]) -> None:
    """So that a script finds its columns, whatever is in them."""
    empty_desk.ok("init")
    header, *_ = read(empty_desk.ok(*argv, "--csv").text)
    assert tuple(header) == LISTS[argv]


NAMES = {
    "license": "licenses.csv",
    "customer": "customers.csv",
    "expiring": "expiring.csv",
    "journal": "journal.csv",
}


@pytest.mark.parametrize("argv", LISTS)
def test_a_file_for_a_spreadsheet(books: Books, argv: tuple[str, ...]) -> None:
    """The same bytes behind a BOM, also by the list's own name in a folder; stdout has no BOM."""
    books.license(books.customer("Müller 株式", "muller"))
    target = books.desk.folder / "x.csv"
    on_stdout = books.desk.ok(*argv, "--csv").out
    assert not on_stdout.startswith(b"\xef\xbb\xbf")
    outcome = books.desk.ok(*argv, "--csv", "--output", str(target))
    assert (outcome.text, outcome.err) == (f"wrote {target}\n", "")
    assert target.read_bytes() == b"\xef\xbb\xbf" + on_stdout
    (books.desk.folder / "lists").mkdir()
    named = books.desk.ok(*argv, "--csv", "-o", str(books.desk.folder / "lists"), "--json").json
    path = books.desk.folder / "lists" / NAMES[argv[0]]
    assert (named["file"], path.read_bytes()) == (str(path), target.read_bytes())
    assert books.desk.ok(*argv, "--csv", "-o", "-").out == on_stdout
    left = [each.name for each in books.desk.folder.iterdir() if each.name.startswith(".")]
    assert left == []


@pytest.mark.parametrize("argv", LISTS)
def test_no_file_is_overwritten(books: Books, argv: tuple[str, ...]) -> None:
    """Exit 8, and what is there stays; `--output` alone is wrong usage."""
    target = books.desk.folder / "x.csv"
    target.write_bytes(b"mine")
    taken = books.desk.run(*argv, "--csv", "-o", str(target))
    assert (taken.code, target.read_bytes()) == (8, b"mine")
    assert taken.err.endswith("already exists\nhint: choose another file with --output\n")
    nowhere = str(books.desk.folder / "none" / "x.csv")
    assert books.desk.run(*argv, "--csv", "-o", nowhere).code == 8
    alone = books.desk.run(*argv, "-o", str(books.desk.folder / "y.csv"))
    assert (alone.code, "hint: add --csv" in alone.err) == (2, True)
    assert books.desk.run(*argv, "--csv", "--json", "-o", "-").code == 2


def test_a_calendar_and_a_table(books: Books) -> None:
    """Each in a file of its own."""
    books.license(books.customer())
    table, calendar = books.desk.folder / "x.csv", books.desk.folder / "x.ics"
    argv = ("expiring", "--within", "2y", "--csv", "-o", str(table), "--ics")
    assert books.desk.run(*argv, "-").code == 2
    books.desk.ok(*argv, str(calendar))
    assert calendar.read_bytes().startswith(b"BEGIN:VCALENDAR")
    assert table.read_bytes().startswith(b"\xef\xbb\xbf")


@pytest.mark.parametrize("argv", LISTS)
def test_one_form_at_a_time(books: Books, argv: tuple[str, ...]) -> None:
    """`--csv --json` is exit 2, and stdout is the JSON error alone."""
    outcome = books.desk.run(*argv, "--csv", "--json")
    assert outcome.code == 2
    assert "both use stdout" in outcome.json["error"]["message"]


def test_a_customer_who_is_a_formula(books: Books) -> None:
    """The cell begins with an apostrophe; the JSON has the name as it is."""
    name = '=HYPERLINK("http://x.example","Acme")'
    books.customer(name, "evil")
    _, row = read(books.desk.ok("customer", "list", "--csv").text)
    assert row[1] == f"'{name}"
    assert books.desk.ok("customer", "list", "--json").json["customers"][0]["name"] == name


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252"])
def test_csv_is_utf_8_in_every_locale(books: Books, encoding: str) -> None:
    """Neither the locale nor a system that adds CR LF changes a byte."""
    books.customer("Müller 株式", "muller")
    expected = books.desk.ok("customer", "list", "--csv").out
    home = ("--home", str(books.desk.home))
    command = [sys.executable, "-m", "polygent_issuer", *home, "customer", "list", "--csv"]
    environ = {**os.environ, "PYTHONIOENCODING": encoding}
    done = subprocess.run(command, env=environ, capture_output=True, check=True)
    assert (done.stdout, done.stderr) == (expected, b"")
    assert "Müller 株式".encode() in expected
    out = io.BytesIO()
    stream = io.TextIOWrapper(out, encoding=encoding, newline="\r\n")
    write_csv(stream, ("x",), [{"x": "株"}])
    assert out.getvalue() == '"x"\r\n"株"\r\n'.encode()


@given(st.text())
@example("=1+1")
@example(" \t=1")
@example("\uff1d1")
@example("\u2003=1")
@example("a;\u2003'=1")
@example('"=1')
@example("\x1b[31m")
@example("line\r\nline")
@example("Acme; =1")
@example('a;"=1')
def test_a_spreadsheet_runs_no_cell(text: str) -> None:
    """A cell is one line without control characters and without a formula at its beginning."""
    cell = written(text)
    escaped = escape(text)
    assert cell.removeprefix("'").replace(";'", ";") in (
        escaped.replace(";'", ";"),
        escaped.removeprefix("'").replace(";'", ";"),
    )
    for part in cell.split(";"):
        assert part.startswith("'") or not re.match(f"[\\s'\"]*[{re.escape(FORMULAS)}]", part)
    assert escape(cell) == cell


@pytest.mark.parametrize(
    ("value", "cell"),
    [
        (None, ""),
        (-5, "-5"),
        (True, "true"),
        (["a@b.example", "c"], "a@b.example; c"),
        ({"b": "ü"}, '{"b": "ü"}'),
        ([], ""),
        (["=1"], "'=1"),
        (["Ada", "=1"], "Ada;' =1"),
        ("Acme;=1;b;-2", "Acme;'=1;b;'-2"),
        ("Acme; Globex", "Acme; Globex"),
    ],
)
def test_values_that_are_not_text(value: object, cell: str) -> None:
    """Numbers stay numbers, lists are joined, and a missing value is empty."""
    assert written(value) == cell


def test_numbers_are_bare(books: Books) -> None:
    """A spreadsheet counts with them; every text is quoted."""
    books.license(books.customer())
    text = books.desk.ok("expiring", "--within", "2y", "--csv").text
    assert ',"standard",' not in text
    assert ',365,"false","","","","false"\r\n' in text
