"""Apply files: each dialect of a file gives the same rows; errors name their place."""

import csv
import io
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import tomli_w
from hypothesis import example, given
from hypothesis import strategies as st
from support.cli import streams
from support.lic_files import Issuer
from support.registries import ACTOR, NOW

from polygent_issuer.batch import export
from polygent_issuer.batch.registry_import import carry_out, decide
from polygent_issuer.batch.row_files import MAX_BYTES, RowFile
from polygent_issuer.batch.rows import FIELDS, RefusedRow, Row
from polygent_issuer.errors import InputRefused, IssuerError, SeveralProblems, UnreadableInput
from polygent_issuer.findings import FindingCode
from polygent_issuer.issuing.verification import LicenseFile
from polygent_issuer.registry import Registry
from polygent_issuer.terms.dates import Term
from polygent_issuer.terms.parsing import parse_expires
from polygent_issuer.text import nfc
from polygent_issuer.verifier import AllowedDomain
from polygent_issuer.verifier.license import display_name_problem


def read(content: str | bytes) -> RowFile:
    """Read an apply file from stdin."""
    data = content.encode() if isinstance(content, str) else content
    with streams(data):
        return RowFile.read("-")


def found(content: str | bytes) -> list[Row | RefusedRow]:
    """All that it gives."""
    file = read(content)
    file.require_sound()
    return list(file.rows)


def rows(content: str | bytes) -> list[Row]:
    """Return its rows; a refused row fails the test."""
    given = found(content)
    assert all(isinstance(row, Row) for row in given), given
    return [row for row in given if isinstance(row, Row)]


def customers(content: str | bytes) -> list[tuple[str, str]]:
    """Return place and customer of each row."""
    return [(row.place.removeprefix("stdin, "), row.customer) for row in rows(content)]


def refused(content: str | bytes) -> IssuerError:
    """Return the error of a refused file, in which each message is one printable line."""
    with pytest.raises(IssuerError) as caught:
        found(content)
    assert caught.value.code == "invalid_apply_file"
    assert caught.value.exit_code == 3
    for error in getattr(caught.value, "problems", (caught.value,)):
        for message in (error.message, error.hint or ""):
            assert message.isprintable()
            assert len(message) < 400
    return caught.value


def problems(content: str | bytes) -> list[str]:
    """Return the message of each problem of a refused file."""
    error = refused(content)
    assert isinstance(error, SeveralProblems)
    return [problem.message.removeprefix("stdin, ") for problem in error.problems]


# Reading


def test_a_file_is_read_once(tmp_path: Path) -> None:
    """The rows stay when the file changes; `machine_info` is relative to the file."""
    path = tmp_path / "licenses.csv"
    path.write_bytes(b"customer\nacme\n")
    file = RowFile.read(str(path))
    path.unlink()
    assert [row.place for row in file.rows] == ["licenses.csv, line 2"]
    assert file.folder == tmp_path
    assert read("customer\nacme\n").folder is None


def test_an_unreadable_file_is_refused(tmp_path: Path) -> None:
    """The file is missing, or larger than 64 MiB."""
    with pytest.raises(UnreadableInput, match="cannot read the apply file"):
        RowFile.read(str(tmp_path / "no.csv"))
    large = tmp_path / "large.csv"
    with large.open("wb") as stream:
        stream.truncate(MAX_BYTES + 1)
    with pytest.raises(UnreadableInput, match="larger than 67108864 bytes"):
        RowFile.read(str(large))


