"""Rows of a TOML file: `[defaults]`, and a `[[license]]` for each."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from polygent_issuer.batch.errors import InvalidApplyFile
from polygent_issuer.batch.row_fields import FIELDS
from polygent_issuer.batch.rows import RefusedRow, Row, contradiction, read_row, unknown_field
from polygent_issuer.batch.toml_documents import LICENSE, Document, TomlDocuments
from polygent_issuer.errors import InputRefused
from polygent_issuer.text import brief, nearest

_DEFAULTS: Final = "defaults"
_TABLES: Final = (_DEFAULTS, LICENSE)
_OF_ONE_LICENSE: Final = ("customer", "machine", "machine_info", "accept", "reason")
_FILLABLE: Final = tuple(name for name in FIELDS if name not in _OF_ONE_LICENSE)


class TomlRows:
    """A TOML file without a name that nobody knows, and whose defaults are in order."""

    def __init__(self, name: str, data: bytes) -> None:
        """Read it once, for what is wrong with it as a whole.

        Args:
            name: what people call the file.
            data: its bytes.

        Raises:
            InvalidApplyFile: (`invalid_apply_file`) when it is no TOML, or has other tables or
                names than those of rows and defaults, or defaults that no row can have.
            UnicodeDecodeError: when it is not UTF-8.
        """
        self._name = name
        self._documents = TomlDocuments(name, data)
        self._defaults = self._read_defaults(self._documents.judged(self._judge))

    def __iter__(self) -> Iterator[Row | RefusedRow]:
        """Each row, in the file's order."""
        number = 0
        for document in self._documents:
            for table in document.get(LICENSE, ()):
                number += 1
                yield read_row(
                    self._place(number), _said(table), cells=False, defaults=self._defaults
                )

    def _place(self, number: int) -> str:
        return f"{self._name}, license {number}"

    def _judge(self, documents: Iterable[Document]) -> object:
        """Refuse names that nobody knows; returns the defaults as they stand there."""
        defaults: object = {}
        number = 0
        for document in documents:
            self._judge_tables(document)
            defaults = document.get(_DEFAULTS, defaults)
            for table in document.get(LICENSE, ()):
                number += 1
                self._judge_names(table, number)
        return defaults

    def _judge_tables(self, document: Document) -> None:
        for table in document:
            if table not in _TABLES:
                near = nearest(table.casefold(), _TABLES)
                hint = f"did you mean {near}?" if near else "there are [defaults] and [[license]]"
                raise InvalidApplyFile(f"{self._name}: there is no table {brief(table)}", hint=hint)
        if not isinstance(document.get(LICENSE, []), list):
            raise self._not_written_as("[[license]]")

    def _judge_names(self, table: object, number: int) -> None:
        if not isinstance(table, dict):
            raise self._not_written_as("[[license]]")
        for name in table:
            if name not in FIELDS:
                raise unknown_field(self._place(number), name)

    def _read_defaults(self, table: object) -> Mapping[str, Any]:
        place = f"{self._name}, {_DEFAULTS}"
        if not isinstance(table, dict):
            raise self._not_written_as(f"[{_DEFAULTS}]")
        for name in table:
            if name in _OF_ONE_LICENSE:
                raise InvalidApplyFile(
                    f"{place}: {name} is no default", hint="give it in each [[license]]"
                )
            if name not in _FILLABLE:
                raise unknown_field(place, name, _FILLABLE)
        read = {name: _default(place, name, value) for name, value in _said(table).items()}
        if "term" in read and "expires" in read:
            both = contradiction()
            raise InvalidApplyFile(f"{place}: {both.message}", hint=both.hint)
        return read

    def _not_written_as(self, header: str) -> InvalidApplyFile:
        return InvalidApplyFile(
            f"{self._name}: {header.strip('[]')} is not written as {header}",
            hint="this stands in a line of its own, the fields below it",
        )


def _said(table: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in table.items() if value != ""}


def _default(place: str, name: str, value: object) -> object:
    try:
        return FIELDS[name].toml(value)
    except InputRefused as refused:
        raise InvalidApplyFile(f"{place}: {name}: {refused.message}", hint=refused.hint) from None
