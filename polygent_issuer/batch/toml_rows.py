"""Rows of a TOML file: `[defaults]`, and a `[[license]]` for each."""

import tomllib
from collections.abc import Mapping
from typing import Any, Final

from polygent_issuer.batch.errors import InvalidApplyFile
from polygent_issuer.batch.row_fields import FIELDS, in_fields
from polygent_issuer.batch.rows import RefusedRow, Row, contradiction, read_row, unknown_field
from polygent_issuer.errors import InputRefused
from polygent_issuer.text import backslash_hint, escape_short, nearest

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
        InvalidApplyFile: (`invalid_apply_file`) when it is not TOML, has an unknown table or field,
            or a default that no row can have.
        UnicodeDecodeError: when it is not UTF-8.
    """
    document = _parse(name, data.decode().removeprefix(_MARK))
    for table in document:
        if table not in _TABLES:
            near = nearest(table.casefold(), _TABLES)
            hint = f"did you mean {near}?" if near else "there are [defaults] and [[license]]"
            raise InvalidApplyFile(f"{name}: there is no table {escape_short(table)}", hint=hint)
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
    except ValueError as error:  # a number of thousands of digits is no TOMLDecodeError
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
                f"{place}: {field} is no default", hint="give it in each [[license]]"
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
        hint="this stands in a line of its own, the fields below it",
    )


def _non_empty(table: Mapping[str, Any]) -> dict[str, Any]:
    return {field: value for field, value in table.items() if value != ""}


def _default(place: str, field: str, value: object) -> object:
    try:
        return FIELDS[field].toml(value)
    except InputRefused as refused:
        message = f"{place}: {field}: {refused.message}"
        raise InvalidApplyFile(message, hint=in_fields(refused.hint)) from None
