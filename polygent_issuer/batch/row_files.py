"""Apply files: TOML (`[defaults]`, and a `[[license]]` for each) or CSV (`sheets`).

A file that is wrong as a whole has all its problems at once, with those of its rows.
"""

import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final, Self

from polygent_issuer.batch import sheets
from polygent_issuer.batch.rows import (
    FIELDS,
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
from polygent_issuer.text import backslash_hint, escape_short, nearest

Fields = Mapping[str, Field]
Rows = tuple[Row | RefusedRow, ...]
_SAVE_AS: Final = 'save it as "CSV UTF-8", or as TOML in UTF-8'


def read_csv(source: sheets.SourceText, fields: Fields) -> tuple[Rows, list[InputRefused]]:
    """Return the rows that are not empty, in the order of the file, and why it is refused."""
    name, sheet = source.name, sheets.read_sheet(source, InvalidApplyFile)
    header = [field_name(column) for column in sheet.header]
    if not any(header):  # such as `=""`
        hint = f"fields are {', '.join(FIELDS)}"
        missing = InvalidApplyFile(f"{name}: the header is missing", hint=hint)
        return (), sheet.problems or [missing]
    problems = [*sheet.problems, *_header_problems(f"{name}, line {sheet.line}", header)]
    columns = [column if column in ("", *FIELDS) else None for column in header]
    # Without the column, each row would have the same problem.
    defaults = {} if "customer" in columns else {"customer": ""}
    rows = (
        _row(f"{name}, line {line}", columns, cells, defaults, fields) for line, cells in sheet.rows
    )
    return tuple(rows), problems


def _row(
    place: str,
    columns: Sequence[str | None],
    cells: Sequence[str],
    defaults: Mapping[str, Any],
    fields: Fields,
) -> Row | RefusedRow:
    try:
        texts = sheets.named_cells(columns, cells)
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


_LICENSE: Final = "license"
_DEFAULTS: Final = "defaults"
_TABLES: Final = (_DEFAULTS, _LICENSE)
_OF_ONE_LICENSE: Final = ("customer", "contact", "machine", "machine_info", "accept", "reason")
_FILLABLE: Final = tuple(name for name in FIELDS if name not in _OF_ONE_LICENSE)
_LONGEST: Final = 200
_HINT: Final = "put texts in quotes, write dates as 2027-11-30, and name a CSV file .csv"


def read_toml(source: sheets.SourceText, fields: Fields) -> tuple[Rows, list[InputRefused]]:
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


_BLANK: Final = "\ufeff \t\r\n\v\f"
_TOML: Final = re.compile(
    r"""(?!"?sep=\W"?[ \t,;]*[\r\n])(?:[\[#]|[\w."' \t-]+=)""", re.ASCII | re.IGNORECASE
)


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
    def read(cls, source: str, *, stdin: BinaryIO | None = None, fields: Fields = FIELDS) -> Self:
        """Read an apply file.

        Args:
            source: a path, or `-` for stdin. The ending `.toml` or `.csv` determines the format,
                else the first line does.
            stdin: the stream of `-`; the process's own by default.
            fields: the readers of its values.

        Raises:
            UnreadableInput: (`unreadable_input`) the file cannot be read, or exceeds 64 MiB.
            InvalidApplyFile: (`invalid_apply_file`) the file is empty, or has no text.
        """
        text = sheets.read_source(source, "apply file", InvalidApplyFile, _SAVE_AS, stdin)
        rows, problems = (read_toml if _is_toml(source, text.text) else read_csv)(text, fields)
        folder = None if source == sheets.STDIN else Path(source).parent
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


def _is_toml(source: str, text: str) -> bool:
    ending = Path(source).suffix.lower()
    return ending == ".toml" or (ending != ".csv" and _TOML.match(text.lstrip(_BLANK)) is not None)
