"""Lists as CSV (RFC 4180), escaped so that a spreadsheet runs no formula in them.

Names of customers and machines come from others. A cell that a spreadsheet would take for a formula
(CWE-1236) gets an apostrophe before it, also after a semicolon, at which some part quoted cells;
whatever steers a terminal is escaped, so a cell has one line. Columns have the names of the JSON
members. A file begins with a UTF-8 BOM, without which Excel reads it in the system's code page.
"""

import csv
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from io import TextIOWrapper
from pathlib import Path
from typing import Annotated, Any, Final, TextIO

import typer

from polygent_issuer import files
from polygent_issuer.cli.context import Invocation
from polygent_issuer.cli.options.common import OptionGroup
from polygent_issuer.cli.output.files import STDOUT, new_file
from polygent_issuer.cli.output.model import Line
from polygent_issuer.cli.output.result import Report, Result
from polygent_issuer.errors import ExitCode, UsageProblem
from polygent_issuer.text import for_spreadsheet

BOM: Final = "\ufeff"


@dataclass(frozen=True, kw_only=True, slots=True)
class CsvOptions(OptionGroup):
    """`--csv`, and the file for it."""

    csv: Annotated[
        bool, typer.Option("--csv", help="Write CSV for a spreadsheet to stdout or --output.")
    ] = False
    to: Annotated[
        str | None,
        typer.Option(
            "--output", "-o", metavar="FILE|DIR", help="Write the CSV to this new file or folder."
        ),
    ] = None

    def asked(self, invocation: Invocation) -> bool:
        """Return whether to write CSV; `UsageProblem` if JSON goes to stdout, too."""
        if self.to is not None and not self.csv:
            raise UsageProblem("--output needs --csv", hint="add --csv")
        if self.csv and invocation.as_json and self.to in (None, STDOUT):
            raise UsageProblem(
                "--csv and --json both use stdout",
                hint="give one of them, or --output FILE",
            )
        return self.csv

    def table(
        self,
        columns: tuple[str, ...],
        items: Iterable[Mapping[str, Any]],
        *,
        name: str,
        exit_code: ExitCode = ExitCode.DONE,
    ) -> Result:
        """Return the table for stdout, or write it to the file of `--output`, or `name` in there.

        Raises:
            OutputProblem: (`output_exists`, `output_failed`) when it cannot be written.
        """
        table = CsvTable(columns=columns, items=items, exit_code=exit_code)
        if self.to in (None, STDOUT):
            return table
        with new_file(str(self.to), name) as path:
            files.prepare_with(table.write_file, path).publish(path.name)
        return Report({"file": str(path)}, (Line(f"wrote {path}"),), exit_code)


@dataclass(frozen=True, kw_only=True, slots=True)
class CsvTable(Result):
    """A list as CSV: the members of each JSON item that are columns."""

    columns: tuple[str, ...]
    items: Iterable[Mapping[str, Any]]
    exit_code: ExitCode = ExitCode.DONE

    writes_itself = True

    def write(self, stream: TextIO) -> None:
        """Write the table in UTF-8 with CR LF, whatever the encoding of the stream was."""
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(encoding="utf-8", newline="")
        rows = csv.writer(stream, quoting=csv.QUOTE_NONNUMERIC, lineterminator="\r\n")
        rows.writerow(self.columns)
        rows.writerows([_cell(item[name]) for name in self.columns] for item in self.items)
        stream.flush()

    def write_file(self, path: Path) -> None:
        """Write the table to a file, with a BOM."""
        with path.open("w", encoding="utf-8", newline="") as stream:
            stream.write(BOM)
            self.write(stream)


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
