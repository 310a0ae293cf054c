"""Apply files: TOML (`[defaults]`, and a `[[license]]` for each) or CSV.

CSV is the format of spreadsheets: RFC 4180, also with `;` or TAB in place of the comma. A first
line `sep=;` names the separator, as in Excel. Cells are trimmed, `="007"` means the text 007, and
empty cells at the end of a row are ignored.
"""

import csv
import io
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final, Self

from polygent_issuer import files
from polygent_issuer.batch.rows import (
    FIELDS,
    SPACE,
    InvalidApplyFile,
    RefusedRow,
    Row,
    contradiction,
    in_fields,
    read_row,
    refuse,
    unknown_field,
)
from polygent_issuer.errors import InputRefused
from polygent_issuer.text import backslash_hint, escape, escape_short, nearest

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
        InvalidApplyFile: (`invalid_apply_file`) the quotes do not match, or the header has an
            unknown or repeated field, or lacks `customer`.
        UnicodeDecodeError: the file is not UTF-8.
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
            f"the row has {len(cells)} cells, but the header has {len(columns)}",
            hint='quote a cell that has the separator in it: "Acme, Inc"',
        )
        return refuse(place, texts, more)
    if "" in texts:
        nameless = InputRefused(
            f"a cell has no column header: {escape_short(texts[''])}",
            hint='name its column, clear it, or quote the cell with the separator: "Acme, Inc"',
        )
        return refuse(place, texts, nameless)
    return read_row(place, texts, cells=True, defaults={})


def _records(
    name: str, text: str, separator: str, *, first_line: int
) -> Iterator[tuple[int, list[str]]]:
    """Yield the records that are not empty, each with the number of its first line."""
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
                hint="check the quotes: the closing quote must be directly before the separator",
            ) from None
        raise InvalidApplyFile(
            f"{name}, line {line}: the quotes of the row that begins here do not match",
            hint='a quoted cell ends before the separator; a quote in it is written twice: ""',
        ) from None


def _find_separator(name: str, text: str) -> str:
    """Return the first separator in the header; names of fields contain none."""
    for line in io.StringIO(text, newline=""):
        if line.strip(SPACE + _SEPARATORS + '"'):
            return next((sign for sign in line if sign in _SEPARATORS), ",")
    raise _no_header(name)


def _no_header(name: str) -> InvalidApplyFile:
    return InvalidApplyFile(
        f"{name}: the header is missing", hint=f"fields are {', '.join(FIELDS)}"
    )


def _check_header(place: str, columns: Sequence[str]) -> None:
    named = [name for name in columns if name]
    for name in named:
        if name not in FIELDS:
            raise unknown_field(place, name)
        if named.count(name) > 1:
            raise InvalidApplyFile(
                f"{place}: two columns have the name {name}", hint="remove one of them"
            )
    if "customer" not in named:
        raise InvalidApplyFile(
            f"{place}: the column 'customer' is missing", hint="the first line names the columns"
        )


def _text(cell: str) -> str:
    """Return the text of a cell: trimmed, and without the formula around it (`="007"`)."""
    trimmed = cell.strip(SPACE)
    formula = _TEXT_FORMULA.fullmatch(trimmed)
    return trimmed if formula is None else formula[1].replace('""', '"').strip(SPACE)


_MARK: Final = "\ufeff"
_LICENSE: Final = "license"
_DEFAULTS: Final = "defaults"
_TABLES: Final = (_DEFAULTS, _LICENSE)
_OF_ONE_LICENSE: Final = ("customer", "machine", "machine_info", "accept", "reason")
_FILLABLE: Final = tuple(name for name in FIELDS if name not in _OF_ONE_LICENSE)
_LONGEST: Final = 200
_HINT: Final = "put texts in quotes, write dates as 2027-11-30, and name a CSV file .csv"


def read_toml(name: str, data: bytes) -> tuple[Row | RefusedRow, ...]:
    """Return the rows in the order of the file.

    Args:
        name: the file, for messages.
        data: its bytes.

    Raises:
        InvalidApplyFile: (`invalid_apply_file`) the file is not TOML, or has an unknown table or
            field, or an invalid default.
        UnicodeDecodeError: the file is not UTF-8.
    """
    document = _parse(name, data.decode().removeprefix(_MARK))
    for table in document:
        if table not in _TABLES:
            near = nearest(table.casefold(), _TABLES)
            hint = f"did you mean {near}?" if near else "use [defaults] and [[license]]"
            raise InvalidApplyFile(f"{name}: unknown table {escape_short(table)}", hint=hint)
    licenses = document.get(_LICENSE, [])
    if not isinstance(licenses, list):
        raise _not_written_as(name, "[[license]]")
    placed = [(f"{name}, license {number}", table) for number, table in enumerate(licenses, 1)]
    for place, table in placed:
        if not isinstance(table, dict):
            raise _not_written_as(name, "[[license]]")
        for field in table:
            if field not in FIELDS:
                raise unknown_field(place, field)
    defaults = _read_defaults(name, document.get(_DEFAULTS, {}))
    return tuple(
        read_row(place, _non_empty(table), cells=False, defaults=defaults)
        for place, table in placed
    )


