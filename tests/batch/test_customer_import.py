"""Files of customers: headers, cells, and every problem with its line and field."""

import csv
import io
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.cli import streams

from polygent_issuer.batch.customer_import import COLUMNS, CustomerFile, parse_mapping, read
from polygent_issuer.batch.customer_import import InvalidCustomerFile as Invalid
from polygent_issuer.cli.commands.customer.show import EXPORT_COLUMNS, exported
from polygent_issuer.errors import UsageProblem
from polygent_issuer.registry import Customer
from polygent_issuer.text import for_spreadsheet, one_line
from polygent_issuer.verifier.license import display_name_problem


def file(content: str | bytes, *mapping: str) -> CustomerFile:
    """Read a file of customers from stdin."""
    data = content.encode() if isinstance(content, str) else content
    with streams(data):
        return read("-", parse_mapping(mapping))


def problems(content: str | bytes, *mapping: str) -> list[str]:
    """Return the message of each problem."""
    found = file(content, *mapping).problems
    assert all(problem.hint and problem.message.isprintable() for problem in found)
    return [problem.message.removeprefix("stdin, ") for problem in found]


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_headers_are_found_in_any_spelling(separator: str) -> None:
    """Case, spaces, hyphens and underscores do not matter; `--map` names other headers."""
    header = ("SLUG", '"Firma, Ort"', "Contact", "Time Zone", "crm-reference", " NOTES ", "Ort")
    cells = ("acme", '"Acme, Inc"', '"a@a.example;Ada"', "Europe/Berlin", '="007"', '"a\nb"', "x")
    content = f"\ufeff{separator.join(header)}\r\n\r\n{separator.join(cells)}\r\n"
    read_file = file(content, "firma,ORT=Name", "ort=")
    assert read_file.problems == []
    [row] = read_file.rows
    assert (row.place, row.line, row.slug) == ("stdin, line 3", 3, "acme")
    assert row.columns == {
        "name": "Acme, Inc",
        "contacts": ("a@a.example", "Ada"),
        "time_zone": "Europe/Berlin",
        "crm": "007",
        "notes": "a b",
    }


def test_empty_cells_are_left_out() -> None:
    """They change nothing, so they are not among the values."""
    [row] = file("name,crm,notes\nAcme,,\n,,\n").rows
    assert (row.slug, row.columns) == (None, {"name": "Acme"})


def test_every_problem_is_named() -> None:
    """Encoding, headers and cells, each with line and field; a row has several."""
    content = (
        "Name;name;Telefon;Zeitzone;Time zone;contacts;slug\n"
        "Müller;;;;;;\n"
        "Acme;;;;Europe/Berln;ops@;Ac me\n"
        "Globex;;;;;;;;x\n"
        'Zeta;;;;;;"\n'
    )
    assert problems(content.encode("cp1252"), "Firma=name") == [
        "line 2: not UTF-8",
        "line 5: the quotes of the row that begins here do not match",
        "line 1: no column has the header Firma, which --map names",
        "line 1: unknown column Telefon",
        "line 1: unknown column Zeitzone",
        "line 1: two columns are the name",
        "line 3: time_zone: unknown time zone: Europe/Berln",
        "line 3: contacts: not an email address: ops@",
        "line 3: slug: Ac me is not a slug",
        "line 4: the row has 9 cells, but the header has 7",
    ]
    assert problems("Firma,crm\nAcme,a\x07\n") == [
        "line 1: unknown column Firma",
        "line 1: the column name is missing",
        "line 2: crm: invalid CRM reference: character U+0007 is not allowed",
    ]
    assert problems(",;\n") == ["stdin: the header is missing"]


@pytest.mark.parametrize(
    ("data", "message"),
    [(b"", "is empty"), (b"PK\x03\x04", "spreadsheet's own"), ("a".encode("utf-16"), "UTF-16")],
)
def test_a_file_without_text_is_refused(data: bytes, message: str) -> None:
    """As for `apply`; nothing else of it is known."""
    with pytest.raises(Invalid, match=message) as caught:
        file(data)
    assert (caught.value.code, caught.value.exit_code) == ("invalid_customer_file", 3)


@pytest.mark.parametrize(
    ("mapping", "hint"),
    [
        (("Firma",), "HEADER=COLUMN"),
        (("=name",), "HEADER=COLUMN"),
        (("Firma=nam",), "did you mean name?"),
        (("Firma=\x1b",), "HEADER=COLUMN"),
        (("Firma=name", "FIRMA=slug"), "one of them"),
    ],
)
def test_a_wrong_mapping_is_wrong_usage(mapping: tuple[str, ...], hint: str) -> None:
    """The column does not exist, or a header is given twice."""
    with pytest.raises(UsageProblem) as caught:
        parse_mapping(mapping)
    assert hint in (caught.value.hint or "")
    assert caught.value.message.isprintable()


NAMES = st.text(
    st.sampled_from("ab=+-@;'\"\t ,\u00a0\u00fc\uff1d") | st.characters(), min_size=1, max_size=8
).filter(lambda name: display_name_problem(name) is None)
CONTACTS = NAMES.filter(lambda name: "@" not in name and "=?" not in name)
NOTES = NAMES.map(one_line).filter(bool)


@given(NAMES, st.lists(CONTACTS, unique=True), st.none() | NAMES, st.none() | NOTES)
def test_an_exported_customer_is_read_back(
    name: str, contacts: list[str], crm: str | None, notes: str | None
) -> None:
    """Cells that a spreadsheet would run as formulas have an apostrophe, which import removes."""
    customer = Customer(
        id=1,
        slug="acme",
        name=name,
        created_at=datetime(2026, 11, 30, tzinfo=UTC),
        archived_at=None,
        held_at=None,
        held_until=None,
        held_reason=None,
        time_zone="Europe/Berlin",
        crm=crm,
        notes=notes,
        contacts=tuple(contacts),
        aliases=(),
    )
    out = io.StringIO(newline="")
    cells = {column: for_spreadsheet(text or "") for column, text in exported(customer).items()}
    assert EXPORT_COLUMNS == COLUMNS
    rows = csv.DictWriter(out, COLUMNS, quoting=csv.QUOTE_ALL)
    rows.writeheader()
    rows.writerow(cells)
    read_file = file(out.getvalue())
    assert read_file.problems == []
    [row] = read_file.rows
    assert row.slug == "acme"
    for column in ("contacts", "crm", "notes"):
        assert row.columns.get(column, ()) == (getattr(customer, column) or ())
