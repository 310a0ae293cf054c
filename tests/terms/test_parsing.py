"""The parsers of tiers, counts, features, names, terms, dates and domains."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polygent_issuer.batch.rows import FIELDS
from polygent_issuer.cli.options import issue
from polygent_issuer.errors import (
    ExitCode,
    InputRefused,
    InvalidSettings,
    InvalidTerms,
    IssuerError,
)
from polygent_issuer.home import setting_types
from polygent_issuer.home.settings import Settings
from polygent_issuer.terms.dates import instant
from polygent_issuer.terms.parsing import (
    check_limit,
    parse_count,
    parse_date_format,
    parse_date_or_instant,
    parse_domain,
    parse_expires,
    parse_instant,
    parse_term,
)
from polygent_issuer.verifier import AllowedDomain


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-11-23T09:30:00Z", datetime(2026, 11, 23, 9, 30, tzinfo=UTC)),
        ("2026-11-23t09:30:00z", datetime(2026, 11, 23, 9, 30, tzinfo=UTC)),
        ("2026-11-23T09:30:00+05:45", datetime(2026, 11, 23, 3, 45, tzinfo=UTC)),
        ("2026-11-23T09:30:00-03:30", datetime(2026, 11, 23, 13, 0, tzinfo=UTC)),
        ("2026-11-23T23:30:00-23:59", datetime(2026, 11, 24, 23, 29, tzinfo=UTC)),
        ("2026-11-23T09:30:00-00:00", datetime(2026, 11, 23, 9, 30, tzinfo=UTC)),
        ("2026-11-23T09:30:00.5Z", datetime(2026, 11, 23, 9, 30, 0, 500_000, tzinfo=UTC)),
        ("2026-11-23T09:30:00.000001Z", datetime(2026, 11, 23, 9, 30, 0, 1, tzinfo=UTC)),
        ("2026-11-23T09:30:00.1234569Z", datetime(2026, 11, 23, 9, 30, 0, 123_456, tzinfo=UTC)),
        ("2028-02-29T00:00:00Z", datetime(2028, 2, 29, tzinfo=UTC)),
        ("0001-01-01T00:00:00Z", datetime(1, 1, 1, tzinfo=UTC)),
        ("9999-12-31T23:59:59Z", datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)),
    ],
)
def test_instants(text: str, moment: datetime) -> None:
    """An RFC 3339 instant is converted to UTC; digits after the microsecond are dropped."""
    assert parse_instant(text) == moment
    assert parse_instant(text).tzinfo is UTC


@pytest.mark.parametrize(
    "text",
    [
        "2026-11-23T09:30:00",
        "2026-11-23 09:30:00Z",
        "2026-11-23T09:30Z",
        "2026-11-23T24:00:00Z",
        "2026-11-23T23:59:60Z",
        "2026-02-30T00:00:00Z",
        "2026-11-23T09:60:00Z",
        "2026-11-23",
        "2026-11-23T09:30:00+24:00",
        "2026-11-23T09:30:00+05:60",
        "2026-11-23T09:30:00+0545",
        "2026-11-23T09:30:00.Z",
        "2026-11-23T09:30:00,5Z",
        "2026-11-23T09:30:00Z\n",
        "now",
        "0000-01-01T00:00:00Z",
        "0001-01-01T00:00:00+00:01",
        "9999-12-31T23:59:59-00:01",
        "\uff12\uff10\uff12\uff16-11-23T09:30:00Z",
        "-2026-11-23T09:30:00Z",
        "\x1b]0;x\x07",
    ],
)
def test_other_instants_are_refused(text: str) -> None:
    """A missing offset, an impossible time, other digits and other years are refused."""
    with pytest.raises(InvalidTerms) as caught:
        parse_instant(text)
    assert caught.value.message.isprintable()
    assert "2027-11-30T18:00:00Z" in str(caught.value.hint)


@given(st.datetimes(timezones=st.timezones() | st.just(UTC)))
def test_instants_read_back(moment: datetime) -> None:
    """Python's RFC 3339 text is the same instant, or refused outside the calendar of UTC."""
    offset = moment.utcoffset()
    assert offset is not None
    if offset % timedelta(minutes=1):
        return  # local mean time: RFC 3339 cannot write it
    try:
        expected = moment.astimezone(UTC)
    except OverflowError:
        with pytest.raises(InvalidTerms):
            parse_instant(moment.isoformat())
    else:
        assert parse_instant(moment.isoformat()) == expected


