"""Terms and where they end (FORMAT §6)."""

from datetime import UTC, datetime, time, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polygent_issuer.errors import InvalidTerms
from polygent_issuer.terms.dates import Term, term_end
from polygent_issuer.terms.parsing import parse_term

TERMS = st.one_of(
    st.builds(Term, years=st.integers(1, 100)),
    st.builds(Term, months=st.integers(1, 1200)),
    st.builds(Term, days=st.integers(1, 36525)),
)
BASES = st.datetimes(datetime(1970, 1, 1), datetime(9000, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - hypothesis wants naive bounds
MIDNIGHTS = BASES.map(lambda base: base.replace(hour=0, minute=0, second=0, microsecond=0))


def at(text: str) -> datetime:
    """Read a moment, independently of the code under test."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("base", "term", "end"),
    [
        ("2026-11-23T09:30:00", "1y", "2027-11-24"),
        ("2026-11-23T00:00:00", "1y", "2027-11-23"),
        ("2026-11-23T00:00:00.000001", "1y", "2027-11-24"),
        ("2026-11-23T23:59:59.999999", "1y", "2027-11-24"),
        ("2027-12-01T00:00:00", "6mo", "2028-06-01"),
        ("2026-11-23T09:30:00", "90d", "2027-02-22"),
        ("2026-12-31T00:00:00", "1d", "2027-01-01"),
        ("2028-02-29T00:00:00", "1y", "2029-03-01"),
        ("2028-02-29T00:00:00", "4y", "2032-02-29"),
        ("2096-02-29T00:00:00", "4y", "2100-03-01"),
        ("2028-02-29T12:00:00", "1y", "2029-03-02"),
        ("2027-01-31T00:00:00", "1mo", "2027-03-01"),
        ("2027-01-31T10:00:00", "1mo", "2027-03-02"),
        ("2027-01-28T00:00:00", "1mo", "2027-02-28"),
        ("2028-01-29T00:00:00", "1mo", "2028-02-29"),
        ("2027-03-31T00:00:00", "1mo", "2027-05-01"),
        ("2027-11-30T00:00:00", "1mo", "2027-12-30"),
        ("2027-12-31T00:00:00", "12mo", "2028-12-31"),
        ("2026-10-31T00:00:00", "13mo", "2027-12-01"),
        ("2037-01-19T03:14:08", "1y", "2038-01-20"),
        ("2099-03-01T00:00:00", "1y", "2100-03-01"),
        ("9998-12-31T00:00:00", "1y", "9999-12-31"),
    ],
)
def test_ends(base: str, term: str, end: str) -> None:
    """Calendar units; a day that does not exist is the next month's first; up to midnight."""
    assert term_end(at(base), parse_term(term)) == at(end)


def test_base_counts_in_utc() -> None:
    """A base in another zone means its instant: the day is UTC's."""
    base = datetime(2026, 3, 1, 1, 0, tzinfo=timezone(timedelta(hours=14)))
    assert term_end(base, Term(months=1)) == at("2026-03-29")
    assert term_end(base, Term(months=1)).tzinfo is UTC


@pytest.mark.parametrize(
    ("base", "term"),
    [
        ("9999-12-31T00:00:01", "1d"),
        ("9998-12-31T00:00:01", "1y"),
        ("9999-11-30T00:00:00", "2mo"),
        ("9999-01-01T00:00:00", "1y"),
        ("2026-01-01T00:00:00", "9999999y"),
        ("2026-01-01T00:00:00", "9999999mo"),
        ("2026-01-01T00:00:00", "9999999d"),
    ],
)
def test_past_9999_is_refused(base: str, term: str) -> None:
    """FORMAT §1: no license ends after the year 9999; the error is ours."""
    with pytest.raises(InvalidTerms, match="9999") as caught:
        term_end(at(base), parse_term(term))
    assert caught.value.code == "invalid_terms"


@given(BASES, TERMS)
def test_end_is_a_later_midnight(base: datetime, term: Term) -> None:
    """A license never ends in the middle of a day, nor before it began."""
    end = term_end(base, term)
    assert end > base
    assert end.time() == time()
    assert end.tzinfo is UTC


@given(BASES, TERMS)
def test_no_day_is_lost(base: datetime, term: Term) -> None:
    """Every term gives at least its shortest calendar length, and at most two days more."""
    least = timedelta(days=term.days + 28 * term.months + 365 * term.years)
    most = timedelta(days=term.days + 31 * term.months + 366 * term.years + 2)
    assert least <= term_end(base, term) - base <= most


@given(MIDNIGHTS, MIDNIGHTS, TERMS)
def test_later_days_end_no_earlier(one: datetime, other: datetime, term: Term) -> None:
    """Renewals, whose bases are midnights: who starts later does not end earlier."""
    first, second = sorted((one, other))
    assert term_end(first, term) <= term_end(second, term)


@given(BASES, st.timedeltas(timedelta(), timedelta(days=2)), TERMS)
def test_a_moment_later_ends_at_most_a_day_earlier(
    base: datetime, step: timedelta, term: Term
) -> None:
    """Any base: where short months fold together, the rounding up differs by a day at most."""
    assert term_end(base + step, term) >= term_end(base, term) - timedelta(days=1)


@given(MIDNIGHTS, TERMS)
def test_renewals_chain_at_midnight(base: datetime, term: Term) -> None:
    """A renewal from an expiry adds no rounding: its end is exact for days and full years."""
    end = term_end(base, term)
    if term.days:
        assert end - base == timedelta(days=term.days)
    elif base.day <= 28:
        assert end.day == base.day


@given(TERMS)
def test_spelling_is_read_back(term: Term) -> None:
    """What a term prints is what it parses."""
    assert parse_term(str(term)) == term


@pytest.mark.parametrize(
    "units", [{}, {"years": 1, "days": 1}, {"years": 1, "months": 1}, {"days": -1}]
)
def test_one_unit_exactly(units: dict[str, int]) -> None:
    """A term is years, or months, or days, and not backwards."""
    with pytest.raises(InvalidTerms):
        Term(**units)


def test_naive_base_is_the_callers_mistake() -> None:
    """A datetime without a zone says no instant."""
    with pytest.raises(ValueError, match="naive"):
        term_end(datetime(2026, 1, 1), Term(days=1))  # noqa: DTZ001 - the mistake under test
