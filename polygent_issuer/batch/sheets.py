"""CSV files of spreadsheets: the header, and the rows that are not empty.

CSV is RFC 4180, also with `;` or TAB in place of the comma. A first line `sep=;` names the
separator, as in Excel. Cells are trimmed, `="007"` means the text 007, and empty cells at the end
of a row are ignored. A file has all its problems at once: what can be read is read.
"""

import csv
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Final

from polygent_issuer import files
from polygent_issuer.errors import InputRefused
from polygent_issuer.text import escape, escape_short, list_first

SPACE: Final = " \t\r\n\u00a0\u2007\u202f"
"""White space of a cell. Spreadsheets and text copied from web pages have no-break spaces."""
_SEPARATORS: Final = ",;\t"
_QUOTED: Final = re.compile('"[^"]*"')
_NAMED_SEPARATOR: Final = re.compile(
    r"(?:\"sep=([^\w\"\r\n])\"|sep=([^\w\"\r\n]))([ \t,;]*)(?:\r\n?|\n)", re.ASCII | re.IGNORECASE
)
_TEXT_FORMULA: Final = re.compile(r'="((?:[^"]|"")*)"')
_WORKBOOKS: Final = (b"PK\x03\x04", b"\xd0\xcf\x11\xe0")  # .xlsx and .ods, .xls
_NOT_BLANK: Final = re.compile(rb"[^\s\xef\xbb\xbf]")
MAX_BYTES: Final = 64 * 1024 * 1024
"""The size limit of a file of rows: about 300,000 licenses in TOML."""
STDIN: Final = "-"


@dataclass(frozen=True, kw_only=True, slots=True)
class SourceText:
    """The text of a file.

    Attributes:
        name: the file, for messages.
        text: without a BOM; other encodings than UTF-8 are read as Windows-1252, only to find
            further problems.
        problems: that it is not UTF-8, if so.
    """

    name: str
    text: str
    problems: list[InputRefused]


def read_source(
    source: str, what: str, refused: type[InputRefused], save_as: str, stdin: BinaryIO | None
) -> SourceText:
    """Read a file of rows.

    Args:
        source: a path, or `-` for stdin.
        what: its kind, for messages.
        refused, save_as: the class of its errors, and the hint for another encoding or format.
        stdin: the stream of `-`; the process's own by default.

    Raises:
        UnreadableInput: (`unreadable_input`) the file cannot be read, or exceeds 64 MiB.
        InputRefused: (the code of `refused`) it is empty, a workbook, or in UTF-16 or UTF-32, so
            that no row is known.
    """
    data = files.read_bounded(source, limit=MAX_BYTES, what=what, stdin=stdin)
    name = "stdin" if source == STDIN else escape(Path(source).name)
    if data.startswith(_WORKBOOKS):
        raise refused(f"{name} is a spreadsheet's own format", hint=save_as)
    try:
        files.without_mark(data, name)
    except files.NotUtf8 as error:
        raise refused(error.message, hint=save_as) from None
    if b"\0" in data:
        raise refused(f"{name} contains NUL characters; it may be UTF-16", hint=save_as)
    if not _NOT_BLANK.search(data):
        raise refused(f"{name} is empty", hint="check the path")
    try:
        return SourceText(name=name, text=data.decode("utf-8-sig"), problems=[])
    except UnicodeDecodeError:
        lines = io.BytesIO(data.removeprefix(b"\xef\xbb\xbf")).readlines()
    broken, texts = [], []
    for number, line in enumerate(lines, 1):
        try:
            texts.append(line.decode())
        except UnicodeDecodeError:
            broken.append(str(number))
            texts.append(line.decode("cp1252", errors="replace"))
    where = f"line{'s' if len(broken) > 1 else ''} {list_first(broken, most=10)}"
    problem = refused(f"{name}, {where}: not UTF-8", hint=save_as)
    return SourceText(name=name, text="".join(texts), problems=[problem])


