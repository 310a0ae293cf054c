"""Rows of a CSV file as spreadsheets write it: RFC 4180, and `;` or TAB in place of the comma.

A first line `sep=;` names the separator, as Excel reads it. Cells are trimmed, `="007"` means the
text 007, and empty cells at the end of a row are ignored; nothing else is guessed.
"""

import csv
import io
import re
from collections.abc import Iterator, Sequence
from typing import Final

from polygent_issuer.batch.errors import InvalidApplyFile
from polygent_issuer.batch.row_fields import FIELDS, SPACE
from polygent_issuer.batch.rows import RefusedRow, Row, read_row, refuse, unknown_field
from polygent_issuer.errors import InputRefused
from polygent_issuer.text import escape_short

_SEPARATORS: Final = ",;\t"
_NAMED_SEPARATOR: Final = re.compile(
    rb"(?:\xef\xbb\xbf)?(?:\"sep=([^\w\"\r\n])\"|sep=([^\w\"\r\n]))([ \t,;]*)(?:\r\n?|\n)",
    re.IGNORECASE,
)
_TEXT_FORMULA: Final = re.compile(r'="((?:[^"]|"")*)"')


def read_csv(name: str, data: bytes) -> tuple[Row | RefusedRow, ...]:
    """Return the rows that are not empty, in the order of the file.

    Args:
        name: the file, for messages.
        data: its bytes.

    Raises:
        InvalidApplyFile: (`invalid_apply_file`) when its quotes are not paired or its header has
            not the names of fields, each once and the customer among them.
        UnicodeDecodeError: when it is not UTF-8.
    """
    separator_line = _NAMED_SEPARATOR.match(data)
    text = data[separator_line.end() if separator_line else 0 :].decode("utf-8-sig")
    separator = _find_separator(name, text)
    if separator_line and not separator_line[3].strip():
        separator = (separator_line[1] or separator_line[2]).decode("ascii")
    records = _records(name, text, separator, first_line=2 if separator_line else 1)
    line, columns = next(records, (0, []))
    if not columns:  # such as `=""`
        raise _no_header(name)
    _check_header(f"{name}, line {line}", columns)
    return tuple(_row(f"{name}, line {line}", columns, cells) for line, cells in records)


def _row(place: str, columns: Sequence[str], cells: Sequence[str]) -> Row | RefusedRow:
    # Spreadsheets write too few or too many separators at the end of a row, so fewer cells are
    # allowed, and so are additional empty ones.
    texts = {name: text for name, text in zip(columns, cells, strict=False) if text}
    if any(cells[len(columns) :]):
        more = InputRefused(
            f"the row has {len(cells)} cells, and the header {len(columns)}",
            hint='quote a cell that has the separator in it: "Acme, Inc"',
        )
        return refuse(place, texts, more)
    if "" in texts:
        nameless = InputRefused(
            f"a cell stands under no name: {escape_short(texts[''])}",
            hint='name its column, clear it, or quote the cell with the separator: "Acme, Inc"',
        )
        return refuse(place, texts, nameless)
    return read_row(place, texts, cells=True, defaults={})


def _records(
    name: str, text: str, separator: str, *, first_line: int
) -> Iterator[tuple[int, list[str]]]:
    """Yield the records that are not empty, each with the line where it begins."""
    lines = io.StringIO(text, newline="")
    reader = csv.reader(lines, delimiter=separator, strict=True, skipinitialspace=True)
    line = first_line
    try:
        for record in reader:
            cells = [_text(cell) for cell in record]
            if any(cells):
                yield line, cells
            line = reader.line_num + first_line
    except csv.Error as error:
        if "field limit" in str(error):
            raise InvalidApplyFile(
                f"{name}, line {line}: the row that begins here has a cell of over "
                f"{csv.field_size_limit():,} characters",
                hint="is a quote missing? a quoted cell ends before the separator",
            ) from None
        raise InvalidApplyFile(
            f"{name}, line {line}: the quotes of the row that begins here do not match",
            hint='a quoted cell ends before the separator; a quote in it is written twice: ""',
        ) from None


def _find_separator(name: str, text: str) -> str:
    """Return the first one in the header, whose names have none."""
    for line in io.StringIO(text, newline=""):
        if line.strip(SPACE + _SEPARATORS + '"'):
            return next((sign for sign in line if sign in _SEPARATORS), ",")
    raise _no_header(name)


def _no_header(name: str) -> InvalidApplyFile:
    return InvalidApplyFile(f"{name}: there is no header", hint=f"fields are {', '.join(FIELDS)}")


def _check_header(place: str, columns: Sequence[str]) -> None:
    named = [name for name in columns if name]
    for name in named:
        if name not in FIELDS:
            raise unknown_field(place, name)
        if named.count(name) > 1:
            raise InvalidApplyFile(
                f"{place}: two columns are called {name}", hint="leave one of them"
            )
    if "customer" not in named:
        raise InvalidApplyFile(
            f"{place}: there is no column customer", hint="the first line names the columns"
        )


def _text(cell: str) -> str:
    """Return the text of a cell: trimmed, and without the formula around it (`="007"`)."""
    trimmed = cell.strip(SPACE)
    formula = _TEXT_FORMULA.fullmatch(trimmed)
    return trimmed if formula is None else formula[1].replace('""', '"').strip(SPACE)
