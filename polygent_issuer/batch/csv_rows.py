"""Rows of a CSV file as spreadsheets write it: RFC 4180, and `;` or TAB in place of the comma.

A first line `sep=;` names the separator, as Excel reads it. Cells are trimmed, `="007"` means the
text 007, and empty cells at the end of a row are ignored; nothing else is guessed. The rows are
read anew each time, never kept.
"""

import csv
import io
import re
from collections.abc import Iterator
from typing import Final

from polygent_issuer.batch.errors import InvalidApplyFile
from polygent_issuer.batch.row_fields import FIELDS, SPACE
from polygent_issuer.batch.rows import RefusedRow, Row, read_row, refuse, unknown_field
from polygent_issuer.errors import InputRefused
from polygent_issuer.text import brief

_SEPARATORS: Final = ",;\t"
_NAMED_SEPARATOR: Final = re.compile(
    rb"(?:\xef\xbb\xbf)?(?:\"sep=([^\w\"\r\n])\"|sep=([^\w\"\r\n]))([ \t,;]*)(?:\r\n?|\n)",
    re.IGNORECASE,
)
_TEXT_FORMULA: Final = re.compile(r'="((?:[^"]|"")*)"')


class CsvRows:
    """A CSV file whose header and quoting are in order."""

    def __init__(self, name: str, data: bytes) -> None:
        """Read it once, for what is wrong with it as a whole.

        Args:
            name: what people call the file.
            data: its bytes.

        Raises:
            InvalidApplyFile: (`invalid_apply_file`) when its quotes are not paired or its header
                has not the names of fields, each once and the customer among them.
            UnicodeDecodeError: when it is not UTF-8.
        """
        self._name = name
        self._data = data
        separator_line = _NAMED_SEPARATOR.match(data)
        self._begin = separator_line.end() if separator_line else 0
        self._line = 2 if separator_line else 1
        self._separator = self._find_separator()
        if separator_line and not separator_line[3].strip():
            self._separator = (separator_line[1] or separator_line[2]).decode("ascii")
        records = self._records()
        line, header = next(records)
        self._columns = tuple(header)
        self._judge_header(f"{name}, line {line}")
        for _ in records:
            pass

    def __iter__(self) -> Iterator[Row | RefusedRow]:
        """Each row that is not empty, in the file's order."""
        records = self._records()
        next(records)
        for line, cells in records:
            yield self._row(f"{self._name}, line {line}", cells)

    def _row(self, place: str, cells: list[str]) -> Row | RefusedRow:
        # Spreadsheets write too few or too many separators at the end of a row, so fewer cells are
        # allowed, and so are additional empty ones.
        given = {name: text for name, text in zip(self._columns, cells, strict=False) if text}
        if any(cells[len(self._columns) :]):
            more = InputRefused(
                f"the row has {len(cells)} cells, and the header {len(self._columns)}",
                hint='quote a cell that has the separator in it: "Acme, Inc"',
            )
            return refuse(place, given, more)
        if "" in given:
            nameless = InputRefused(
                f"a cell stands under no name: {brief(given[''])}",
                hint='name its column, clear it, or quote the cell with the separator: "Acme, Inc"',
            )
            return refuse(place, given, nameless)
        return read_row(place, given, cells=True, defaults={})

    def _records(self) -> Iterator[tuple[int, list[str]]]:
        """The records that are not empty, each with the line where it begins."""
        reader = csv.reader(
            self._lines(), delimiter=self._separator, strict=True, skipinitialspace=True
        )
        line = self._line
        try:
            for record in reader:
                cells = [_text(cell) for cell in record]
                if any(cells):
                    yield line, cells
                line = reader.line_num + self._line
        except csv.Error as error:
            if "field limit" in str(error):
                raise InvalidApplyFile(
                    f"{self._name}, line {line}: the row that begins here has a cell of over "
                    f"{csv.field_size_limit():,} characters",
                    hint="is a quote missing? a quoted cell ends before the separator",
                ) from None
            raise InvalidApplyFile(
                f"{self._name}, line {line}: the quotes of the row that begins here do not match",
                hint='a quoted cell ends before the separator; a quote in it is written twice: ""',
            ) from None

    def _lines(self) -> io.TextIOWrapper:
        data = io.BytesIO(self._data)
        data.seek(self._begin)
        return io.TextIOWrapper(data, encoding="utf-8-sig", newline="")

    def _find_separator(self) -> str:
        """The first one in the header, whose names have none."""
        for line in self._lines():
            if line.strip(SPACE + _SEPARATORS + '"'):
                return next((sign for sign in line if sign in _SEPARATORS), ",")
        raise InvalidApplyFile(
            f"{self._name}: there is no header", hint=f"fields are {', '.join(FIELDS)}"
        )

    def _judge_header(self, place: str) -> None:
        named = [name for name in self._columns if name]
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
