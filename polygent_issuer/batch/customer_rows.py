"""Customers as rows of a CSV file, which `customer import` reads.

Columns are found without regard to case, spaces, hyphens and underscores. An empty cell changes
nothing. Several contacts are in one cell, separated by semicolons.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any, BinaryIO, Final

from polygent_issuer.batch.row_files import named_cells, read_sheet, read_source
from polygent_issuer.batch.rows import FIELDS
from polygent_issuer.errors import InputRefused, IssuerError, UsageProblem
from polygent_issuer.registry.customers import require_notes, require_slug, require_text
from polygent_issuer.terms import dates
from polygent_issuer.text import (
    Hint,
    escape_short,
    from_spreadsheet,
    nearest,
    one_line,
    option,
)

_SAVE_AS: Final = 'save it as "CSV UTF-8"'
_SEPARATION: Final = re.compile(r"[\s_-]+")
_OTHER_NAMES: Final = {"contact": "contacts", "crmreference": "crm"}


class InvalidCustomerFile(InputRefused):
    """A problem of a file of customers; nothing of the file is imported."""

    code = "invalid_customer_file"

    @classmethod
    def at(cls, place: str, field: str | None, why: IssuerError) -> "InvalidCustomerFile":
        """Return the problem with its place and field."""
        named = "" if field is None else f"{field}: "
        return cls(f"{place}: {named}{why.message}", hint=why.hint)


@dataclass(frozen=True, kw_only=True, slots=True)
class CustomerRow:
    """A row that describes a customer.

    Attributes:
        place: its place for messages: `customers.csv, line 7`.
        line: the number of its line.
        slug: None if the cell is empty.
        columns: the other values that are given, by the names of the record's fields.
    """

    place: str
    line: int
    slug: str | None
    columns: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class CustomerFile:
    """The rows of a file, in its order, and why it is refused.

    The rows of a refused file have their valid values, only to find further problems.
    """

    rows: Sequence[CustomerRow]
    problems: Sequence[InputRefused]


def _checked(check: Callable[[str], None]) -> Callable[[str], str]:
    def read(cell: str) -> str:
        check(cell)
        return cell

    return read


def _notes(cell: str) -> str:
    notes = one_line(cell)
    require_notes(notes)
    return notes


def _time_zone(cell: str) -> str:
    zone = _zone_or_problem(cell)
    if isinstance(zone, InputRefused):
        raise zone
    return zone


@lru_cache(maxsize=256)  # the hint of an unknown zone reads the names of all zones
def _zone_or_problem(name: str) -> str | InputRefused:
    try:
        return str(dates.parse_zone(name))
    except InputRefused as refused:
        return refused


_READERS: Final[Mapping[str, Callable[[str], Any]]] = {
    "slug": _checked(require_slug),
    "name": FIELDS["customer"].cell,
    "contacts": FIELDS["contact"].cell,
    "time_zone": _time_zone,
    "crm": _checked(partial(require_text, "CRM reference")),
    "notes": _notes,
}
COLUMNS: Final = tuple(_READERS)
"""The columns, which are JSON members of a customer."""
_BY_KEY: Final = {name.replace("_", ""): name for name in COLUMNS} | _OTHER_NAMES


def parse_mapping(options: Iterable[str]) -> dict[str, str | None]:
    """Return the columns of `--map HEADER=COLUMN` by header; None for a header to leave out.

    Raises:
        UsageProblem: (`usage`) a column does not exist, or a header is given twice.
    """
    mapping: dict[str, str | None] = {}
    for text in options:
        header, equals, name = text.rpartition("=")
        column = _BY_KEY.get(_key(name))
        if not equals or not header.strip() or (name.strip() and column is None):
            near = None if column else nearest(_key(name), _BY_KEY)
            known = f"--map 'HEADER=COLUMN', where COLUMN is one of {', '.join(COLUMNS)}"
            hint = f"did you mean {_BY_KEY[near]}?" if equals and near else known
            raise UsageProblem(f"not a column of customers: --map {escape_short(text)}", hint=hint)
        if _key(header) in map(_key, mapping):
            raise UsageProblem(
                f"--map names the header {escape_short(header)} twice", hint="remove one of them"
            )
        mapping[header] = column
    return mapping


def read(
    source: str, mapping: Mapping[str, str | None], *, stdin: BinaryIO | None = None
) -> CustomerFile:
    """Read a file of customers.

    Args:
        source: a path, or `-` for stdin.
        mapping: the columns of headers that have other names, as from `parse_mapping`.
        stdin: the stream of `-`; the process's own by default.

    Raises:
        UnreadableInput: (`unreadable_input`) the file cannot be read, or exceeds 64 MiB.
        InvalidCustomerFile: (`invalid_customer_file`) the file is empty, or has no text.
    """
    text = read_source(source, "file of customers", InvalidCustomerFile, _SAVE_AS, stdin)
    name, problems = text.name, text.problems
    records = read_sheet(text, InvalidCustomerFile, f"columns are {', '.join(COLUMNS)}")
    if not records:
        return CustomerFile(rows=(), problems=problems)
    header_line, header = records[0]
    known = _BY_KEY | {_key(each): column for each, column in mapping.items()}
    columns = [known.get(_key(each)) if each else "" for each in header]
    problems += _header_problems(f"{name}, line {header_line}", header, columns, mapping)
    rows = []
    for line, cells in records[1:] if any(columns) else ():
        place = f"{name}, line {line}"
        try:
            texts = named_cells(columns, cells)
        except InputRefused as refused:
            problems.append(InvalidCustomerFile.at(place, None, refused))
        else:
            rows.append(_row(place, line, texts, problems))
    if {"slug", "name"}.isdisjoint(columns):
        return CustomerFile(rows=(), problems=problems)
    return CustomerFile(rows=rows, problems=problems)


def _row(
    place: str, line: int, texts: Mapping[str, str], problems: list[InputRefused]
) -> CustomerRow:
    """Return the row of those texts that are valid, and add the problems of the others."""
    values = dict[str, Any]()
    for column, text in texts.items():
        try:
            values[column] = _READERS[column](from_spreadsheet(text))
        except InputRefused as refused:
            problems.append(InvalidCustomerFile.at(place, column, refused))
    return CustomerRow(place=place, line=line, slug=values.pop("slug", None), columns=values)


def _header_problems(
    place: str,
    header: Sequence[str],
    columns: Sequence[str | None],
    mapping: Mapping[str, str | None],
) -> Iterator[InvalidCustomerFile]:
    keys, mapped = set(map(_key, header)), set(map(_key, mapping))
    for name in mapping:
        if _key(name) not in keys:
            yield InvalidCustomerFile(
                f"{place}: no column has the header {escape_short(name)}, which --map names",
                hint=f"the headers are {', '.join(map(escape_short, filter(None, header)))}",
            )
    for name in dict.fromkeys(header):
        if name and _key(name) not in mapped and _key(name) not in _BY_KEY:
            yield _unknown(place, name)
    for column in dict.fromkeys(columns):
        if column and columns.count(column) > 1:
            twice = f"{place}: two columns are the {column}"
            yield InvalidCustomerFile(twice, hint="remove one of them")
    if "slug" not in columns and "name" not in columns:
        yield InvalidCustomerFile(
            f"{place}: the column name is missing",
            hint="the first line names the columns; if yours is Firma: --map 'Firma=name'",
        )


def _unknown(place: str, name: str) -> InvalidCustomerFile:
    near = nearest(_key(name), _BY_KEY)
    column = _BY_KEY[near] if near else "COLUMN"
    columns = f"did you mean {column}? " if near else f"columns are {', '.join(COLUMNS)}: "
    leave_out = Hint("; to leave it out: ", option("--map", f"{name}="))
    return InvalidCustomerFile(
        f"{place}: unknown column {escape_short(name)}",
        hint=Hint(columns, option("--map", f"{name}={column}"), leave_out),
    )


def _key(header: str) -> str:
    """Return a header without case, spaces, hyphens and underscores."""
    return _SEPARATION.sub("", header.casefold())