def _parse(name: str, text: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except RecursionError:
        problem, hint = "nested too deeply", _HINT
    except ValueError as error:  # a number of thousands of digits raises no TOMLDecodeError
        message = str(error)
        problem = escape_short(message[:1].lower() + message[1:], limit=_LONGEST)
        hint = backslash_hint(text, message) or _HINT
    raise InvalidApplyFile(f"{name} is not TOML: {problem}", hint=hint)


def _read_defaults(name: str, table: object) -> Mapping[str, Any]:
    place = f"{name}, {_DEFAULTS}"
    if not isinstance(table, dict):
        raise _not_written_as(name, f"[{_DEFAULTS}]")
    for field in table:
        if field in _OF_ONE_LICENSE:
            raise InvalidApplyFile(
                f"{place}: {field} cannot be a default", hint="set it in each [[license]]"
            )
        if field not in _FILLABLE:
            raise unknown_field(place, field, _FILLABLE)
    values = {field: _default(place, field, value) for field, value in _non_empty(table).items()}
    if "term" in values and "expires" in values:
        both = contradiction()
        raise InvalidApplyFile(f"{place}: {both.message}", hint=both.hint)
    return values


def _not_written_as(name: str, header: str) -> InvalidApplyFile:
    return InvalidApplyFile(
        f"{name}: {header.strip('[]')} is not written as {header}",
        hint=f"put {header} on its own line, with the fields below it",
    )


def _non_empty(table: Mapping[str, Any]) -> dict[str, Any]:
    return {field: value for field, value in table.items() if value != ""}


def _default(place: str, field: str, value: object) -> object:
    try:
        return FIELDS[field].toml(value)
    except InputRefused as refused:
        message = f"{place}: {field}: {refused.message}"
        raise InvalidApplyFile(message, hint=in_fields(refused.hint)) from None


MAX_BYTES: Final = 64 * 1024 * 1024
"""The size limit of an apply file: about 300,000 licenses in TOML."""

_STDIN: Final = "-"
_WHAT: Final = "apply file"
_SAVE_AS: Final = 'save it as "CSV UTF-8", or as TOML in UTF-8'
_WORKBOOKS: Final = (b"PK\x03\x04", b"\xd0\xcf\x11\xe0")  # .xlsx and .ods, .xls
_NOT_BLANK: Final = re.compile(rb"[^\s\xef\xbb\xbf]")
_TOML: Final = re.compile(
    rb"""(?!"?sep=\W"?[ \t,;]*[\r\n])(?:[\[#]|[\w."' \t-]+=)""", re.IGNORECASE
)


@dataclass(frozen=True, kw_only=True, slots=True)
class RowFile:
    """A valid apply file; single rows may still be refused.

    Attributes:
        folder: the folder of the files that `machine_info` names; None for stdin.
        rows: the rows, in the order of the file.
    """

    folder: Path | None
    rows: tuple[Row | RefusedRow, ...]

    @classmethod
    def read(cls, source: str, *, stdin: BinaryIO | None = None) -> Self:
        """Read an apply file.

        Args:
            source: a path, or `-` for stdin. The ending `.toml` or `.csv` determines the format,
                else the first line does.
            stdin: the stream of `-`; the process's own by default.

        Raises:
            UnreadableInput: (`unreadable_input`) the file cannot be read, or exceeds 64 MiB.
            InvalidApplyFile: (`invalid_apply_file`) the whole file is refused: it is not UTF-8, or
                neither TOML nor CSV, or has an unknown field.
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
        raise InvalidApplyFile(f"{name} contains NUL characters; it may be UTF-16", hint=_SAVE_AS)
    if not _NOT_BLANK.search(data):
        raise InvalidApplyFile(f"{name} is empty", hint="check the path")


def _is_toml(source: str, data: bytes) -> bool:
    ending = Path(source).suffix.lower()
    if ending in (".toml", ".csv"):
        return ending == ".toml"
    first = _NOT_BLANK.search(data)
    return first is not None and _TOML.match(data, first.start()) is not None


def _not_utf8(name: str, data: bytes) -> InvalidApplyFile:
    lines = enumerate(io.BytesIO(data), 1)
    broken = next(number for number, line in lines if line.decode(errors="ignore").encode() != line)
    return InvalidApplyFile(f"{name}, line {broken}: not UTF-8", hint=_SAVE_AS)