@pytest.mark.parametrize(
    ("name", "content", "kind"),
    [
        ("x.csv", "customer\nacme", "line 2"),
        ("x.TOML", '[[license]]\ncustomer = "acme"', "license 1"),
        ("x.txt", '\n\n# hello\n[[license]]\ncustomer = "acme"', "license 1"),
        ("x", 'license = [{ customer = "acme" }]', "license 1"),
        ("x", '\ufeff"license" = [{ customer = "acme" }]', "license 1"),
        ("x", '\ufeff\r\n"customer";"users"\nacme;1', "line 3"),
        ("x.tsv", "customer\tusers\nacme\t1", "line 2"),
    ],
)
def test_the_format_is_recognised(tmp_path: Path, name: str, content: str, kind: str) -> None:
    """The ending determines the format, else the first line that is not blank."""
    path = tmp_path / name
    path.write_text(content)
    (row,) = RowFile.read(str(path)).rows
    assert (row.place, row.customer) == (f"{name}, {kind}", "acme")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "stdin is empty"),
        (b"\xef\xbb\xbf \r\n\t", "stdin is empty"),
        ("customer\nacme".encode("utf-16"), "it is in UTF-16"),
        ("customer\nacme".encode("utf-16-le"), "it is in UTF-16"),
        ("\n\u0100customer".encode("utf-16-le"), "NUL"),
        ("customer\nacme".encode("utf-32"), "it is in UTF-32"),
        ("customer;users\n\nM\u00fcller;1".encode("cp1252"), "stdin, line 3: not UTF-8"),
        (b'[[license]]\ncustomer = "M\xfcller"', "stdin, line 2: not UTF-8"),
        (b"customer\n\xed\xa0\x80", "stdin, line 2: not UTF-8"),
        (b"customer\nac\0me", "NUL"),
        (b"PK\x03\x04\x14\0", "a spreadsheet's own format"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1", "a spreadsheet's own format"),
    ],
)
def test_only_utf8_is_accepted(data: bytes, message: str) -> None:
    """The hint names the format to save the file in."""
    error = refused(data)
    assert message in error.message
    assert "empty" in message or "CSV UTF-8" in (error.hint or "")


# CSV


@pytest.mark.parametrize("mark", ["", "\ufeff"])
@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_every_dialect_of_spreadsheets_is_read(mark: str, separator: str, end: str) -> None:
    """With or without a BOM, three separators, three line ends, quoted cells."""
    lines = [
        ["customer", '"users"', "features"],
        ['"Acme, Inc; ""x"""', "25", f'"insights{end}bots"'],
        ["", "", ""],
        ["globex", '" 7 "', "none"],
    ]
    first, second = rows(mark + end.join(separator.join(line) for line in lines))
    assert (first.place, first.customer) == ("stdin, line 2", 'Acme, Inc; "x"')
    assert (first.users, first.features) == (25, ("insights", "bots"))
    assert (second.place, second.customer) == ("stdin, line 5", "globex")  # one break is in quotes
    assert (second.users, second.features) == (7, ())


def test_empty_rows_and_cells_are_ignored() -> None:
    """They may precede the header; line numbers are those of the file."""
    assert customers(";;\n\ncustomer;users;\n ; ;\n\nacme;;\n;;;;;\n\nglobex\n") == [
        ("line 6", "acme"),
        ("line 9", "globex"),
    ]
    assert found("customer,users\n") == []


def test_the_line_of_a_row_is_its_first_line() -> None:
    """Line breaks within quotes count."""
    content = 'customer,features\nacme,"bots\n\n\ninsights"\nglobex,\n'
    assert customers(content) == [("line 2", "acme"), ("line 6", "globex")]


def test_names_of_columns_may_be_padded() -> None:
    """Blanks around cells are ignored, also after the separator and before a quote."""
    (row,) = rows('customer , users\n "Acme, Inc" , 5 \n'.replace('" ,', '",'))
    assert (row.customer, row.users) == ("Acme, Inc", 5)


@pytest.mark.parametrize(
    ("header", "message", "hint"),
    [
        ("Customer,users", "stdin, line 1: unknown field Customer", "mean customer?"),
        ("customer,session-hosts", "unknown field session-hosts", "mean session_hosts?"),
        ("customer,Session Hosts", "unknown field Session Hosts", "mean session_hosts?"),
        ("initech,25", "unknown field initech", "fields are customer, machine, "),
        ("customer,users,users", "two columns have the name users", "one of them"),
        ("customer,users, users ", "two columns have the name users", "one of them"),
        ("machine,users", "the column 'customer' is missing", "the first line"),
        ("customer,\x1b[31m", "unknown field \\x1b[31m", "fields are"),
        ("customer," + "x" * 5000, "unknown field xxx", "fields are"),
        ('customer,"users\nacme,1', "line 1: the quotes of the row", "twice"),
        (",;\n", "the header is missing", "customer"),
        ('=""', "the header is missing", "customer"),
    ],
)
def test_an_invalid_header_refuses_the_file(header: str, message: str, hint: str) -> None:
    """A misread column could issue wrong licenses to all customers."""
    error = refused(f"{header}\n")
    assert message in error.message
    assert hint in (error.hint or "")


def test_an_unterminated_cell_is_refused() -> None:
    """The error names a missing quote as the possible cause."""
    error = refused(f"customer,users\nglobex,1\n{'x' * 200_000},1\n")
    assert "stdin, line 3: the row that begins here has a cell of over 131,072" in error.message


