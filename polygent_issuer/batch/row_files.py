"""Apply files: TOML or CSV, read once."""

import io
import re
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final, Self

from polygent_issuer import files
from polygent_issuer.batch.csv_rows import read_csv
from polygent_issuer.batch.errors import InvalidApplyFile
from polygent_issuer.batch.rows import RefusedRow, Row
from polygent_issuer.batch.toml_rows import read_toml
from polygent_issuer.text import escape

MAX_BYTES: Final = 64 * 1024 * 1024
"""The largest apply file: some 300,000 licenses in TOML."""

_STDIN: Final = "-"
_WHAT: Final = "apply file"
_SAVE_AS: Final = 'save it as "CSV UTF-8", or as TOML in UTF-8'
_WORKBOOKS: Final = (b"PK\x03\x04", b"\xd0\xcf\x11\xe0")  # .xlsx and .ods, .xls
_SAYS_SOMETHING: Final = re.compile(rb"[^\s\xef\xbb\xbf]")
_TOML: Final = re.compile(
    rb"""(?!"?sep=\W"?[ \t,;]*[\r\n])(?:[\[#]|[\w."' \t-]+=)""", re.IGNORECASE
)


@dataclass(frozen=True, kw_only=True, slots=True)
class RowFile:
    """A file of rows, in order as a whole; a single row may still be refused.

    Attributes:
        folder: where the files are that `machine_info` names; None for stdin.
        rows: in the order of the file.
    """

    folder: Path | None
    rows: tuple[Row | RefusedRow, ...]

    @classmethod
    def read(cls, source: str, *, stdin: BinaryIO | None = None) -> Self:
        """Read a file that somebody named.

        Args:
            source: a path, or `-` for stdin. The endings `.toml` and `.csv` say what it is, else
                the first line does.
            stdin: what `-` reads; the process's own by default.

        Raises:
            UnreadableInput: (`unreadable_input`) when it cannot be read, or has over 64 MiB.
            InvalidApplyFile: (`invalid_apply_file`) when it is wrong as a whole, so that no row of
                it can be relied on: not UTF-8, no TOML or CSV, a name that nobody knows.
        """
        data = files.read_bounded(source, limit=MAX_BYTES, what=_WHAT, stdin=stdin)
        name = "stdin" if source == _STDIN else escape(Path(source).name)
        _require_text(name, data)
        parse = read_toml if _is_toml(source, data) else read_csv
        try:
            rows = parse(name, data)
        except UnicodeDecodeError:
            raise _not_utf8(name, data) from None
        folder = None if source == _STDIN else Path(source).parent
        return cls(folder=folder, rows=rows)


def _require_text(name: str, data: bytes) -> None:
    if data.startswith(_WORKBOOKS):
        raise InvalidApplyFile(f"{name} is a spreadsheet's own format", hint=_SAVE_AS)
    try:
        files.without_mark(data, name)
    except files.NotUtf8 as refused:
        raise InvalidApplyFile(refused.message, hint=_SAVE_AS) from None
    if b"\0" in data:
        raise InvalidApplyFile(f"{name} holds NUL characters: UTF-16, perhaps", hint=_SAVE_AS)
    if not _SAYS_SOMETHING.search(data):
        raise InvalidApplyFile(f"{name} is empty", hint="is it the right file? check the path")


def _is_toml(source: str, data: bytes) -> bool:
    ending = Path(source).suffix.lower()
    if ending in (".toml", ".csv"):
        return ending == ".toml"
    first = _SAYS_SOMETHING.search(data)
    return first is not None and _TOML.match(data, first.start()) is not None


def _not_utf8(name: str, data: bytes) -> InvalidApplyFile:
    lines = enumerate(io.BytesIO(data), 1)
    broken = next(number for number, line in lines if line.decode(errors="ignore").encode() != line)
    return InvalidApplyFile(f"{name}, line {broken}: not UTF-8", hint=_SAVE_AS)