def test_a_date_means_its_start() -> None:
    """`--since 2026-11-23` means 00:00 UTC; an instant stays one."""
    assert parse_date_or_instant("2026-11-23") == datetime(2026, 11, 23, tzinfo=UTC)
    noon = datetime(2026, 11, 23, 12, tzinfo=UTC)
    assert parse_date_or_instant("2026-11-23T12:00:00Z") == noon
    for wrong in ("2026-11-31", "23.11.2026", ""):
        with pytest.raises(InvalidTerms):
            parse_date_or_instant(wrong)


@pytest.mark.parametrize(
    ("text", "expires"),
    [
        ("2027-11-30", "2027-12-01T00:00:00Z"),
        ("2027-12-31", "2028-01-01T00:00:00Z"),
        ("2028-02-28", "2028-02-29T00:00:00Z"),
        ("2028-02-29", "2028-03-01T00:00:00Z"),
        ("2038-01-19", "2038-01-20T00:00:00Z"),
        ("2100-02-28", "2100-03-01T00:00:00Z"),
        ("9999-12-30", "9999-12-31T00:00:00Z"),
        ("2027-11-30T18:00:00Z", "2027-11-30T18:00:00Z"),
        ("2027-11-30T18:00:00+05:45", "2027-11-30T12:15:00Z"),
        ("2027-11-30T18:00:00.000Z", "2027-11-30T18:00:00Z"),
        ("9999-12-31T23:59:59Z", "9999-12-31T23:59:59Z"),
    ],
)
def test_expiries(text: str, expires: str) -> None:
    """A date is covered completely; an instant is the expiry itself."""
    assert instant(parse_expires(text)) == expires
    assert parse_expires(text).tzinfo is UTC


@pytest.mark.parametrize(
    "text",
    [
        "2027-02-29",
        "2100-02-29",
        "2027-13-01",
        "2027-00-01",
        "0000-01-01",
        "9999-12-31",
        "30.11.2027",
        "11/30/2027",
        "2027-11-30 ",
        "2027-11-30\n",
        "20271130",
        "2027-W48-2",
        "2027-11-30T18:00:00",
        "2027-11-30T18:00Z",
        "2027-11-30T18:00:00.5Z",
        "1969-12-31T23:59:59Z",
        "1969-12-30",
        "0001-01-01",
        "0001-01-01T00:00:00+14:00",
        "9999-12-31T23:59:59-14:00",
        "tomorrow",
        "",
        "٢٠٢٧-11-30",
        "\x1b[31m",
    ],
)
def test_other_expiries_are_refused(text: str) -> None:
    """Only ISO dates and RFC 3339 instants in whole seconds, from 1970 to 9999, are accepted."""
    with pytest.raises(InvalidTerms) as caught:
        parse_expires(text)
    assert caught.value.message.isprintable()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "1",
        "y",
        "0y",
        "01y",
        "1Y",
        "1m",
        "1 y",
        "1y ",
        "1y\n",
        "-1y",
        "+1y",
        "1.5y",
        "1y6mo",
        "10000000d",
        "\u0661y",
        "1w",
        "\x1b[31m",
    ],
)
def test_other_spellings_are_refused(text: str) -> None:
    """A term has one spelling, which the hint shows; the message escapes the text."""
    with pytest.raises(InvalidTerms) as caught:
        parse_term(text)
    assert caught.value.hint == "write it as 1y, 6mo or 90d"
    assert caught.value.message.isprintable()


def test_a_domain_becomes_lower_case() -> None:
    """A domain is written into a license in lower case."""
    assert parse_domain("*.ACME.Internal") == AllowedDomain("*.acme.internal")


@pytest.mark.parametrize(
    "text", ["bücher.example", "*.例え.jp", "acme\u3002internal", "\u212a.example"]
)
def test_a_domain_outside_ascii_is_refused(text: str) -> None:
    """A domain outside ASCII is refused; the hint asks for its A-label."""
    with pytest.raises(InvalidTerms, match="outside ASCII") as caught:
        parse_domain(text)
    assert "xn--" in (caught.value.hint or "")


@pytest.mark.parametrize(
    "text", ["", "https://acme.example", "acme.example:443", "*.com", "10.0.0.1"]
)
def test_an_invalid_domain_is_refused(text: str) -> None:
    """The verifier's error becomes `InvalidTerms`, with exit 3."""
    with pytest.raises(InvalidTerms) as caught:
        parse_domain(text)
    assert caught.value.exit_code is ExitCode.INPUT
    assert caught.value.__cause__ is None


