"""Rows of an apply file. Each describes a license; terms that it does not name stay as they are.

Each field is read from a TOML value or from the text of a CSV cell, which is trimmed and not empty.
Values that options have, too, are read by `terms.parsing`. `InputRefused` quotes the value, escaped
and shortened, and names the valid form.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from functools import partial
from typing import Any, Final

from polygent_issuer.email_address import split_contacts
from polygent_issuer.errors import InputRefused, InvalidTerms
from polygent_issuer.files.within import inner_parts
from polygent_issuer.findings import FindingCode
from polygent_issuer.home.setting_types import type_name
from polygent_issuer.registry.customers import require_contacts
from polygent_issuer.terms.dates import Term
from polygent_issuer.terms.parsing import (
    DateFormat,
    check_limit,
    parse_count,
    parse_domain,
    parse_expires,
    parse_features,
    parse_name,
    parse_note,
    parse_plan_name,
    parse_term,
    parse_tier,
)
from polygent_issuer.text import Hint, Option, escape, escape_short, nearest
from polygent_issuer.verifier import AllowedDomain, Tier

_LONGEST_REASON: Final = 1_000
_NO_FEATURES: Final = "none"
_NO_BREAKS: Final = "\u00a0\u2007\u202f"
SPACE: Final = f" \t\r\n{_NO_BREAKS}"
"""White space of a cell. Spreadsheets and text copied from web pages have no-break spaces."""
_SPACES: Final = re.compile(f"[{SPACE}]+")
_OTHER_DATE: Final = re.compile("[0-9]{1,2}([-./])[0-9]{1,2}\\1[0-9]{4}")
_FORMS: Final = {
    ".": "'%d.%m.%Y'",
    "-": "'%d-%m-%Y'",
    "/": "'%d/%m/%Y' or '%m/%d/%Y', whichever the file has",
}
# A row's own `accept` may not count, so these stay options of `apply`.
_ALWAYS_OPTIONS: Final = ("accept", "reason")
_ONE_OF_TWO: Final = frozenset({"term", "expires"})


class InvalidApplyFile(InputRefused):
    """The file is neither TOML nor CSV for `apply`, so all of it is refused."""

    code = "invalid_apply_file"


class DuplicateRow(InputRefused):
    """Two rows are for the same customer and machine, so the file is ambiguous."""

    code = "duplicate_row"

    def __init__(self, *places: str) -> None:
        """Name the places of each pair: `licenses.csv, line 2 and licenses.csv, line 7`."""
        super().__init__(
            f"two rows for one license: {'; '.join(places)}",
            hint="keep one row for each customer and machine",
        )


class RowRefused(InputRefused):
    """A row that describes an invalid license; it is the outcome of that row alone."""

    code = "invalid_row"


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """A description of one license; `None` means as now, or the plan's value for a first license.

    Attributes:
        place: its place for messages: `licenses.csv, line 7`, `plan.toml, license 3`.
        customer: a slug or a name, in NFC.
        machine: the label.
        machine_info: a path below the apply file's folder (`within.inner_parts`).
        key: the label or kid of a signing key.
        term: the length of each renewal; `expires` is the end, UTC. A row has at most one of them.
        features: exactly these features; empty for no features.
        contact: the contacts of a new customer.
        accept: the findings that the row accepts; the operator decides whether that counts.
        order_id, note: recorded with a license that is issued; a change of them issues nothing.
    """

    place: str
    customer: str
    machine: str | None = None
    machine_info: str | None = None
    plan: str | None = None
    tier: Tier | None = None
    key: str | None = None
    term: Term | None = None
    expires: datetime | None = None
    users: int | None = None
    session_hosts: int | None = None
    deploy_hosts: int | None = None
    allowed_domain: AllowedDomain | None = None
    features: tuple[str, ...] | None = None
    contact: tuple[str, ...] = ()
    accept: tuple[FindingCode, ...] = ()
    reason: str | None = None
    order_id: str | None = None
    note: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class RefusedRow:
    """A row that is refused.

    Attributes:
        customer: the text of the field `customer`, escaped and shortened; None if it is missing.
        problems: the reasons, safe to print. A message begins with the name of the invalid field
            (`users: …`), unless the row as a whole is invalid.
    """

    place: str
    customer: str | None
    problems: tuple[InputRefused, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Field:
    """The readers of a TOML value and of the text of a cell; both raise `InputRefused`."""

    toml: Callable[[Any], Any]
    cell: Callable[[str], Any]


def _text_field(read: Callable[[str], object]) -> Field:
    return Field(toml=lambda value: read(_text(value)), cell=read)


def _number_field(name: str) -> Field:
    def read(value: object) -> int:
        if type(value) is not int:
            raise InputRefused(
                f"must be a whole number, not {type_name(value)}", hint="write it as 25"
            )
        check_limit(name, value)
        return value

    return Field(toml=read, cell=lambda cell: read(parse_count(cell)))


def _text(value: object) -> str:
    if isinstance(value, str):
        return value
    raise InputRefused(f"must be a text, not {type_name(value)}", hint="write it in quotes")


def _texts(value: object) -> Sequence[str]:
    if not isinstance(value, list):
        raise InputRefused(f"must be a list, not {type_name(value)}", hint='write it as ["a", "b"]')
    return [_text(item) for item in value]


def plain_spaces(text: str) -> str:
    """Return a text with plain spaces in place of no-break spaces."""
    return re.sub(f"[{_NO_BREAKS}]", " ", text)


def _customer(cell: str) -> str:
    return parse_name(plain_spaces(cell))


def _path(written: str) -> str:
    inner_parts(written)
    return written


def _features(cell: str) -> tuple[str, ...]:
    names = _SPACES.split(cell)
    if _NO_FEATURES not in names:
        try:
            return parse_features(names)
        except InvalidTerms as refused:
            hint = f"{refused.hint}; in CSV, separate the names with spaces"
            raise InvalidTerms(refused.message, hint=hint) from None
    if len(names) > 1:
        raise InputRefused(
            f"{_NO_FEATURES!r} cannot be combined with other features",
            hint=f"remove {_NO_FEATURES!r}, or the other features",
        )
    return ()


def _codes(written: Sequence[str]) -> tuple[FindingCode, ...]:
    return tuple(dict.fromkeys(map(_code, written)))


def _code(written: str) -> FindingCode:
    try:
        return FindingCode(written)
    except ValueError:
        near = nearest(written.casefold().replace("_", "-"), FindingCode)
        hint = f"did you mean {near}?" if near else f"use one of {', '.join(FindingCode)}"
        raise InputRefused(f"no such finding: {escape_short(written)}", hint=hint) from None


def _reason(written: str) -> str | None:
    """Read a reason for the journal; a blank one becomes None."""
    if len(written) > _LONGEST_REASON:
        problem = f"longer than {_LONGEST_REASON:,} characters: {escape_short(written)}"
        raise InputRefused(problem, hint=f"shorten it to {_LONGEST_REASON:,} characters")
    if escape(written) != written:
        problem = f"it has unprintable characters: {escape_short(written)}"
        raise InputRefused(problem, hint="write plain text in one line")
    return written.strip() or None


def _contacts(written: Sequence[str]) -> tuple[str, ...]:
    return require_contacts(dict.fromkeys(written))


def _contact_cell(cell: str) -> tuple[str, ...]:
    try:
        return _contacts(split_contacts(cell))
    except InputRefused as refused:
        hint = f"{refused.hint}; separate contacts with semicolons"
        raise InputRefused(refused.message, hint=hint) from None


def _expires(value: object, date_format: DateFormat | None = None) -> datetime:
    """Read a value of TOML, or a text as `--expires` accepts it (FORMAT §6).

    Args:
        date_format: the form of dates in texts; by default ISO dates.
    """
    if isinstance(value, str):
        try:
            return parse_expires(value, date_format)
        except InvalidTerms as refused:
            if date_format is None and _OTHER_DATE.fullmatch(value):
                form = _FORMS[value[-5]]
                hint = f"write it as 2027-11-30, or name the form: --date-format {form}"
                raise InvalidTerms(refused.message, hint=hint) from None
            raise
    if isinstance(value, datetime) and value.tzinfo is None:
        raise InputRefused(
            f"the timestamp lacks a UTC offset: {value.isoformat()}",
            hint="write a date as 2027-11-30, or a timestamp as 2027-11-30T18:00:00Z",
        )
    if isinstance(value, date):
        return parse_expires(value.isoformat())
    raise InputRefused(f"must be a text, not {type_name(value)}", hint="write it in quotes")


FIELDS: Final[Mapping[str, Field]] = {
    "customer": Field(toml=lambda value: parse_name(_text(value)), cell=_customer),
    "machine": _text_field(parse_name),
    "machine_info": _text_field(_path),
    "plan": _text_field(parse_plan_name),
    "tier": _text_field(parse_tier),
    "key": _text_field(parse_name),
    "term": _text_field(parse_term),
    "expires": Field(toml=_expires, cell=_expires),
    "users": _number_field("users"),
    "session_hosts": _number_field("session_hosts"),
    "deploy_hosts": _number_field("deploy_hosts"),
    "allowed_domain": _text_field(parse_domain),
    "features": Field(toml=lambda value: parse_features(_texts(value)), cell=_features),
    "contact": Field(
        toml=lambda value: _contacts([value] if isinstance(value, str) else _texts(value)),
        cell=_contact_cell,
    ),
    "accept": Field(
        toml=lambda value: _codes(_texts(value)), cell=lambda cell: _codes(_SPACES.split(cell))
    ),
    "reason": _text_field(_reason),
    "order_id": _text_field(parse_name),
    "note": _text_field(parse_note),
}
"""The fields by name, which is that of the long option with underscores."""


def fields_with(date_format: DateFormat | None) -> Mapping[str, Field]:
    """Return the readers of a file whose dates have this form; None for ISO dates."""
    read = partial(_expires, date_format=date_format)
    return {**FIELDS, "expires": Field(toml=read, cell=read)}


_FIELD_OF_OPTION: Final = {
    **{f"--{name.replace('_', '-')}": name for name in FIELDS if name not in _ALWAYS_OPTIONS},
    "--label": "machine",
    "--feature": "features",
}


def in_fields(hint: str | None) -> str | None:
    """Return a hint with fields in place of options; complete commands stay as they are."""
    return hint.with_options(_field) if isinstance(hint, Hint) else hint


def read_row(
    place: str,
    written: Mapping[str, Any],
    *,
    cells: bool,
    defaults: Mapping[str, Any],
    fields: Mapping[str, Field] = FIELDS,
) -> Row | RefusedRow:
    """Return the row of these values, or the problems of all of them.

    Args:
        place: its place for messages.
        written: the values by names of `FIELDS`, without empty ones.
        cells: whether they come from CSV, else from TOML.
        defaults: values, already read, of fields that are not written.
        fields: the readers.
    """
    values: dict[str, Any] = {}
    problems: list[tuple[str | None, InputRefused]] = []
    for name, value in written.items():
        try:
            values[name] = fields[name].cell(value) if cells else fields[name].toml(value)
        except InputRefused as refused:
            problems.append((name, refused))
    if "customer" not in {**written, **defaults}:
        missing = InputRefused("the customer is missing", hint="give a slug or a name")
        problems.append(("customer", missing))
    if "term" in written and "expires" in written:
        problems.append(("expires", contradiction()))
    if problems:
        return refuse(place, written, *problems)
    if not _ONE_OF_TWO.isdisjoint(values):  # a term or expiry of the row overrides both defaults
        defaults = {name: each for name, each in defaults.items() if name not in _ONE_OF_TWO}
    return Row(place=place, **{**defaults, **values})


def refuse(
    place: str, written: Mapping[str, Any], *problems: tuple[str | None, InputRefused]
) -> RefusedRow:
    """Return a refused row with its problems, each after the name of its field."""
    customer = written.get("customer")
    return RefusedRow(
        place=place,
        customer=escape_short(customer) if isinstance(customer, str) else None,
        problems=tuple(
            InputRefused(
                f"{field}: {why.message}" if field else why.message, hint=in_fields(why.hint)
            )
            for field, why in problems
        ),
    )


def contradiction() -> InputRefused:
    """Return the error for a row with both a term and an expiry."""
    return InputRefused("term and expires contradict each other", hint="give one of them")


def field_name(written: str) -> str:
    """Return the name of a field as it is written in a file: `contacts` is `contact`."""
    return "contact" if written == "contacts" else written


def suggested_field(name: str, known: tuple[str, ...] = tuple(FIELDS)) -> str | None:
    """Return the field that is most similar to an unknown name."""
    return nearest(name.strip().casefold().replace("-", "_").replace(" ", "_"), known)


def unknown_field(
    place: str, name: str, known: tuple[str, ...] = tuple(FIELDS)
) -> InvalidApplyFile:
    """Return the error for a file with an unknown field or column."""
    near = suggested_field(name, known)
    return InvalidApplyFile(
        f"{place}: unknown field {escape_short(name)}",
        hint=f"did you mean {near}?" if near else f"fields are {', '.join(known)}",
    )


def _field(option: Option) -> str:
    if option.name == "--remove-feature" and option.value:
        return f"features without {option.value}"
    name = _FIELD_OF_OPTION.get(option.name, option.name)
    return f"{name} {option.value}" if option.value else name
