"""Files of rows: CSV for licenses and customers, and TOML for licenses.

An apply file in TOML has `[defaults]`, and a `[[license]]` for each row.

CSV is RFC 4180, also with `;` or TAB in place of the comma. A first line `sep=;` names the
separator, as in Excel. Cells are trimmed, `="007"` means the text 007, and empty cells at the end
of a row are ignored.

A file has all its problems at once, with those of its rows: what can be read is read.
"""

import csv
import io
import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

from polygent_issuer.batch.rows import (
    FIELDS,
    SPACE,
    Field,
    InvalidApplyFile,
    RefusedRow,
    Row,
    RowRefused,
    contradiction,
    field_name,
    in_fields,
    read_row,
    refuse,
    suggested_field,
    unknown_field,
)
from polygent_issuer.errors import InputRefused, IssuerError, SeveralProblems
from polygent_issuer.files import reading
from polygent_issuer.text import backslash_hint, escape, escape_short, list_first, nearest

Fields = Mapping[str, Field]
Rows = tuple[Row | RefusedRow, ...]
_SEPARATORS: Final = ",;\t"
_QUOTED: Final = re.compile('"[^"]*"')
_NAMED_SEPARATOR: Final = re.compile(
    r"(?:\"sep=([^\w\"\r\n])\"|sep=([^\w\"\r\n]))([ \t,;]*)(?:\r\n?|\n)", re.ASCII | re.IGNORECASE
)
_TEXT_FORMULA: Final = re.compile(r'="((?:[^"]|"")*)"')
_WORKBOOKS: Final = (b"PK\x03\x04", b"\xd0\xcf\x11\xe0")  # .xlsx and .ods, .xls
_NOT_BLANK: Final = re.compile(rb"[^\s\xef\xbb\xbf]")
_SAVE_AS: Final = 'save it as "CSV UTF-8", or as TOML in UTF-8'
_LICENSE: Final = "license"
_DEFAULTS: Final = "defaults"
_TABLES: Final = (_DEFAULTS, _LICENSE)
_OF_ONE_LICENSE: Final = ("customer", "contact", "machine", "machine_info", "accept", "reason")
_FILLABLE: Final = tuple(name for name in FIELDS if name not in _OF_ONE_LICENSE)
_HINT: Final = "put texts in quotes, write dates as 2027-11-30, and name a CSV file .csv"
_BLANK: Final = "\ufeff \t\r\n\v\f"
_TOML: Final = re.compile(
    r"""(?!"?sep=\W"?[ \t,;]*[\r\n])(?:[\[#]|[\w."' \t-]+=)""", re.ASCII | re.IGNORECASE
)
MAX_BYTES: Final = 64 * 1024 * 1024
"""The size limit of a file of rows: about 300,000 licenses in TOML."""
STDIN: Final = "-"


@dataclass(frozen=True, kw_only=True, slots=True)
class RowFile:
    """An apply file; single rows may be refused.

    Attributes:
        folder: the folder of the files that `machine_info` names; None for stdin.
        rows: the rows, in the order of the file.
        problems: why the whole file is refused.
    """

    folder: Path | None
    rows: Rows
    problems: tuple[InputRefused, ...] = ()

    @classmethod
    def read(cls, source: str, *, fields: Fields = FIELDS) -> Self:
        """Read an apply file.

        Args:
            source: a path, or `-` for stdin. The ending `.toml` or `.csv` determines the format,
                else the first line does.
            fields: the readers of its values.

        Raises:
            UnreadableInput: (`unreadable_input`) the file cannot be read, or exceeds 64 MiB.
            InvalidApplyFile: (`invalid_apply_file`) the file is empty, or has no text.
        """
        text = read_source(source, "apply file", InvalidApplyFile, _SAVE_AS)
        rows, problems = (read_toml if _is_toml(source, text.text) else read_csv)(text, fields)
        folder = None if source == STDIN else Path(source).parent
        return cls(folder=folder, rows=rows, problems=tuple(problems))

    def require_sound(self, more: Iterable[IssuerError] = ()) -> None:
        """Refuse the file if it has a problem as a whole; the problems of its rows are listed, too.

        Args:
            more: further problems of the whole file.

        Raises:
            InvalidApplyFile, SeveralProblems: (`invalid_apply_file`) naming each problem.
        """
        more = tuple(more)
        if not self.problems and not more:
            return
        in_rows = (
            RowRefused(f"{row.place}: {each.message}", hint=each.hint)
            for row in self.rows
            for each in (row.problems if isinstance(row, RefusedRow) else ())
        )
        SeveralProblems.raise_for((*self.problems, *in_rows, *more))