def test_control_characters_of_a_domain_are_escaped() -> None:
    """A message contains no raw control character or bidi override of a domain."""
    for text in ("\x1b[31m.example", "\u202eacme.example"):
        with pytest.raises(InvalidTerms) as caught:
            parse_domain(text)
        assert text[0] not in caught.value.message


@pytest.mark.parametrize(("text", "number"), [("25", 25), ("025", 25), ("0", 0), ("-5", -5)])
def test_counts(text: str, number: int) -> None:
    """A count is written in digits; a minus sign is parsed, and refused by the range."""
    assert parse_count(text) == number


@pytest.mark.parametrize(
    "text",
    ["", "x", "1,000", "1_000", "25.0", "+25", " 25", "1e3", "0x10", "\uff12\uff15", "9" * 19],
)
def test_other_numbers_are_refused(text: str) -> None:
    """Separators, other signs and other digits are refused."""
    with pytest.raises(InvalidTerms, match="not a whole number") as caught:
        parse_count(text)
    assert caught.value.message == f"not a whole number: {text}"


@pytest.mark.parametrize("sign", [1, -1])
def test_very_large_numbers_are_refused(sign: int) -> None:
    """A hexadecimal number in TOML may have any length; Python cannot print a very large one."""
    with pytest.raises(InvalidTerms, match="the number is too large"):
        check_limit("users", sign * 16**9999)


OPTIONS = {
    "tier": lambda text: issue.parse_changes(Settings(), issue.FirstTerms(tier=text)),
    "term": lambda text: issue.parse_changes(Settings(), issue.FirstTerms(term=text)),
}
KINDS = {
    "tier": setting_types.TIER,
    "term": setting_types.TERM,
    "users": setting_types.KINDS["users"],
    "features": setting_types.FEATURES,
    "plan": setting_types.PLAN_NAME,
}


@pytest.mark.parametrize(
    ("field", "text", "message"),
    [
        ("tier", "gold", "unknown tier: gold"),
        ("term", "1 year", "not a term: 1 year"),
        ("users", "many", "not a whole number: many"),
        ("users", "0", "users must be 1 to 1,000,000, not 0"),
        ("features", "Bots", "not a feature name: Bots"),
        ("plan", "A B", "not a plan name: A B"),
    ],
)
def test_options_rows_and_settings_have_one_message(field: str, text: str, message: str) -> None:
    """Options, rows and settings add only their field's name to the message."""
    with pytest.raises(InputRefused) as row:
        FIELDS[field].cell(text)
    assert row.value.message == message
    kind = KINDS[field]
    with pytest.raises(InvalidSettings) as setting:
        kind.read(kind.typed(text, f"x.{field}"), f"x.{field}")
    assert setting.value.message == f"x.{field}: {message}"
    if field in OPTIONS:
        with pytest.raises(IssuerError) as option:
            OPTIONS[field](text)
        assert option.value.message == message


@pytest.mark.parametrize(
    ("form", "text"),
    [
        ("%d.%m.%Y", "30.06.2027"),
        ("%m/%d/%Y", "6/30/2027"),
        ("%Y-%d-%m", "2027-30-6"),
        ("%d.%m/%Y", "30.6/2027"),
    ],
)
def test_a_named_form_of_dates_replaces_iso(form: str, text: str) -> None:
    """The day is covered completely; an instant needs no form, and an ISO date is refused."""
    named = parse_date_format(form)
    assert parse_expires(text, named) == datetime(2027, 7, 1, tzinfo=UTC)
    assert parse_expires("2027-06-30T18:00:00Z", named) == datetime(2027, 6, 30, 18, tzinfo=UTC)
    for wrong in ("2027-06-30", f"{text} ", f"{text}0", text.replace("2027", "27"), "31/31/2027"):
        with pytest.raises(InvalidTerms) as caught:
            parse_expires(wrong, named)
        assert form in (caught.value.hint or "")


@pytest.mark.parametrize(
    "form",
    [
        *("", "%d.%m", "%d%m%Y", "%d.%m.%y", "%d.%m.%Y ", "%d.%m.%d", "%d.%b.%Y", "%x"),
        *("%d %m %Y", "%-d.%m.%Y", "%d..%m.%Y", "%Y-%m-%dT", "dd.mm.yyyy", "%d.%m.%Y\n", "\x1b"),
    ],
)
def test_other_forms_of_dates_are_refused(form: str) -> None:
    """Anything that could mean two days is refused."""
    with pytest.raises(InvalidTerms, match="not a date format") as caught:
        parse_date_format(form)
    assert caught.value.message.isprintable()