@dataclass(frozen=True, kw_only=True, slots=True)
class Sheet:
    """A CSV file.

    Attributes:
        line: the line of the header.
        header: the names of the columns as they are written; empty if the header is missing.
        rows: the rows below it that are not empty, each with the number of its first line.
        problems: why the whole file is refused; its rows are only read for further problems.
    """

    line: int = 0
    header: Sequence[str] = ()
    rows: Sequence[tuple[int, list[str]]] = ()
    problems: list[InputRefused] = field(default_factory=list)


def read_sheet(source: SourceText, refused: type[InputRefused]) -> Sheet:
    """Read a CSV file; `refused` is the class of its errors."""
    text, problems = source.text, source.problems
    separator_line = _NAMED_SEPARATOR.match(text)
    text = text[separator_line.end() if separator_line else 0 :]
    separator = _find_separator(text)
    if separator is None:
        return Sheet(problems=problems)
    if separator_line and not separator_line[3].strip():
        separator = separator_line[1] or separator_line[2]
    first_line = 2 if separator_line else 1
    rows, unreadable = _records(f"{source.name}, line", text, separator, first_line=first_line)
    if unreadable is not None:
        message, hint = unreadable
        problems.append(refused(message, hint=hint))
    if not rows:
        return Sheet(problems=problems)
    (line, header), *rows = rows
    return Sheet(line=line, header=header, rows=rows, problems=problems)


def named_cells(columns: Sequence[str | None], cells: Sequence[str]) -> dict[str, str]:
    """Return the cells of a row that are not empty, by the names of their columns.

    Args:
        columns: the name of each column; empty without a name, None for one that is ignored.

    Raises:
        InputRefused: (`input_refused`) a cell has no column, or one without a name.
    """
    # Spreadsheets write too few or too many separators at the end of a row, so fewer cells are
    # allowed, and so are additional empty ones.
    named = [pair for pair in zip(columns, cells, strict=False) if pair[1] and pair[0] is not None]
    if any(cells[len(columns) :]):
        raise InputRefused(
            f"the row has {len(cells)} cells, but the header has {len(columns)}",
            hint='quote a cell that has the separator in it: "Acme, Inc"',
        )
    texts = {name: text for name, text in named if name is not None}
    if "" in texts:
        raise InputRefused(
            f"a cell has no column header: {escape_short(texts[''])}",
            hint='name its column, clear it, or quote the cell with the separator: "Acme, Inc"',
        )
    return texts


def _records(
    place: str, text: str, separator: str, *, first_line: int
) -> tuple[list[tuple[int, list[str]]], tuple[str, str] | None]:
    """Return the records that are not empty, and the problem and a hint if one is unreadable."""
    reader = csv.reader(
        io.StringIO(text, newline=""), delimiter=separator, strict=True, skipinitialspace=True
    )
    line, records = first_line, list[tuple[int, list[str]]]()
    try:
        for record in reader:
            cells = [_text(cell) for cell in record]
            if any(cells):
                records.append((line, cells))
            line = reader.line_num + first_line
    except csv.Error as error:
        problem = "the quotes of the row that begins here do not match"
        hint = 'a quoted cell ends before the separator; a quote in it is written twice: ""'
        if "field limit" in str(error):
            most = csv.field_size_limit()
            problem = f"the row that begins here has a cell of over {most:,} characters"
            hint = "check the quotes: the closing quote must be directly before the separator"
        return records, (f"{place} {line}: {problem}", hint)
    return records, None


def _find_separator(text: str) -> str | None:
    """Return the first separator in the header that is not in quotes; None without a header."""
    for line in io.StringIO(text, newline=""):
        if line.strip(SPACE + _SEPARATORS + '"'):
            bare = _QUOTED.sub("", line)
            return next((sign for sign in bare if sign in _SEPARATORS), ",")
    return None


def _text(cell: str) -> str:
    """Return the text of a cell: trimmed, and without the formula around it (`="007"`)."""
    trimmed = cell.strip(SPACE)
    formula = _TEXT_FORMULA.fullmatch(trimmed)
    return trimmed if formula is None else formula[1].replace('""', '"').strip(SPACE)
