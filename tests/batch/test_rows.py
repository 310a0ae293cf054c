"""The valid values of a row's fields in TOML and CSV; errors name the field."""

from datetime import UTC, date, datetime, time, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polygent_issuer.batch.rows import FIELDS, RefusedRow, Row, fields_with, in_fields, read_row
from polygent_issuer.errors import InputRefused
from polygent_issuer.findings import FindingCode
from polygent_issuer.terms.dates import Term
from polygent_issuer.terms.parsing import parse_date_format
from polygent_issuer.text import Hint, option, run
from polygent_issuer.verifier import AllowedDomain, Tier

RENEW = run("renew", "acme", "--machine", "prod-1", "--term", "1y")
END = datetime(2027, 12, 1, tzinfo=UTC)


def read(given: dict[str, Any], *, cells: bool = False, **defaults: Any) -> Row | RefusedRow:
    """Read a row of TOML, or of cells."""
    return read_row("x, line 1", {"customer": "acme"} | given, cells=cells, defaults=defaults)


def row(given: dict[str, Any], *, cells: bool = False, **defaults: Any) -> Row:
    """Return a valid row."""
    found = read(given, cells=cells, **defaults)
    assert isinstance(found, Row), found
    return found


def refused(given: dict[str, Any], *, cells: bool = False) -> InputRefused:
    """Return the first problem of a refused row; each text is one printable line."""
    found = read(given, cells=cells)
    assert isinstance(found, RefusedRow), found
    first = found.problems[0]
    assert first.hint
    for message in (first.message, first.hint, found.customer or ""):
        assert message.isprintable()
        assert len(message) < 400
    return first


BOTH = [
    ("customer", "Acme, Inc", "Acme, Inc"),
    ("customer", "Mu\u0308ller", "M\u00fcller"),
    ("machine", "prod 1", "prod 1"),
    ("machine_info", "documents/acme.json", "documents/acme.json"),
    ("plan", "standard-annual", "standard-annual"),
    ("tier", "enterprise", Tier.ENTERPRISE),
    ("key", "main", "main"),
    ("term", "6mo", Term(months=6)),
    ("expires", "2027-11-30", END),
    ("expires", "2027-11-30T18:00:00+01:00", datetime(2027, 11, 30, 17, tzinfo=UTC)),
    ("allowed_domain", "*.Acme.internal", AllowedDomain("*.acme.internal")),
    ("reason", "asked for by mail", "asked for by mail"),
]


@pytest.mark.parametrize("cells", [False, True])
@pytest.mark.parametrize(("field", "written", "meant"), BOTH)
def test_texts_are_the_same_in_toml_and_csv(
    field: str, written: str, meant: object, *, cells: bool
) -> None:
    """TOML and CSV read texts by one rule."""
    assert getattr(row({field: written}, cells=cells), field) == meant


@pytest.mark.parametrize(
    ("field", "value", "meant"),
    [
        ("expires", date(2027, 11, 30), END),
        ("expires", datetime(2027, 12, 1, tzinfo=UTC), END),
        ("expires", datetime(2027, 12, 1, 5, 30, tzinfo=timezone(timedelta(hours=5.5))), END),
        ("users", 25, 25),
        ("session_hosts", 0, 0),
        ("deploy_hosts", 1_000_000, 1_000_000),
        ("features", [], ()),
        ("features", ["b", "a", "b"], ("b", "a")),
        ("accept", ["not-due"], (FindingCode.NOT_DUE,)),
    ],
)
def test_toml_has_types(field: str, value: object, meant: object) -> None:
    """TOML has dates, numbers and lists."""
    assert getattr(row({field: value}), field) == meant


@pytest.mark.parametrize(
    ("field", "cell", "meant"),
    [
        ("users", "025", 25),
        ("deploy_hosts", "0", 0),
        ("features", "none", ()),
        ("features", "planner  insights\r\nbots planner", ("planner", "insights", "bots")),
        (
            "accept",
            "not-due entitlement-loss",
            (FindingCode.NOT_DUE, FindingCode.ENTITLEMENT_LOSS),
        ),
    ],
)
def test_cells_are_text(field: str, cell: str, meant: object) -> None:
    """Numbers are digits, lists are separated by white space, and `none` is an empty list."""
    assert getattr(row({field: cell}, cells=True), field) == meant


