"""What a machine's past says: how often it changed, which parts, whether it is a clone."""

from datetime import UTC, datetime, timedelta

import pytest

from polygent_issuer.issuing.machines import change_count, identity_changes
from polygent_issuer.registry import Identity

NOW = datetime(2026, 11, 30, tzinfo=UTC)


def identity(fingerprint: str, since: int, until: int | None, **components: str) -> Identity:
    """An identity by its ages in days."""
    return Identity(
        fingerprint=fingerprint,
        hostname="prod-1",
        components=components,
        since=NOW - timedelta(days=since),
        until=None if until is None else NOW - timedelta(days=until),
        document_id=None,
    )


def past(*ended: int) -> tuple[Identity, ...]:
    """A machine whose identities ended so many days ago, the latest first."""
    spans = zip(ended, (*ended[1:], 1000), strict=False)
    before = (identity(f"f{end}", start, end) for end, start in spans)
    return (identity("now", ended[0] if ended else 1000, None), *before)


@pytest.mark.parametrize(
    ("ended", "more", "told"),
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
def test_how_often_it_changed(ended: tuple[int, ...], more: int, told: str | None) -> None:
    """Told from the second change within 12 months on; older ones are not counted."""
    assert change_count(past(*ended), NOW, more=more) == told


def test_the_same_fingerprint_again_is_no_change() -> None:
    """As after a merger; back to an older one is a change."""
    machine = (
        identity("a", 5, None),
        identity("a", 50, 5),
        identity("b", 60, 50),
        identity("a", 70, 60),
    )
    assert [(NOW - change.at).days for change in identity_changes(machine)] == [50, 60]


def test_which_parts_changed() -> None:
    """Each part of both by name."""
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
