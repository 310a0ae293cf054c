"""A lean set of numbers."""

from hypothesis import given
from hypothesis import strategies as st

from polygent_issuer.batch.numbers import Numbers

NUMBERS = st.integers(min_value=0, max_value=2**64 - 1)


@given(st.lists(NUMBERS), st.lists(NUMBERS))
def test_what_was_taken_in_is_there(taken: list[int], others: list[int]) -> None:
    """And nothing else, also when more comes in between."""
    numbers = Numbers()
    for number in taken:
        numbers.add(number)
        assert number in numbers
    for number in others:
        assert (number in numbers) == (number in taken)


def test_what_is_no_number_is_not_there() -> None:
    """It asks of a set what one may ask."""
    numbers = Numbers()
    numbers.add(1)
    assert "1" not in numbers
    assert 2**64 not in numbers