@pytest.mark.parametrize("line", ['"acme,1', '"ac"me,1', 'acme,"1"x', '"acme" ,1'])
def test_quotes_that_do_not_match_refuse_the_file(line: str) -> None:
    """The beginning of the next row is unknown, so all rows are refused."""
    error = refused(f"customer,users\nglobex,1\n{line}\nzeta,2\n")
    assert "stdin, line 3: the quotes" in error.message


@pytest.mark.parametrize(
    "content",
    [
        "\u00a0customer\u00a0,users\n\u00a0Acme GmbH\u202f,\u00a05\n",
        "sep=;\r\ncustomer;users\r\nAcme GmbH;5\r\n",
        "\ufeffsep=;\ncustomer;users\nAcme GmbH;5\n",
        '\ufeff"sep=;"\ncustomer;users\nAcme GmbH;5\n',
        "SEP=\t\ncustomer\tusers\nAcme GmbH\t5\n",
        "sep=|\n\ncustomer|users\nAcme GmbH|5\n",
        "customer,users\nAcme GmbH,5,,,\n,,,,\n\u00a0,\n",
        "customer,users,,\nAcme GmbH,5\n\n\n",
        'customer,users\n="Acme GmbH",="5"\n',
        '="customer",="users"\n"=""Acme GmbH""","=""5"""\n',
        "sep=;\rcustomer;users\rAcme GmbH;5\r",
        "sep=,,\r\ncustomer,users\r\nAcme GmbH,5\r\n",
        "sep=;,\r\ncustomer,users\r\nAcme GmbH,5\r\n",
        "customer,users\nAcme\u00a0GmbH,5\n",
    ],
    ids=range(14),
)
def test_cells_of_spreadsheets_are_read(content: str) -> None:
    """No-break spaces, a line with the separator, empty cells, and text as a formula."""
    (row,) = rows(content)
    assert (row.customer, row.users) == ("Acme GmbH", 5)


def test_the_line_with_the_separator_counts() -> None:
    """The place of a row includes the line that names the separator."""
    assert customers("sep=;\n\ncustomer\nacme\n") == [("line 4", "acme")]
    (row,) = found("sep=;\ncustomer;users\nacme;x")
    assert row.place == "stdin, line 3"


def test_other_formulas_are_kept() -> None:
    """Other formulas are texts, and quotes in them are kept."""
    assert customers('customer\n="Acme ""A"" GmbH"\n') == [("line 2", 'Acme "A" GmbH')]
    assert customers('customer\n="Acme"&"GmbH"\n') == [("line 2", '="Acme"&"GmbH"')]
    (row,) = rows("customer,features\nacme,planner\u00a0insights\n")
    assert row.features == ("planner", "insights")


def test_a_bom_is_ignored() -> None:
    """A BOM is accepted, since our own tables for spreadsheets have one."""
    assert rows("\ufeffcustomer,users\r\nAcme GmbH,5\r\n") == rows("customer,users\nAcme GmbH,5\n")


def test_an_invalid_row_does_not_affect_the_others() -> None:
    """It is reported with its place and field."""
    content = "customer,users,\nacme,1\nglobex,x\nAcme, Inc,1,2\n,5,\ninitech,5,note\nzeta,2"
    one, two, three, four, five, six = found(content)
    assert isinstance(one, Row)
    assert isinstance(six, Row)
    assert [
        (row.place, row.customer, row.problems[0].message.partition(": ")[0])
        for row in (two, three, four, five)
        if isinstance(row, RefusedRow)
    ] == [
        ("stdin, line 3", "globex", "users"),
        ("stdin, line 4", "Acme", "the row has 4 cells, but the header has 3"),
        ("stdin, line 5", None, "customer"),
        ("stdin, line 6", "initech", "a cell has no column header"),
    ]
    assert isinstance(five, RefusedRow)
    assert [each.message for each in five.problems] == ["a cell has no column header: note"]


def test_contacts_have_two_names() -> None:
    """`contact` and `contacts` are one field, in both formats."""
    for name in ("contact", "contacts"):
        [row] = rows(f"customer,{name}\na,ops@a.example\n")
        [table] = rows(f'[[license]]\ncustomer = "a"\n{name} = ["ops@a.example"]\n')
        assert row.contact == table.contact == ("ops@a.example",)
    both = '[[license]]\ncustomer = "a"\ncontact = "b"\ncontacts = ["c"]\n'
    assert "contact has two values" in refused(both).message
    assert "two columns have the name contact" in refused("customer,contact,contacts\n").message


