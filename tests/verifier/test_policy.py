"""The clock guard."""

from dataclasses import FrozenInstanceError
from datetime import UTC, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polygent_issuer.verifier import ClockGuard
from polygent_issuer.verifier.policy import moment

T = datetime(2026, 6, 1, 12, tzinfo=UTC)
ZONES = st.integers(-1439, 1439).map(lambda minutes: timezone(timedelta(minutes=minutes)))
INSTANTS = st.datetimes(timezones=ZONES)


@given(before=INSTANTS, now=INSTANTS, tampered=st.booleans())
def test_transition_follows_the_format(before: datetime, now: datetime, *, tampered: bool) -> None:
    """For any two instants the next guard is that of FORMAT's rule, in exact integers."""
    last, seen = moment(before), moment(now)
    if tampered:
        expected = (seen, False) if seen > last else (last, True)
    elif seen < last - 86_400_000_000:
        expected = (last, True)
    else:
        expected = (max(last, seen), False)
    guard = ClockGuard(before, tampered).observe(now)
    assert guard.last_seen is not None
    assert (moment(guard.last_seen), guard.tampered) == expected


@given(st.lists(INSTANTS, min_size=1, max_size=20))
def test_last_seen_never_goes_back(instants: list[datetime]) -> None:
    """The last time seen never becomes earlier, whatever the clock shows."""
    guard = ClockGuard()
    for now in instants:
        before, guard = guard, guard.observe(now)
        if before.last_seen is not None and guard.last_seen is not None:
            assert moment(guard.last_seen) >= moment(before.last_seen)


def test_a_repeated_hour_is_two_instants() -> None:
    """Two equal wall times of a repeated hour are compared as instants."""
    berlin = ZoneInfo("Europe/Berlin")
    first = datetime(2026, 10, 25, 2, 30, tzinfo=berlin)
    later = datetime(2026, 10, 25, 2, 15, tzinfo=berlin, fold=1)
    assert ClockGuard(first).observe(later).last_seen is later
    assert ClockGuard(first, tampered=True).observe(later) == ClockGuard(later)


def test_unchanged_guard_is_itself() -> None:
    """A guard that does not change is the same object, so there is nothing to persist."""
    guard = ClockGuard(T)
    assert guard.observe(T - timedelta(hours=1)) is guard


def test_naive_times_are_the_callers_mistake() -> None:
    """A naive datetime raises ValueError at once."""
    naive = T.replace(tzinfo=None)
    with pytest.raises(ValueError, match="timezone-aware"):
        ClockGuard(naive)
    with pytest.raises(ValueError, match="timezone-aware"):
        ClockGuard().observe(naive)


def test_guard_is_frozen() -> None:
    """A guard cannot be changed; a transition makes another one."""
    with pytest.raises(FrozenInstanceError):
        ClockGuard(T).tampered = True  # type: ignore[misc]


@pytest.mark.parametrize("year", [1, 9999])
def test_moment_reaches_the_ends_of_time(year: int) -> None:
    """The first and the last instant have exact microseconds in any zone."""
    edge = datetime(1, 1, 1, tzinfo=UTC) if year == 1 else datetime(9999, 12, 31, 23, tzinfo=UTC)
    for minutes in (-1439, 0, 1439):
        zone = timezone(timedelta(minutes=minutes))
        expected = moment(edge) - minutes * 60_000_000
        assert moment(edge.replace(tzinfo=zone)) == expected
