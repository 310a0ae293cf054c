"""Import of customers from a CSV file: read its rows, decide what changes, write all or nothing.

Columns are found without regard to case, spaces, hyphens and underscores. An empty cell changes
nothing. Several contacts are in one cell, separated by semicolons.

A row means the customer with its slug, else the one that its name means (`customers.matches`), else
a new customer. The slug of a customer never changes. A name changes only in a row with the slug,
not with an alias.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import lru_cache, partial
from typing import Any, Final

from polygent_issuer.batch.row_files import named_cells, read_sheet, read_source
from polygent_issuer.batch.rows import FIELDS, plain_spaces
from polygent_issuer.errors import InputRefused, IssuerError, SeveralProblems, UsageProblem
from polygent_issuer.findings import Consent, Finding
from polygent_issuer.issuing import customer_changes
from polygent_issuer.issuing.customer_changes import CustomerUpdate
from polygent_issuer.issuing.proposal import NewCustomer, similar_customer
from polygent_issuer.registry import Customer, Reading, Writing, customers
from polygent_issuer.registry.customer_names import NameIndex
from polygent_issuer.registry.customers import require_notes, require_slug, require_text
from polygent_issuer.registry.errors import ambiguous
from polygent_issuer.terms import dates
from polygent_issuer.text import (
    Hint,
    escape,
    escape_short,
    from_spreadsheet,
    nearest,
    one_line,
    option,
    run,
)

_SAVE_AS: Final = 'save it as "CSV UTF-8"'
_SEPARATION: Final = re.compile(r"[\s_-]+")
_OTHER_NAMES: Final = {"contact": "contacts", "crmreference": "crm"}


class InvalidCustomerFile(InputRefused):
    """A problem of a file of customers; nothing of the file is imported."""

    code = "invalid_customer_file"

    @classmethod
    def at(cls, place: str, why: IssuerError) -> "InvalidCustomerFile":
        """Return the problem with its place."""
        return cls(f"{place}: {why.message}", hint=why.hint)


@dataclass(frozen=True, kw_only=True, slots=True)
class CustomerRow:
    """A row that describes a customer; its place for messages is `customers.csv, line 7`.

    Attributes:
        slug: None if the cell is empty.
        columns: the other values that are given, by the names of the record's fields.
    """

    place: str
    line: int
    slug: str | None
    columns: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class CustomerFile:
    """The rows of a file, and its problems; then the rows have only their valid values."""

    rows: Sequence[CustomerRow]
    problems: Sequence[InputRefused]


def _checked(check: Callable[[str], None], cell: str) -> str:
    check(cell)
    return cell


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
    "slug": lambda cell: _checked(require_slug, cell),
    "name": FIELDS["customer"].cell,
    "contacts": FIELDS["contact"].cell,
    "time_zone": _time_zone,
    "crm": lambda cell: _checked(partial(require_text, "CRM reference"), cell),
    "notes": lambda cell: _checked(require_notes, one_line(cell)),
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


def read(source: str, mapping: Mapping[str, str | None]) -> CustomerFile:
    """Read a file of customers as `read_source`; `mapping` as from `parse_mapping`."""
    text = read_source(source, "file of customers", InvalidCustomerFile, _SAVE_AS)
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
            problems.append(InvalidCustomerFile.at(place, refused))
        else:
            rows.append(_row(place, line, texts, problems))
    if {"slug", "name"}.isdisjoint(columns):
        return CustomerFile(rows=(), problems=problems)
    return CustomerFile(rows=rows, problems=problems)


@dataclass(frozen=True, kw_only=True, slots=True)
class RowImport:
    """The decision on a row; two are equal if they rest on the same facts.

    A new customer has `columns` apart from its name, and a known one an `update`.
    """

    row: CustomerRow
    customer: NewCustomer | Customer
    columns: Mapping[str, Any] = field(default_factory=dict)
    update: CustomerUpdate | None = None
    findings: tuple[Finding, ...] = ()

    @property
    def outcome(self) -> str:
        """`new`, `changed` or `unchanged`."""
        if self.update is None:
            return "new"
        return "changed" if self.update.columns else "unchanged"


def decide(db: Reading, file: CustomerFile, *, now: datetime) -> tuple[RowImport, ...]:
    """Decide each row of a file; nothing is written.

    Raises:
        InvalidCustomerFile, SeveralProblems: (`invalid_customer_file`) every problem of the file
            and of its rows.
    """
    problems, rows = list(file.problems), _Rows(file.rows)
    decided = []
    for row in file.rows:
        try:
            decided.append(rows.decide(db, row, now))
        except IssuerError as error:
            problems.append(InvalidCustomerFile.at(row.place, error))
    if problems:
        SeveralProblems.raise_for(problems)
    return tuple(decided)


def carry_out(
    db: Writing, decided: Sequence[RowImport], findings: tuple[Finding, ...], consent: Consent
) -> None:
    """Write the rows that need it, with a journal row for each customer.

    Args:
        findings: those of the whole command, in addition to those of each row.
        consent: the consent to all of them.
    """
    for each in decided:
        accepted, reason = consent.used((*each.findings, *findings)), consent.reason
        if each.update is None:
            customer_changes.record_new(
                db,
                slug=each.customer.slug,
                name=each.customer.name,
                columns=each.columns,
                accepted=accepted,
                reason=reason,
            )
        elif each.update.columns:
            customer_changes.record_update(db, each.update, accepted=accepted, reason=reason)


def _row(
    place: str, line: int, texts: Mapping[str, str], problems: list[InputRefused]
) -> CustomerRow:
    """Return the row of those texts that are valid, and add the problems of the others."""
    values = dict[str, Any]()
    for column, text in texts.items():
        try:
            values[column] = _READERS[column](from_spreadsheet(text))
        except InputRefused as refused:
            problems.append(InvalidCustomerFile.at(f"{place}: {column}", refused))
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


class _Rows:
    """The rows of a file that are decided already, for comparison with the next one."""

    def __init__(self, rows: Sequence[CustomerRow]) -> None:
        self._given = {row.slug for row in rows if row.slug is not None}
        self._slugs: dict[str, str] = {}
        self._names: dict[str, CustomerRow] = {}
        self._index = NameIndex()

    def decide(self, db: Reading, row: CustomerRow, now: datetime) -> RowImport:
        customer = _match(db, row)
        if customer is None:
            return self._new(db, row)
        self._require_first(customer.slug, row)
        changes = _changes(row, customer)
        update = customer_changes.plan_update(db, customer.slug, changes, now=now)
        name = update.columns.get("name")
        findings = () if name is None else self._similar(row, name, update.findings)
        return RowImport(row=row, customer=customer, update=update, findings=findings)

    def _new(self, db: Reading, row: CustomerRow) -> RowImport:
        name = row.columns.get("name")
        if name is None and row.slug is None:
            raise InputRefused("name: the name is missing", hint="give a name, or the slug")
        if name is None:
            raise InputRefused(
                f"name: no customer has the slug {row.slug}, and a new one needs a name",
                hint="give the name, or correct the slug",
            )
        for other in self._index.matches(name) + ([name] if name in self._names else []):
            first = self._names[other]
            if row.slug is None or first.slug is None:
                raise _twice(first.place)
        slug = row.slug or customers.free_slug(db, name, besides=(*self._given, *self._slugs))
        self._require_first(slug, row)
        finding = customer_changes.similar_name_finding(db, name)
        findings = self._similar(row, name, () if finding is None else (finding,))
        columns = {key: value for key, value in row.columns.items() if key != "name"}
        customer = NewCustomer(slug=slug, name=name)
        return RowImport(row=row, customer=customer, columns=columns, findings=findings)

    def _require_first(self, slug: str, row: CustomerRow) -> None:
        """Check that no earlier row is for the customer with this slug."""
        first = self._slugs.setdefault(slug, row.place)
        if first != row.place:
            raise _twice(first)

    def _similar(
        self, row: CustomerRow, name: str, findings: tuple[Finding, ...]
    ) -> tuple[Finding, ...]:
        """Return these findings on a new name, else the one on similar names of earlier rows."""
        same = [name] if name in self._names else []
        alike = [*same, *self._index.matches(name), *self._index.similar(name)]
        self._names.setdefault(name, row)
        self._index.add(name)
        line = f"line {row.line}"
        if findings:
            return tuple(replace(each, message=f"{line}: {each.message}") for each in findings)
        names = [f"{each} (line {self._names[each].line})" for each in dict.fromkeys(alike)]
        hint = "if it is the same customer, remove one of the rows"
        finding = similar_customer(f"{line}: the name {name}", names, hint=hint)
        return () if finding is None else (finding,)


def _match(db: Reading, row: CustomerRow) -> Customer | None:
    """Return the customer of a row, by the slug, else by the name; None for a new one.

    Raises:
        Ambiguous: (`ambiguous`) several customers match.
        InputRefused: the customer is archived, or has another slug than the row.
    """
    customer = None if row.slug is None else customers.by_slug(db, row.slug)
    name = row.columns.get("name")
    if customer is None and name is not None:
        matches = customers.matches(db, name)
        if len(matches) > 1:
            names = [f"{each.slug} ({each.name})" for each in matches]
            raise ambiguous(f"name: several customers match {escape(name)}", names)
        customer = matches[0] if matches else None
        if customer is not None and row.slug is not None:
            raise InputRefused(
                f"slug: {escape(customer.name)} has the slug {customer.slug}, which never changes",
                hint=Hint(
                    "leave the slug empty; for a second customer of this name: ",
                    run("customer", "add", name, "--slug", row.slug),
                ),
            )
    if customer is not None and customer.archived_at is not None:
        raise InputRefused(
            f"{escape(customer.name)} was archived at {dates.instant(customer.archived_at)}",
            hint=Hint("unarchive it first: ", run("customer", "archive", customer.slug, "--undo")),
        )
    return customer


def _changes(row: CustomerRow, customer: Customer) -> dict[str, Any]:
    """Return the columns of a row that differ from those of the customer.

    A cell has no no-break spaces, and no contact twice.
    """
    changes = {**row.columns, "contacts": row.columns.get("contacts", customer.contacts)}
    if changes["contacts"] == tuple(dict.fromkeys(customer.contacts)):
        del changes["contacts"]
    name = changes.get("name")
    # An older file still names a merged customer, with its slug: now an alias of this customer.
    if row.slug != customer.slug or name == plain_spaces(customer.name):
        changes.pop("name", None)
    return changes


def _twice(place: str) -> InputRefused:
    return InputRefused(
        f"the row is for the same customer as {place}", hint="keep one row for each customer"
    )