def test_every_problem_of_a_csv_file_is_named() -> None:
    """Encoding, each column, each cell, and a row without its quotes, each with its line."""
    content = (
        "customer;user;Tier;users;users;expires\n"
        "Müller;;;;;\n"
        "acme;;;x;;30.06.2027\n"
        "Søren AS;;;;;2027-06-30\n"
        ";;;;;\n"
        ";;;1;;2027-06-31;9\n"
        'globex;;;1;;"2027\n'
    )
    assert problems(content.encode("cp1252")) == [
        "lines 2, 4: not UTF-8",
        "line 7: the quotes of the row that begins here do not match",
        "line 1: unknown field user",
        "line 1: unknown field Tier",
        "line 1: two columns have the name users",
        "line 3: users: not a whole number: x",
        "line 3: expires: not a date or an instant: 30.06.2027",
        "line 6: the row has 7 cells, but the header has 6",
    ]
    assert problems("Kunde,users\na,b\n,1") == [
        "line 1: unknown field Kunde",
        "line 1: the column 'customer' is missing",
        "line 2: users: not a whole number: b",
    ]


def test_every_problem_of_a_toml_file_is_named() -> None:
    """Encoding, tables, defaults and licenses, each with its number."""
    content = (
        "[licence]\n[defaults]\nusers = 0\ncustomer = 'ä'\nreasons = 1\n"
        "[[license]]\ncustomer = 'a'\nuser = 1\nterm = '1'\ntier = 1\n"
        "[[license]]\nmachines = 'x'\n"
    )
    assert problems(content.encode("cp1252")) == [
        "line 4: not UTF-8",
        "stdin: unknown table licence",
        "defaults: users: users must be 1 to 1,000,000, not 0",
        "defaults: customer cannot be a default",
        "defaults: unknown field reasons",
        "license 1: unknown field user",
        "license 2: unknown field machines",
        "license 1: term: not a term: 1",
        "license 1: tier: must be a text, not a whole number",
        "license 2: customer: the customer is missing",
    ]


NAMES = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20).filter(
    lambda name: display_name_problem(name) is None
)
WISHES = st.fixed_dictionaries(
    {"customer": NAMES},
    optional={
        "machine": NAMES,
        "users": st.integers(1, 1_000_000),
        "session_hosts": st.integers(0, 1_000_000),
        "term": st.builds(Term, years=st.integers(1, 9)),
        "allowed_domain": st.just(AllowedDomain("*.acme.internal")),
        "features": st.lists(st.sampled_from(["bots", "planner", "x-9"]), unique=True).map(tuple),
        "accept": st.lists(st.sampled_from(list(FindingCode)), unique=True, min_size=1).map(tuple),
        "reason": NAMES,
    },
)


def cell(name: str, value: object) -> str:
    """Return the text that an operator writes into a spreadsheet."""
    if isinstance(value, tuple):
        return " ".join(value) or ("none" if name == "features" else "")
    return str(value)


def rows_of(wishes: Sequence[dict[str, Any]]) -> list[Row]:
    """Return the rows of these fields, without places."""
    made = []
    for wish in wishes:
        names: dict[str, Any] = {n: nfc(wish[n]) for n in ("customer", "machine") if n in wish}
        made.append(Row(place="", **(wish | names)))
    return made


def unplaced(given: Sequence[Row]) -> list[Row]:
    """Return the rows without their places."""
    return [Row(place="", **{name: getattr(row, name) for name in FIELDS}) for row in given]


@given(
    st.lists(WISHES, max_size=5),
    st.permutations(list(FIELDS)),
    st.sampled_from([",", ";", "\t"]),
    st.sampled_from([csv.QUOTE_ALL, csv.QUOTE_MINIMAL, csv.QUOTE_NONNUMERIC]),
    st.sampled_from(["\n", "\r\n", "\r"]),
)
@example([{"customer": "A\xa0B\u2007C\u202fD"}], list(FIELDS), ",", csv.QUOTE_ALL, "\n")
def test_rows_written_as_csv_are_read_back(
    wishes: list[dict[str, Any]], columns: list[str], separator: str, quoting: Any, end: str
) -> None:
    """In every dialect and order of columns; a customer's no-break spaces become plain ones."""
    out = io.StringIO(newline="")
    writer = csv.writer(out, delimiter=separator, quoting=quoting, lineterminator=end)
    writer.writerow(columns)
    for wish in wishes:
        writer.writerow([cell(name, wish[name]) if name in wish else "" for name in columns])
    plain = str.maketrans(dict.fromkeys("\u00a0\u2007\u202f", " "))
    expected = [wish | {"customer": wish["customer"].translate(plain)} for wish in wishes]
    assert unplaced(rows(out.getvalue())) == rows_of(expected)


