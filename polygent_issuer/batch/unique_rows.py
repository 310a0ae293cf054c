"""Rows that are for the same license are found without keeping them: 8 bytes a row.

An array of hashes tells which rows may have the same key; only those are looked at again.
"""

from array import array
from collections.abc import Callable, Iterable, Iterator
from itertools import islice, pairwise
from typing import Final

from polygent_issuer.batch.errors import DuplicateRow

_TOLD: Final = 5


def require_unique(keyed: Callable[[], Iterable[tuple[str, str]]]) -> None:
    """Refuse two rows of one key.

    Args:
        keyed: gives each row's place and key, the same ones each time that it is called.

    Raises:
        DuplicateRow: (`duplicate_row`) naming the places of each two, the first few.
    """
    hashes = array("q", sorted(hash(key) for _, key in keyed()))
    suspected = {one for one, other in pairwise(hashes) if one == other}
    if not suspected:
        return
    told = list(islice(_repeated(keyed(), suspected), _TOLD))
    if told:
        raise DuplicateRow(
            f"two rows for one license: {'; '.join(told)}",
            hint="leave one row for each customer and machine",
        )


def _repeated(keyed: Iterable[tuple[str, str]], suspected: set[int]) -> Iterator[str]:
    first: dict[str, str] = {}
    for place, key in keyed:
        if hash(key) in suspected and (earlier := first.setdefault(key, place)) != place:
            yield f"{earlier} and {place}"