@dataclass(frozen=True, kw_only=True, slots=True)
class SourceText:
    """The text of a file.

    Attributes:
        name: the file, for messages.
        text: without a BOM; other encodings than UTF-8 are read as Windows-1252, only to find
            further problems.
        problems: why the file is refused; its rows are only read for further problems.
    """

    name: str
    text: str
    problems: list[InputRefused]


def read_source(source: str, what: str, refused: type[InputRefused], save_as: str) -> SourceText:
    """Read a file of rows.

    Args:
        source: a path, or `-` for stdin.
        what: its kind, for messages.
        refused, save_as: the class of its errors, and the hint for another encoding or format.

    Raises:
        UnreadableInput: (`unreadable_input`) the file cannot be read, or exceeds 64 MiB.
        InputRefused: (the code of `refused`) it is empty, a workbook, or in UTF-16 or UTF-32, so
            that no row is known.
    """
    data = reading.read_bounded(source, limit=MAX_BYTES, what=what)
    name = "stdin" if source == STDIN else escape(Path(source).name)
    if data.startswith(_WORKBOOKS):
        raise refused(f"{name} is a spreadsheet's own format", hint=save_as)
    try:
        reading.without_mark(data, name)
    except reading.NotUtf8 as error:
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


def read_sheet(
    source: SourceText, refused: type[InputRefused], known: str
) -> list[tuple[int, list[str]]]:
    """Return the records of a CSV file, the header first, each with the number of its first line.

    Empty records are left out. A problem, an error of the class `refused`, is added to the source.
    Without a header nothing is returned, and the hint is `known`, which names the columns.
    """
    named = _NAMED_SEPARATOR.match(source.text)
    text = source.text[named.end() if named else 0 :]
    separator = _find_separator(text)
    if separator is None:
        text, separator = "", ","
    elif named and not named[3].strip():
        separator = named[1] or named[2]
    reader = csv.reader(
        io.StringIO(text, newline=""), delimiter=separator, strict=True, skipinitialspace=True
    )
    line = first = 2 if named else 1
    records = []
    try:
        for record in reader:
            cells = [_text(cell) for cell in record]
            if any(cells):
                records.append((line, cells))
            line = reader.line_num + first
    except csv.Error as error:
        problem = "the quotes of the row that begins here do not match"
        hint = 'a quoted cell ends before the separator; a quote in it is written twice: ""'
        if "field limit" in str(error):
            most = csv.field_size_limit()
            problem = f"the row that begins here has a cell of over {most:,} characters"
            hint = "check the quotes: the closing quote must be directly before the separator"
        source.problems.append(refused(f"{source.name}, line {line}: {problem}", hint=hint))
    if not records and not source.problems:
        source.problems.append(refused(f"{source.name}: the header is missing", hint=known))
    return records


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


def read_csv(source: SourceText, fields: Fields) -> tuple[Rows, list[InputRefused]]:
    """Return the rows that are not empty, in the order of the file, and why it is refused."""
    name, problems = source.name, source.problems
    records = read_sheet(source, InvalidApplyFile, f"fields are {', '.join(FIELDS)}")
    if not records:
        return (), problems
    line, cells = records[0]
    header = [field_name(column) for column in cells]
    problems += _header_problems(f"{name}, line {line}", header)
    columns = [column if column in ("", *FIELDS) else None for column in header]
    # Without the column, each row would have the same problem.
    defaults = {} if "customer" in columns else {"customer": ""}
    rows = (
        _row(f"{name}, line {line}", columns, cells, defaults, fields)
        for line, cells in records[1:]
    )
    return tuple(rows), problems


