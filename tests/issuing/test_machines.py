"""History of a machine: how often it changed, and which components."""

from datetime import UTC, datetime, timedelta

import pytest

from polygent_issuer.issuing.machines import change_count, identity_changes
from polygent_issuer.registry import Identity

NOW = datetime(2026, 11, 30, tzinfo=UTC)


def identity(fingerprint: str, since: int, until: int | None, **components: str) -> Identity:
    """Build an identity from its start and end in days ago."""
    return Identity(
        fingerprint=fingerprint,
        hostname="prod-1",
        components=components,
        since=NOW - timedelta(days=since),
        until=None if until is None else NOW - timedelta(days=until),
        document_id=None,
    )


def past(*ended: int) -> tuple[Identity, ...]:
    """Build a history whose identities ended so many days ago, the latest first."""
    spans = zip(ended, (*ended[1:], 1000), strict=False)
    before = (identity(f"f{end}", start, end) for end, start in spans)
    return (identity("now", ended[0] if ended else 1000, None), *before)


@pytest.mark.parametrize(
    ("ended", "more", "note"),
    [
        ((), 0, None),
        ((), 1, None),
        ((10,), 0, None),
        ((10,), 1, "2nd machine change in 12 months"),
        ((10, 20), 0, "2nd machine change in 12 months"),
        ((10, 20), 1, "3rd machine change in 12 months"),
        ((10, 364), 0, "2nd machine change in 12 months"),
        ((10, 365), 0, None),
        (tuple(range(1, 4)), 1, "4th machine change in 12 months"),
        (tuple(range(1, 12)), 0, "11th machine change in 12 months"),
        (tuple(range(1, 13)), 0, "12th machine change in 12 months"),
        (tuple(range(1, 22)), 0, "21st machine change in 12 months"),
    ],
)
def test_changes_within_a_year_are_counted_from_the_second_on(
    ended: tuple[int, ...], more: int, note: str | None
) -> None:
    """The note appears with the second change within 12 months; older changes do not count."""
    assert change_count(past(*ended), NOW, more=more) == note


def test_the_same_fingerprint_twice_in_a_row_is_not_a_change() -> None:
    """A merge leaves the same fingerprint twice; a return to an older one is a change."""
    machine = (
        identity("a", 5, None),
        identity("a", 50, 5),
        identity("b", 60, 50),
        identity("a", 70, 60),
    )
    assert [(NOW - change.at).days for change in identity_changes(machine)] == [50, 60]


def test_changed_components_are_named() -> None:
    """Every component of both identities has a state."""
    machine = (
        identity("b", 5, None, board="2", disk="d"),
        identity("a", 50, 5, board="1", cpu="c"),
    )
    (change,) = identity_changes(machine)
    assert {part.name: str(part.state) for part in change.components} == {
        "board": "changed",
        "cpu": "removed",
        "disk": "added",
    }
