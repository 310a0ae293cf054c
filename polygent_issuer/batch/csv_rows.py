"""Rows of a CSV file as spreadsheets write it: RFC 4180, and `;` or TAB in place of the comma.

Cells are trimmed; nothing else is guessed. The rows are read anew each time, never kept.
"""

import csv
import io
from collections.abc import Iterator
from typing import Final

from polygent_issuer.batch.errors import InvalidApplyFile
from polygent_issuer.batch.row_fields import FIELDS
from polygent_issuer.batch.rows import RefusedRow, Row, read_row, refuse, unknown_field
from polygent_issuer.errors import InputRefused
from polygent_issuer.text import brief

_SPACE: Final = " \t\r\n"
_SEPARATORS: Final = ",;\t"


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
        self._separator = self._find_separator()
        records = self._records()
        line, header = next(records)
        self._columns = tuple(cell.strip(_SPACE) for cell in header)
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
        # Spreadsheets leave out separators at the end of a row, so fewer cells are no fault.
        given = {
            name: text
            for name, cell in zip(self._columns, cells, strict=False)
            if (text := cell.strip(_SPACE))
        }
        if len(cells) > len(self._columns):
            more = InputRefused(
                f"the row has {len(cells)} cells, and the header {len(self._columns)}",
                hint='quote a cell that has the separator in it: "Acme, Inc"',
            )
            return refuse(place, given, more)
        if "" in given:
            nameless = InputRefused(
                f"a cell stands under no name: {brief(given[''])}",
                hint="name its column, or clear it",
            )
            return refuse(place, given, nameless)
        return read_row(place, given, cells=True, defaults={})

    def _records(self) -> Iterator[tuple[int, list[str]]]:
        """The records that are not empty, each with the line where it begins."""
        lines = io.TextIOWrapper(io.BytesIO(self._data), encoding="utf-8-sig", newline="")
        reader = csv.reader(lines, delimiter=self._separator, strict=True, skipinitialspace=True)
        line = 1
        try:
            for cells in reader:
                if any(cell.strip(_SPACE) for cell in cells):
                    yield line, cells
                line = reader.line_num + 1
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

    def _find_separator(self) -> str:
        """The first one in the header, whose names have none."""
        for line in io.TextIOWrapper(io.BytesIO(self._data), encoding="utf-8-sig", newline=""):
            if line.strip(_SPACE + _SEPARATORS + '"'):
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
