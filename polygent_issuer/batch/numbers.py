"""A set of numbers of 64 bits, as lean as an array: 100,000 of them need less than a megabyte."""

from array import array
from bisect import bisect_left


class Numbers:
    """Taken in one after the other, looked up afterwards."""

    def __init__(self) -> None:
        """Begin with none."""
        self._numbers = array("Q")
        self._sorted = True

    def add(self, number: int) -> None:
        """Take one in, from 0 and below 2⁶⁴."""
        self._numbers.append(number)
        self._sorted = False

    def __contains__(self, number: object) -> bool:
        """Whether it was taken in."""
        if not isinstance(number, int):
            return False
        if not self._sorted:
            self._numbers = array("Q", sorted(self._numbers))
            self._sorted = True
        place = bisect_left(self._numbers, number)
        return place < len(self._numbers) and self._numbers[place] == number