def test_missing_fields_stay_empty() -> None:
    """A row may have a customer only."""
    assert row({}) == Row(place="x, line 1", customer="acme")


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        *((name, 1.5, "not a number") for name in FIELDS if name not in ("features", "accept")),
        ("users", True, "not true or false"),
        ("users", "25", "not a text"),
        ("users", 0, "users must be 1 to 1,000,000, not 0"),
        ("session_hosts", -1, "must be 0 to"),
        ("expires", datetime(2027, 11, 30), "lacks a UTC offset"),  # noqa: DTZ001 - as TOML's
        ("expires", time(12), "not a date or time"),
        ("expires", date.max, "too late"),
        ("expires", datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=14))), "no such time"),
        ("expires", datetime(2027, 1, 1, 0, 0, 0, 1, tzinfo=UTC), "whole second"),
        ("features", "insights", "must be a list, not a text"),
        ("features", [1], "must be a text, not a whole number"),
        ("features", [""], "not a feature name"),
        ("accept", "not-due", "must be a list"),
        ("accept", [["not-due"]], "not a list"),
        ("customer", {}, "not a table"),
    ],
)
def test_wrong_types_are_refused(field: str, value: object, message: str) -> None:
    """TOML values are not converted."""
    found = refused({field: value})
    assert found.message.startswith(f"{field}: ")
    assert message in found.message


@pytest.mark.parametrize("sign", [1, -1])
def test_huge_numbers_are_refused(sign: int) -> None:
    """Hexadecimal numbers of TOML may have any length."""
    assert refused({"users": sign * 16**9999}).message == "users: the number is too large"


@pytest.mark.parametrize(
    "cell",
    [
        "1,000",
        "1.000",
        "25.0",
        "\uff12\uff15",
        "\u0662\u0665",
        "+25",
        "1e3",
        "0x10",
        "1 000",
        "9" * 19,
    ],
)
def test_numbers_with_separators_are_refused(cell: str) -> None:
    """The separator of thousands depends on the country, so it is ambiguous."""
    found = refused({"users": cell}, cells=True)
    assert found.message == f"users: not a whole number: {cell}"


WRONG = [
    ("expires", "30.11.2027", "not a date or an instant: 30.11.2027", "2027-11-30"),
    ("expires", "11/30/2027", "not a date", "2027-11-30"),
    ("expires", "2027-02-30", "no such day", "2027-11-30"),
    ("expires", "\uff12\uff10\uff12\uff17-11-30", "not a date", "2027-11-30"),
    ("expires", "2027-11-30T00:00:00", "not a date or an instant", "T18:00:00Z"),
    ("term", "1 year", "not a term: 1 year", "1y"),
    ("tier", "Enterprise", "unknown tier: Enterprise", "standard or enterprise"),
    ("plan", "Standard Annual", "not a plan name", "config show"),
    ("accept", "notdue", "no such finding: notdue", "did you mean not-due?"),
    ("accept", "x", "no such finding: x", "entitlement-loss"),
    ("features", "insights,bots", "not a feature name: insights,bots", "separate the names"),
    ("features", "none bots", "'none' cannot be combined with other features", "remove"),
    ("features", "a" * 65, "not a feature name: aaa", "lower-case letters"),
    ("allowed_domain", "https://acme.internal", "is not a lower-case host name", "without"),
    ("allowed_domain", "b\u00fccher.example", "outside ASCII", "xn--"),
    ("allowed_domain", "\u00e4" * 254, "outside ASCII", "xn--"),
    ("machine_info", "../acme.json", "it contains ..", "documents/acme.json"),
    ("machine_info", "C:\\acme.json", "has a backslash", "machine_info"),
    ("customer", "x" * 201, "must have 1 to 200 characters, has 201", "1 to 200"),
    ("customer", "Acme\nInc", "character U+000A", "visible"),
    ("machine", "\x1b[31m", "character U+001B", "visible"),
    ("key", "\u202egnp.exe", "character U+202E", "visible"),
    ("reason", "two\nlines", "two\\x0alines", "one line"),
    ("reason", "x" * 1001, "longer than 1,000 characters", "shorten it"),
]


@pytest.mark.parametrize(("field", "cell", "message", "hint"), WRONG)
def test_wrong_cells_are_refused(field: str, cell: str, message: str, hint: str) -> None:
    """The error names the field, the text, escaped and short, and the valid form."""
    found = refused({field: cell}, cells=True)
    assert found.message.startswith(f"{field}: ")
    assert message in found.message
    assert hint in (found.hint or "")


def test_term_and_expires_are_mutually_exclusive() -> None:
    """Within a row they contradict each other; a row's own one overrides the defaults."""
    assert refused({"term": "1y", "expires": "2027-11-30"}).message.startswith("expires: ")
    year = Term(years=1)
    own = row({"expires": "2027-11-30"}, term=year, users=5)
    assert (own.term, own.expires, own.users) == (None, END, 5)
    own = row({"term": "1y"}, expires=END)
    assert (own.term, own.expires) == (year, None)
    assert row({}, term=year).term == year


def test_defaults_fill_missing_fields() -> None:
    """They fill only missing fields, not even an empty list of features."""
    found = row({"features": [], "users": 5}, features=("bots",), users=9, deploy_hosts=1)
    assert (found.features, found.users, found.deploy_hosts) == ((), 5, 1)