def read_toml(source: SourceText, fields: Fields) -> tuple[Rows, list[InputRefused]]:
    """Return the rows in the order of the file, and why it is refused."""
    name, problems = source.name, source.problems
    try:
        document = _parse(name, source.text)
    except InvalidApplyFile as invalid:
        return (), [*problems, invalid]
    for table in document:
        if table not in _TABLES:
            near = nearest(table.casefold(), _TABLES)
            hint = f"did you mean {near}?" if near else "use [defaults] and [[license]]"
            problems.append(
                InvalidApplyFile(f"{name}: unknown table {escape_short(table)}", hint=hint)
            )
    licenses = document.get(_LICENSE, [])
    if not isinstance(licenses, list) or not all(isinstance(each, dict) for each in licenses):
        problems.append(_not_written_as(name, "[[license]]"))
        licenses = []
    defaults = _read_defaults(name, document.get(_DEFAULTS, {}), fields, problems)
    rows = []
    for number, table in enumerate(licenses, 1):
        place, known = f"{name}, license {number}", {}
        for written, value in table.items():
            if field_name(written) not in FIELDS:
                problems.append(unknown_field(place, written))
            elif field_name(written) in known:
                twice = f"{place}: {field_name(written)} has two values"
                problems.append(InvalidApplyFile(twice, hint="remove one of them"))
            elif value != "":
                known[field_name(written)] = value
        rows.append(read_row(place, known, cells=False, defaults=defaults, fields=fields))
    return tuple(rows), problems


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


def _row(
    place: str,
    columns: Sequence[str | None],
    cells: Sequence[str],
    defaults: Mapping[str, Any],
    fields: Fields,
) -> Row | RefusedRow:
    try:
        texts = named_cells(columns, cells)
    except InputRefused as refused:
        pairs = zip(columns, cells, strict=False)
        return refuse(place, {name: text for name, text in pairs if name and text}, (None, refused))
    return read_row(place, texts, cells=True, defaults=defaults, fields=fields)


def _header_problems(place: str, header: Sequence[str]) -> Iterable[InputRefused]:
    unknown = [name for name in dict.fromkeys(header) if name and name not in FIELDS]
    yield from (unknown_field(place, name) for name in unknown)
    for name in dict.fromkeys(header):
        if name in FIELDS and header.count(name) > 1:
            yield InvalidApplyFile(
                f"{place}: two columns have the name {name}", hint="remove one of them"
            )
    if "customer" not in header and "customer" not in map(suggested_field, unknown):
        yield InvalidApplyFile(
            f"{place}: the column 'customer' is missing", hint="the first line names the columns"
        )


def _parse(name: str, text: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except RecursionError:
        problem, hint = "nested too deeply", _HINT
    except ValueError as error:  # a number of thousands of digits raises no TOMLDecodeError
        message = str(error)
        problem = escape_short(message[:1].lower() + message[1:], limit=200)
        hint = backslash_hint(text, message) or _HINT
    raise InvalidApplyFile(f"{name} is not TOML: {problem}", hint=hint)


def _read_defaults(
    name: str, table: object, fields: Fields, problems: list[InputRefused]
) -> Mapping[str, Any]:
    place, values = f"{name}, {_DEFAULTS}", dict[str, Any]()
    if not isinstance(table, dict):
        problems.append(_not_written_as(name, f"[{_DEFAULTS}]"))
        return values
    for written, value in table.items():
        field = field_name(written)
        if field in _OF_ONE_LICENSE:
            message = f"{place}: {field} cannot be a default"
            problems.append(InvalidApplyFile(message, hint="set it in each [[license]]"))
        elif field not in _FILLABLE:
            problems.append(unknown_field(place, written, _FILLABLE))
        elif value != "":
            try:
                values[field] = fields[field].toml(value)
            except InputRefused as refused:
                message = f"{place}: {field}: {refused.message}"
                problems.append(InvalidApplyFile(message, hint=in_fields(refused.hint)))
    if "term" in values and "expires" in values:
        both = contradiction()
        problems.append(InvalidApplyFile(f"{place}: {both.message}", hint=both.hint))
    return values


def _not_written_as(name: str, header: str) -> InvalidApplyFile:
    return InvalidApplyFile(
        f"{name}: {header.strip('[]')} is not written as {header}",
        hint=f"put {header} on its own line, with the fields below it",
    )


def _is_toml(source: str, text: str) -> bool:
    ending = Path(source).suffix.lower()
    return ending == ".toml" or (ending != ".csv" and _TOML.match(text.lstrip(_BLANK)) is not None)
