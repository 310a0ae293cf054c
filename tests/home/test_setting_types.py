"""Lengths of time: one spelling each way, nothing that a calendar could not hold."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polygent_issuer.errors import InvalidTerms
from polygent_issuer.home.setting_types import duration_text, parse_duration


@pytest.mark.parametrize(
    ("text", "length"),
    [
        ("20s", timedelta(seconds=20)),
        ("15m", timedelta(minutes=15)),
        ("36h", timedelta(hours=36)),
        ("7d", timedelta(days=7)),
        ("2w", timedelta(days=14)),
        ("36525d", timedelta(days=36_525)),
    ],
)
def test_each_unit_is_read(text: str, length: timedelta) -> None:
    """Seconds, minutes, hours, days and weeks."""
    assert parse_duration(text) == length


@pytest.mark.parametrize(
    "text",
    [
        "",
        "7",
        "d",
        "0d",
        "-1d",
        "1.5d",
        "7 d",
        "7D",
        "07d",
        "1d\n",
        "1y",
        "6mo",
        "1d12h",
        "\u0667d",
    ],
)  # fmt: skip - one line reads best
def test_any_other_spelling_is_refused(text: str) -> None:
    """A length that could be misread is no length; months and years have none."""
    with pytest.raises(InvalidTerms, match="not a length of time") as caught:
        parse_duration(text)
    assert caught.value.hint == "write it as 7d, 36h or 20s"


@pytest.mark.parametrize("text", ["36526d", "9999999999w", "9999999999s"])
def test_over_a_hundred_years_is_refused(text: str) -> None:
    """No later sum with a date can overflow."""
    with pytest.raises(InvalidTerms, match="longer than a hundred years"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("length", "text"),
    [
        (timedelta(days=14), "14d"),
        (timedelta(hours=25), "25h"),
        (timedelta(minutes=61), "61m"),
        (timedelta(seconds=61), "61s"),
        (timedelta(0), "0d"),
    ],
)
def test_the_largest_unit_that_fits_is_written(length: timedelta, text: str) -> None:
    """14 days are not 336 hours."""
    assert duration_text(length) == text


@given(st.integers(1, 36_525 * 86_400))
def test_what_is_written_reads_back(seconds: int) -> None:
    """Every length has a spelling that means it."""
    length = timedelta(seconds=seconds)
    assert parse_duration(duration_text(length)) == length