def test_a_row_without_a_customer_is_refused() -> None:
    """The error names the field `customer`."""
    found = read_row("x, line 1", {"users": 1}, cells=False, defaults={})
    assert isinstance(found, RefusedRow)
    assert found.customer is None
    assert [each.message for each in found.problems] == ["customer: the customer is missing"]


@pytest.mark.parametrize(
    ("cells", "written"),
    [
        (True, "Ada <ada@a.example>; ops@a.example;ops@a.example"),
        (False, ["Ada <ada@a.example>", "ops@a.example"]),
    ],
)
def test_contacts_are_a_list(cells: bool, written: object) -> None:  # noqa: FBT001
    """A cell separates them with semicolons, TOML has a list or one text; each is checked."""
    both = ("Ada <ada@a.example>", "ops@a.example")
    assert row({"contact": written}, cells=cells).contact == both
    assert row({"contact": "ops@a.example"}, cells=cells).contact == ("ops@a.example",)
    assert (
        refused({"contact": "ops@"}, cells=cells).message == "contact: not an email address: ops@"
    )


def test_dates_of_other_forms_name_the_option() -> None:
    """The form of a date is never guessed; with slashes there are two."""
    hints = [refused({"expires": f"30{sign}06{sign}2027"}).hint or "" for sign in "./-"]
    assert ["--date-format '%d.%m.%Y'" in hint for hint in hints] == [True, False, False]
    assert "'%d/%m/%Y' or '%m/%d/%Y'" in hints[1]
    fields = fields_with(parse_date_format("%d.%m.%Y"))
    for cells, written in (
        (True, "30.11.2027"),
        (False, "30.11.2027"),
        (False, date(2027, 11, 30)),
    ):
        values = {"customer": "a", "expires": written}
        found = read_row("x", values, cells=cells, defaults={}, fields=fields)
        assert isinstance(found, Row)
        assert found.expires == END


def test_a_refused_row_names_each_field() -> None:
    """The first problem is that of the row; the others follow in the order of the fields."""
    fields = {"customer": "", "users": "x", "term": "1y", "expires": "soon"}
    found = read_row("x, line 1", fields, cells=True, defaults={})
    assert isinstance(found, RefusedRow)
    named = [each.message.partition(": ")[0] for each in found.problems]
    assert named == ["customer", "users", "expires", "expires"]


def test_the_customer_of_a_refused_row_is_shown_short() -> None:
    """Any text is escaped and shortened."""
    found = read({"customer": "\x1b[31m" + "x" * 5000})
    assert isinstance(found, RefusedRow)
    assert found.customer == "\\x1b[31m" + "x" * 55 + "..."


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.dates()
    | st.datetimes(timezones=st.none() | st.timezones())
    | st.times(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=2),
    max_leaves=4,
)


@given(st.dictionaries(st.sampled_from(list(FIELDS)), VALUES))
def test_any_toml_value_gives_a_row_or_a_refusal(given: dict[str, Any]) -> None:
    """No value raises an exception."""
    assert isinstance(read(given), Row | RefusedRow)


@given(st.dictionaries(st.sampled_from(list(FIELDS)), st.text(min_size=1)))
def test_any_cell_gives_a_row_or_a_refusal(given: dict[str, str]) -> None:
    """No text raises an exception."""
    assert isinstance(read(given, cells=True), Row | RefusedRow)


@pytest.mark.parametrize(
    ("hint", "expected"),
    [
        (None, None),
        ("look again", "look again"),
        (
            Hint("add ", option("--machine-info", "FILE"), ", or ", option("--plan", "trial")),
            "add machine_info FILE, or plan trial",
        ),
        (Hint("leave out ", option("--label")), "leave out machine"),
        (
            Hint("add ", option("--term", "1y"), "; or, to mean it: ", RENEW),
            f"add term 1y; or, to mean it: {RENEW}",
        ),
        (
            Hint(RENEW, "; or choose another ", option("--label")),
            f"{RENEW}; or choose another machine",
        ),
        (
            Hint("add ", option("--remove-feature", "sso"), ", or ", option("--tier", "standard")),
            "add features without sso, or tier standard",
        ),
        ("add --accept long-term --reason TEXT", "add --accept long-term --reason TEXT"),
        (option("--no-allowed-domain"), "--no-allowed-domain"),
    ],
)
def test_hints_name_fields_in_place_of_options(hint: str | None, expected: str | None) -> None:
    """Complete commands and options without a field stay as they are."""
    assert in_fields(hint) == expected


def test_the_command_of_a_hint_stays_data() -> None:
    """A program can run the command."""
    hint = in_fields(Hint("add ", option("--term", "1y"), "; or, to mean it: ", RENEW))
    assert isinstance(hint, Hint)
    assert hint.argv == RENEW.argv
