"""A TOML file a license at a time: as tables, 100,000 licenses would take 120 MB.

Each `[[license]]` is parsed by itself, and that comes to the same: such a line begins a table
wherever it does not stand in a text or list of several lines, and then what lies before it is no
TOML, for the text that is not ended. As soon as a piece is none, or a table comes twice, the
document is parsed as a whole, which also tells the right line.
"""

import re
import tomllib
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final, TypeVar

from polygent_issuer.batch.errors import InvalidApplyFile
from polygent_issuer.text import backslash_hint, brief

LICENSE: Final = "license"
_HEADER: Final = re.compile(rb"^[ \t]*\[\[[ \t]*license[ \t]*\]\]", re.MULTILINE)
_MARK: Final = b"\xef\xbb\xbf"
_LONGEST: Final = 200
_HINT: Final = "put texts in quotes, write dates as 2027-11-30, and name a CSV file .csv"

Document = dict[str, Any]
_Judged = TypeVar("_Judged")


class TomlDocuments:
    """The tables of a file, in as many documents as are right."""

    def __init__(self, name: str, data: bytes) -> None:
        """Take a file's bytes, and what people call it."""
        self._name = name
        self._data = data.removeprefix(_MARK)
        self._in_pieces = True

    def judged(self, judge: Callable[[Iterable[Document]], _Judged]) -> _Judged:
        """Read the file for the first time, and find out whether it can be read in pieces.

        Args:
            judge: is handed the documents, and called again with the whole if they were none.

        Raises:
            InvalidApplyFile: (`invalid_apply_file`) when it is no TOML.
            UnicodeDecodeError: when it is not UTF-8.
        """
        try:
            return judge(self)
        except (ValueError, RecursionError):
            self._in_pieces = False
            return judge(self)

    def __iter__(self) -> Iterator[Document]:
        """The documents, parsed anew."""
        return _one_by_one(self._data) if self._in_pieces else iter([self._whole()])

    def _whole(self) -> Document:
        try:
            return _parse(self._data)
        except UnicodeDecodeError:
            raise
        except RecursionError:
            problem, hint = "nested too deeply", _HINT
        except ValueError as error:  # a number of thousands of digits is no TOMLDecodeError
            message = str(error)
            problem = brief(message[:1].lower() + message[1:], limit=_LONGEST)
            hint = backslash_hint(self._data.decode(), message) or _HINT
        raise InvalidApplyFile(f"{self._name} is not TOML: {problem}", hint=hint)


def _one_by_one(data: bytes) -> Iterator[Document]:
    seen: set[str] = set()
    for number, piece in enumerate(_pieces(data)):
        document = _parse(piece)
        if seen & document.keys():
            raise ValueError("a table in two places")  # what that means, the whole says
        seen |= document.keys() - {LICENSE} if number else document.keys()
        yield document


def _pieces(data: bytes) -> Iterator[bytes]:
    """What stands before the first license, then each license."""
    begin = 0
    for header in _HEADER.finditer(data):
        yield data[begin : header.start()]
        begin = header.start()
    yield data[begin:]


def _parse(piece: bytes) -> Document:
    return tomllib.loads(piece.decode())