@given(st.lists(WISHES, max_size=5), st.booleans())
def test_rows_written_as_toml_are_read_back(wishes: list[dict[str, Any]], multiline: bool) -> None:  # noqa: FBT001
    """All names are preserved."""
    tables = [
        {
            name: list(value)
            if isinstance(value, tuple)
            else value
            if isinstance(value, int)
            else str(value)
            for name, value in wish.items()
        }
        for wish in wishes
    ]
    text = tomli_w.dumps({"license": tables}, multiline_strings=multiline)
    headed = "".join(f"[[license]]\n{tomli_w.dumps(table)}" for table in tables)
    assert unplaced(rows("# x\n" + text)) == unplaced(rows("# x\n" + headed)) == rows_of(wishes)


# TOML


def test_defaults_apply_to_every_license() -> None:
    """The table may be anywhere, and headers within texts are ignored."""
    content = """
        [[license]]
        customer = "acme"
        users = 5

        [[ license ]]  # the second
        customer = "globex"
        plan = ""
        expires = 2027-11-30

        [defaults]
        users = 25
        plan = "standard-annual"
        term = "1y"
        """
    acme, globex = rows(content)
    assert (acme.place, acme.users, acme.plan) == ("stdin, license 1", 5, "standard-annual")
    assert (acme.term, acme.expires) == (Term(years=1), None)
    assert (globex.place, globex.users, globex.plan) == ("stdin, license 2", 25, "standard-annual")
    assert globex.term is None
    assert globex.expires is not None


@pytest.mark.parametrize(
    ("content", "message", "hint"),
    [
        ("[[licence]]\n", "unknown table licence", "did you mean license?"),
        ("[Defaults]\n", "unknown table Defaults", "did you mean defaults?"),
        ("users = 5\n", "unknown table users", "[defaults] and [[license]]"),
        ("[license]\n", "license is not written as [[license]]", "below it"),
        ("license = [1]\n", "license is not written as [[license]]", "below it"),
        ("[[defaults]]\n", "defaults is not written as [defaults]", "below it"),
        (
            '[[license]]\ncustomer = "a"\n[[license]]\nuser = 1',
            "stdin, license 2: unknown field user",
            "users",
        ),
        (
            "[[license]]\n[license.users]\n[license.x]",
            "license 1: unknown field x",
            "fields are",
        ),
        ("[[license]]\n'\\u001b' = 1", "unknown field \\u001b", "fields are"),
        ('[[license]]\n"\\u001b" = 1', "unknown field \\x1b", "fields are"),
        ("[defaults]\ncustomer = 'a'", "defaults: customer cannot be a default", "[[license]]"),
        ("[defaults]\naccept = []", "defaults: accept cannot be a default", "[[license]]"),
        ("[defaults]\nmachines = 1", "defaults: unknown field machines", "fields are plan"),
        ("[defaults]\nusers = '5'", "defaults: users: must be a whole number", "as 25"),
        ("[defaults]\nterm = '1y'\nexpires = 2027-11-30", "defaults: term and expires", "one of"),
        (
            "[[license]]\ncustomer = acme",
            "is not TOML: invalid value (at line 2, column 12)",
            "quotes",
        ),
        ("[[license]]\n\n[[license]]\nusers = 1\nusers = 2\n", "(at line 5, ", "quotes"),
        (
            "[defaults]\n[[license]]\n[defaults]\n",
            "declare ('defaults',) twice (at line 3",
            "quotes",
        ),
        ("[[license]]\nusers = " + "1" * 5000, "is not TOML: exceeds the limit", "quotes"),
        ("x = " + "[" * 100_000, "is not TOML: nested too deeply", "quotes"),
        ("[[license]]\n" + "x" * 5000, "is not TOML", "quotes"),
        ('[[license]]\nmachine_info = "C:\\Users\\a.json"', "is not TOML", "use single quotes, as"),
        ('[[license]]\nmachine_info = "docs\\a.json"', "is not TOML", "use single quotes, as"),
        ('[[license]]\nmachine_info = "docs\\', "is not TOML", "use single quotes, as"),
    ],
)
def test_invalid_toml_refuses_the_file(content: str, message: str, hint: str) -> None:
    """The error has the number of the line or of the license."""
    error = refused(content)
    assert message in error.message
    assert hint in (error.hint or "")


