"""Two rows for one license are found, whatever the number of rows, and without keeping them."""

import tracemalloc
from collections.abc import Iterable, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polygent_issuer.batch.errors import DuplicateRow
from polygent_issuer.batch.unique_rows import require_unique


def placed(keys: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Keys with the lines where they stand."""
    return ((f"line {number}", key) for number, key in enumerate(keys, 1))


@given(st.lists(st.text(max_size=2), max_size=12))
def test_exactly_the_repeated_are_refused(keys: list[str]) -> None:
    """By their text, letter for letter."""
    if len(set(keys)) == len(keys):
        require_unique(lambda: placed(keys))
        return
    with pytest.raises(DuplicateRow) as caught:
        require_unique(lambda: placed(keys))
    second = next(n for n, key in enumerate(keys) if key in keys[:n])
    first = keys.index(keys[second])
    assert f": line {first + 1} and line {second + 1}" in caught.value.message


def test_a_few_are_told() -> None:
    """Each beside its first, five of them."""
    with pytest.raises(DuplicateRow) as caught:
        require_unique(lambda: placed(["a", "b", "a", "a", "b", "c", *"cba"]))
    assert caught.value.message == (
        "two rows for one license: line 1 and line 3; line 1 and line 4; line 2 and line 5; "
        "line 6 and line 7; line 2 and line 8"
    )
    assert (caught.value.code, caught.value.exit_code) == ("duplicate_row", 3)


def test_equal_hashes_alone_are_no_duplicates() -> None:
    """Texts decide."""

    class Key(str):
        __slots__ = ()

        def __hash__(self) -> int:
            return 7

        def __eq__(self, other: object) -> bool:
            return str.__eq__(self, other) is True

    require_unique(lambda: ((str(n), Key(n)) for n in range(50)))
    with pytest.raises(DuplicateRow, match="3 and again"):
        require_unique(lambda: [*((str(n), Key(n)) for n in range(9)), ("again", Key(3))])


def test_rows_are_not_kept() -> None:
    """100,000 keys take a few MB."""
    tracemalloc.start()
    require_unique(lambda: placed(map(str, range(100_000))))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8 * 1024 * 1024
