"""Compare what the journal tells of the rows with what they are, however many there are.

Few are compared in memory. Many are parted by their names, and lie in a temporary file without a
name until each part is compared by itself: a row and what was told of it are in the same part.
"""

import json
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from enum import StrEnum
from itertools import islice
from typing import Final
from weakref import finalize

from polygent_issuer.errors import OutputProblem
from polygent_issuer.files.disk import why

Named = tuple[str, str | None]
"""The name of a row, and its digest; None of one that was deleted."""

_TOGETHER: Final = 8192
_PARTS: Final = 64


class Deviation(StrEnum):
    """What became of a row that is not as the journal tells."""

    ADDED = "added"
    CHANGED = "changed"
    DELETED = "deleted"


class Told:
    """What the journal tells of each row in the end."""

    def __init__(self) -> None:
        """Begin with nothing told."""
        self._recent: dict[str, str | None] = {}
        self._older: _Parted | None = None

    def tell(self, rows: Mapping[str, str | None]) -> None:
        """Take what one journal row tells: of these rows it counts, not what was told before.

        Raises:
            OutputProblem: (`output_failed`) when the temporary file cannot be written.
        """
        self._recent.update(rows)
        if len(self._recent) >= _TOGETHER:
            self._older = self._older or _Parted()
            self._older.put(self._recent.items())
            self._recent.clear()

    def deviations(self, found: Iterable[Named]) -> Iterator[tuple[str, Deviation]]:
        """The rows that are not as told, in the order of `found` where they are few.

        Args:
            found: each row that there is, with its digest.

        Raises:
            OutputProblem: (`output_failed`) when the temporary file cannot be written.
        """
        if self._older is None:
            yield from _deviations(self._recent, found)
            return
        self._older.put(self._recent.items())
        there, rest = _Parted(), iter(found)
        while some := tuple(islice(rest, _TOGETHER)):
            there.put(some)
        for told, rows in zip(self._older.parts(), there.parts(), strict=True):
            yield from _deviations(dict(told), rows)


class _Parted:
    """Rows in a temporary file, in parts that their names decide."""

    def __init__(self) -> None:
        with _our_error():
            self._file = tempfile.TemporaryFile()  # noqa: SIM115 - closed with this
        finalize(self, self._file.close)
        self._places: list[list[int]] = [[] for _ in range(_PARTS)]

    def put(self, rows: Iterable[Named]) -> None:
        """Add rows, each at the end of its part."""
        parts: list[list[Named]] = [[] for _ in range(_PARTS)]
        for row in rows:
            parts[hash(row[0]) % _PARTS].append(row)
        with _our_error():
            for places, part in zip(self._places, parts, strict=True):
                places.append(self._file.tell())
                self._file.write(json.dumps(part).encode() + b"\n")
            self._file.flush()

    def parts(self) -> Iterator[Iterator[Named]]:
        """The rows of each part, first put first."""
        return map(self._part, self._places)

    def _part(self, places: Iterable[int]) -> Iterator[Named]:
        for place in places:
            self._file.seek(place)
            yield from json.loads(self._file.readline())


@contextmanager
def _our_error() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise OutputProblem(
            f"a temporary file for the check cannot be written: {why(error)}",
            hint="set TMPDIR to a folder on a disk with room",
        ) from error


def _deviations(
    told: dict[str, str | None], found: Iterable[Named]
) -> Iterator[tuple[str, Deviation]]:
    for name, digest in found:
        expected = told.pop(name, None)
        if expected is None:
            yield name, Deviation.ADDED
        elif expected != digest:
            yield name, Deviation.CHANGED
    for name, expected in told.items():
        if expected is not None:
            yield name, Deviation.DELETED