def test_an_invalid_license_does_not_affect_the_others() -> None:
    """The rule is the same as for CSV."""
    content = '[[license]]\ncustomer = "a"\nusers = true\n[[license]]\ncustomer = "b"\n'
    first, second = found(content)
    assert isinstance(first, RefusedRow)
    assert first.place == "stdin, license 1"
    assert first.problems[0].message.startswith("users: ")
    assert isinstance(second, Row)


def test_a_file_without_licenses_is_accepted() -> None:
    """The export of an empty registry is such a file."""
    assert found("# nothing here\n") == []
    assert found("[defaults]\nusers = 5\n") == []


PIECES = st.lists(
    st.sampled_from(
        [
            "[[license]]\n",
            " [[ license ]] # x\n",
            '[["license"]]\n',
            "[defaults]\n",
            "users = 5\n",
            'customer = "a"\n',
            'reason = """\n',
            '"""\n',
            "reason = '''\n",
            "'''\n",
            "features = [\n",
            '"bots",\n',
            "]\n",
            "# [[license]]\n",
            "license = []\n",
            "machine = '[[license]]'\n",
            "[license.x]\n",
            "\r\n",
        ]
    ),
    max_size=12,
).map("".join)


@given(PIECES)
@example('license = [{ customer = "a" }]\n[[license]]\ncustomer = "b"\n')
@example('[["license"]]\ncustomer = "a"\n[[license]]\ncustomer = "b"\n')
@example("[defaults]\n[[license]]\n[defaults.users]\n")
@example(
    '[[license]]\ncustomer = "a"\nreason = """\n[[license]]\n"""\n[[license]]\ncustomer = "b"\n'
)
@example(
    '[[license]]\ncustomer = "a"\nreason = """\n[[license]]\ncustomer = "b"\nmachine = """x"""\n'
)
@example("[[license]]\nfeatures = [\n[[license]]\n]\n")
def test_each_license_of_a_document_is_a_row(text: str) -> None:
    """Headers in texts and lists neither add nor remove a license."""
    content = "# toml\n" + text
    try:
        document = tomllib.loads(content)
    except tomllib.TOMLDecodeError:
        document = None
    try:
        given = found(content)
    except IssuerError:
        return
    assert document is not None
    names = [row.customer for row in given]
    assert names == [table.get("customer") for table in document.get("license", [])]


# Both


@given(st.binary(max_size=200))
@example(b'customer\n"')
@example(b"[[license]]\nx = [[[[")
def test_any_bytes_give_rows_or_our_own_error(data: bytes) -> None:
    """No other exception is raised for a file."""
    for start in (b"", b"customer,users\n", b"[[license]]\ncustomer = 'a'\n"):
        try:
            read(start + data)
        except InputRefused:
            continue


def test_an_export_is_an_apply_file(registry: Registry, issuer: Issuer) -> None:
    """The row of each current license keeps it."""
    files = (
        issuer.file(1),
        issuer.file(2, sub="none", customer="None", fingerprint=None, features=()),
        issuer.file(
            3,
            sub="globex",
            customer="Globex",
            fingerprint=None,
            allowed_domain=AllowedDomain("*.globex.internal"),
        ),
    )
    with registry.writing(now=NOW, actor=ACTOR) as db:
        sources = [LicenseFile(name="x", data=data) for data in files]
        carry_out(db, decide(db, sources, (issuer.signer.public_key,)))
    with registry.reading() as db:
        exported = list(export.rows(db))
        text = b"".join(export.toml(exported, now=NOW, registry_id="r"))
        empty = b"".join(export.toml([], now=NOW, registry_id="r"))
    acme, globex, none = rows(text)
    assert [row.customer for row in (acme, globex, none)] == ["acme", "globex", "none"]
    assert (acme.machine, none.machine, none.features) == ("machine", None, ())
    assert globex.allowed_domain == AllowedDomain("*.globex.internal")
    ends = [parse_expires(row["expires"]) for row in exported]
    assert [row.expires for row in (acme, globex, none)] == ends
    assert found(empty) == []
