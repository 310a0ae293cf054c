"""Lists of any length: read once from the registry, then gone through as often as need be.

Whoever reads stdout may take his time, and the registry shall not wait for him: every row leaves
the transaction before the first is written. A few of them stay in memory, the rest lie in a
temporary file that has no name and is this user's own.
"""

import pickle
import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import IO, Final, Generic, TypeVar
from weakref import finalize

from polygent_issuer.errors import OutputProblem
from polygent_issuer.files.disk import why

_CHUNK: Final = 512

_Item = TypeVar("_Item")
_Made = TypeVar("_Made")


class Kept(Generic[_Item]):
    """The items of a list, in their order."""

    def __init__(self, items: Iterable[_Item]) -> None:
        """Take all of them now.

        Raises:
            OutputProblem: (`output_failed`) when the temporary file cannot be written.
        """
        given = iter(items)
        self._first = tuple(islice(given, _CHUNK))
        self._file: IO[bytes] | None = None
        while chunk := tuple(islice(given, _CHUNK)):
            self._put_away(chunk)

    def __bool__(self) -> bool:
        """Whether there is any."""
        return bool(self._first)

    def __iter__(self) -> Iterator[_Item]:
        """From the first on, each time."""
        yield from self._first
        place, end = 0, 0 if self._file is None else self._file.seek(0, 2)
        while self._file is not None and place < end:
            self._file.seek(place)
            chunk = pickle.load(self._file)  # noqa: S301 - nobody else can reach a file without a name
            place = self._file.tell()
            yield from chunk

    def _put_away(self, chunk: tuple[_Item, ...]) -> None:
        try:
            if self._file is None:
                self._file = tempfile.TemporaryFile()  # noqa: SIM115 - closed with this list
                finalize(self, self._file.close)
            pickle.dump(chunk, self._file, pickle.HIGHEST_PROTOCOL)
            self._file.flush()
        except OSError as error:
            raise OutputProblem(
                f"a temporary file for the list cannot be written: {why(error)}",
                hint="set TMPDIR to a folder on a disk with room",
            ) from error


@dataclass(frozen=True, slots=True)
class Each(Generic[_Item, _Made]):
    """What is made of each item, each time anew; nothing is collected."""

    items: Iterable[_Item]
    make: Callable[[_Item], _Made]

    def __iter__(self) -> Iterator[_Made]:
        """In the order of the items."""
        return map(self.make, self.items)
