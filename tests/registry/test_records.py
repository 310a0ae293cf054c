"""Values of columns: one form and one type each."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polygent_issuer.registry import records

MOMENTS = st.datetimes(
    min_value=datetime(2, 1, 1),  # noqa: DTZ001  # hypothesis adds the zone
    max_value=datetime(9998, 12, 31),  # noqa: DTZ001  # the same
    timezones=st.sampled_from([UTC, timezone(timedelta(hours=5, minutes=45))]),
)


@given(MOMENTS)
def test_an_instant_is_read_back_in_utc(moment: datetime) -> None:
    """A stored instant is the same to the microsecond."""
    back = records.moment(records.moment_text(moment))
    assert back == moment
    assert back.tzinfo is UTC


@given(MOMENTS, MOMENTS)
def test_text_sorts_as_time(one: datetime, other: datetime) -> None:
    """The stored texts sort like the instants."""
    assert (records.moment_text(one) < records.moment_text(other)) == (one < other)


def test_the_stored_form_has_one_length() -> None:
    """Zero microseconds are written as well."""
    assert records.moment_text(datetime(2026, 3, 1, tzinfo=UTC)) == "2026-03-01T00:00:00.000000Z"


@given(MOMENTS)
def test_whole_seconds_round_down(moment: datetime) -> None:
    """A NumericDate is never after its instant, also before 1970."""
    back = records.seconds(records.whole_seconds(moment))
    assert back == moment.replace(microsecond=0)


def test_the_last_second_of_the_format() -> None:
    """The last second of the year 9999 can be stored (FORMAT §1)."""
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
    """Any other value raises ValueError."""
    with pytest.raises(ValueError, match=r"."):
        read(value)


def test_an_empty_column_reads_as_none() -> None:
    """An optional empty column reads as None."""
    assert records.maybe_text(None) is None
    assert records.as_optional_int(None) is None
    assert records.maybe_moment(None) is None


def test_a_naive_datetime_is_a_value_error() -> None:
    """A datetime without a zone raises ValueError."""
    naive = datetime(2026, 1, 1)  # noqa: DTZ001  # the point
    for write in (records.moment_text, records.whole_seconds):
        with pytest.raises(ValueError, match="timezone-aware"):
            write(naive)


def test_canonical_json_has_one_form() -> None:
    """Canonical JSON has sorted names, no white space, unescaped non-ASCII text, and no NaN."""
    assert records.canonical({"b": "é", "a": [1, None]}) == '{"a":[1,null],"b":"é"}'
    with pytest.raises(ValueError, match="JSON"):
        records.canonical({"a": float("nan")})
