"""Lists as CSV (RFC 4180), for a spreadsheet that runs nothing of what they hold.

Names of customers and machines come from others. A cell that a spreadsheet would take for a formula
(CWE-1236) gets an apostrophe before it, and every text is quoted; whatever steers a terminal is
escaped, so a cell has one line. Where the comma is the decimal sign, a spreadsheet takes the
semicolon for the separator and parts our quoted cells at it, so what follows one is held to the
same. Columns have the names of the JSON members.
"""

import csv
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from io import TextIOWrapper
from typing import Annotated, Any, TextIO

import typer

from polygent_issuer.cli.context import Invocation
from polygent_issuer.cli.options import OptionGroup
from polygent_issuer.cli.output import Result
from polygent_issuer.errors import UsageProblem
from polygent_issuer.text import for_spreadsheet


@dataclass(frozen=True, kw_only=True, slots=True)
class CsvOptions(OptionGroup):
    """`--csv`."""

    csv: Annotated[bool, typer.Option("--csv", help="CSV on stdout, for a spreadsheet.")] = False

    def asked(self, invocation: Invocation) -> bool:
        """Whether CSV is wanted.

        Raises:
            UsageProblem: (`usage`) when JSON is, too.
        """
        if self.csv and invocation.as_json:
            raise UsageProblem("--csv and --json both want stdout", hint="give one")
        return self.csv


@dataclass(frozen=True, kw_only=True, slots=True)
class CsvTable(Result):
    """A list as CSV.

    Attributes:
        columns: the names of the header, members of each item.
        items: as programs get them; what a column does not name is left out.
    """

    columns: tuple[str, ...]
    items: Iterable[Mapping[str, Any]]

    @property
    def writes_itself(self) -> bool:
        """It does."""
        return True

    def write(self, stream: TextIO) -> None:
        """Write it, a row at a time: UTF-8 and CR LF, whatever the stream had for the screen.

        Raises:
            OSError, ValueError: when the stream takes no more.
        """
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(encoding="utf-8", newline="")
        rows = csv.writer(stream, quoting=csv.QUOTE_NONNUMERIC, lineterminator="\r\n")
        rows.writerow(self.columns)
        rows.writerows([_cell(item[name]) for name in self.columns] for item in self.items)
        stream.flush()


def _cell(value: object) -> str | int:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int):
        return value
    if isinstance(value, list):
        return for_spreadsheet("; ".join(map(str, value)))
    if isinstance(value, dict):
        return for_spreadsheet(json.dumps(value, ensure_ascii=False))
    return "" if value is None else for_spreadsheet(str(value))
