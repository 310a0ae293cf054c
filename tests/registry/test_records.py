"""Column values: one form, one type, or refused."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polygent_issuer.registry import records

MOMENTS = st.datetimes(
    min_value=datetime(2, 1, 1),  # noqa: DTZ001  # hypothesis adds the zone
    max_value=datetime(9998, 12, 31),  # noqa: DTZ001  # likewise
    timezones=st.sampled_from([UTC, timezone(timedelta(hours=5, minutes=45))]),
)


@given(MOMENTS)
def test_a_moment_comes_back_in_utc(moment: datetime) -> None:
    """What is stored is the same instant, to the microsecond."""
    back = records.moment(records.moment_text(moment))
    assert back == moment
    assert back.tzinfo is UTC


@given(MOMENTS, MOMENTS)
def test_text_sorts_as_time(one: datetime, other: datetime) -> None:
    """The stored form is compared by SQLite as text."""
    assert (records.moment_text(one) < records.moment_text(other)) == (one < other)


def test_the_stored_form_has_one_length() -> None:
    """Microseconds stand there though they are zero."""
    assert records.moment_text(datetime(2026, 3, 1, tzinfo=UTC)) == "2026-03-01T00:00:00.000000Z"


@given(MOMENTS)
def test_whole_seconds_round_down(moment: datetime) -> None:
    """A NumericDate never lies after its instant, also before 1970."""
    back = records.seconds(records.whole_seconds(moment))
    assert back == moment.replace(microsecond=0)


def test_the_last_second_of_the_format_is_held() -> None:
    """FORMAT §1: the year 9999."""
    assert records.seconds(253402300799) == datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)


@pytest.mark.parametrize(
    ("read", "value"),
    [
        (records.text, 1),
        (records.text, None),
        (records.text, b"x"),
        (records.maybe_text, 1),
        (records.as_int, "1"),
        (records.as_int, None),
        (records.as_optional_int, "1"),
        (records.as_bytes, "x"),
        (records.moment, "yesterday"),
        (records.moment, "2026-01-01T00:00:00"),
        (records.moment, 1),
        (records.maybe_moment, ""),
        (records.seconds, "1"),
        (records.seconds, 1 << 62),
        (records.strings, "{}"),
        (records.strings, "[1]"),
        (records.strings, "["),
        (records.mapping, "[]"),
        (records.mapping, '{"a":1}'),
        (records.json_object, b"\xff"),
        (records.json_object, b"[]"),
    ],
)
def test_anything_else_is_a_value_error(read: Callable[[object], object], value: object) -> None:
    """One exception for all damage."""
    with pytest.raises(ValueError, match=r"."):
        read(value)


def test_nothing_stays_nothing() -> None:
    """An empty column is None where that is allowed."""
    assert records.maybe_text(None) is None
    assert records.as_optional_int(None) is None
    assert records.maybe_moment(None) is None


def test_a_naive_moment_is_the_callers_bug() -> None:
    """Nothing is guessed about a time zone."""
    naive = datetime(2026, 1, 1)  # noqa: DTZ001  # the point
    for write in (records.moment_text, records.whole_seconds):
        with pytest.raises(ValueError, match="timezone-aware"):
            write(naive)


def test_canonical_json_has_one_form() -> None:
    """Sorted, without white space, non-ASCII as it is, nothing that is not JSON."""
    assert records.canonical({"b": "é", "a": [1, None]}) == '{"a":[1,null],"b":"é"}'
    with pytest.raises(ValueError, match="JSON"):
        records.canonical({"a": float("nan")})
