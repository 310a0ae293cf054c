"""Public documents and lists as CSV (RFC 4180), written to a file or to stdout.

Names of customers and machines come from others, so the CSV is escaped: a spreadsheet runs no
formula in it (CWE-1236), and each row has one line. Columns have the names of the JSON members. A
file begins with a UTF-8 BOM, without which Excel reads it in the system's code page.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from io import TextIOWrapper
from pathlib import Path
from typing import Annotated, Any, Final, TextIO

from polygent_issuer.cli.context import Invocation
from polygent_issuer.cli.options.common import OptionGroup, flag, option
from polygent_issuer.cli.output import result
from polygent_issuer.cli.output.blocks import Line
from polygent_issuer.cli.output.result import OwnFormat, Report, Result
from polygent_issuer.errors import ExitCode, OutputExists, UsageProblem
from polygent_issuer.files import disk, publication
from polygent_issuer.text import for_spreadsheet

STDOUT = "-"

OutputFile = Annotated[
    str | None,
    option("--output", "FILE|DIR", "Write to this new file or folder, not to stdout.", short="-o"),
]
BOM: Final = "\ufeff"


def write(
    invocation: Invocation, data: bytes, to: str | None, *, name: str, option: str = "--output"
) -> Path | None:
    """Write a document to a new file or to stdout; with `--json` and no `to` it is in the JSON.

    Args:
        invocation: of the command.
        data: the document.
        to: a file, a folder, or `-`; None is stdout.
        name: of the file when `to` is a folder.
        option: the one that names it, for hints.

    Raises:
        UsageProblem: (`usage`) when `--json` and `-` both use stdout.
        OutputProblem: (`output_exists`, `output_failed`) when it cannot be written.
    """
    if to == STDOUT and invocation.as_json:
        raise UsageProblem(f"--json and {option} - both use stdout", hint=f"{option} FILE")
    if to is None and invocation.as_json:
        return None
    if to in (None, STDOUT):
        result.write_bytes(data)
        return None
    with new_file(str(to), name, option) as path:
        return publication.publish(data, path)


@contextmanager
def new_file(to: str, name: str, option: str = "--output") -> Iterator[Path]:
    """Yield the path of a new file, which is `name` in a folder; errors suggest another `option`.

    Raises:
        OutputProblem: (`output_exists`, `output_failed`) the folder is missing, or the file exists.
    """
    target = Path(to).absolute()
    path = target / name if disk.is_folder(target) else target
    elsewhere = f"choose another file with {option}"
    publication.require_folder(path.parent, elsewhere)
    try:
        yield path
    except OutputExists as exists:
        raise OutputExists(exists.message, hint=elsewhere) from None


@dataclass(frozen=True, kw_only=True, slots=True)
class CsvOptions(OptionGroup):
    """`--csv`, and the file for it."""

    csv: bool = flag("--csv", "Write CSV for a spreadsheet to stdout or --output.")
    to: str | None = option(
        "--output", "FILE|DIR", "Write the CSV to this new file or folder.", short="-o"
    )

    def asked(self, invocation: Invocation) -> bool:
        """Return whether to write CSV; `UsageProblem` if JSON goes to stdout, too."""
        if self.to is not None and not self.csv:
            raise UsageProblem("--output needs --csv", hint="add --csv")
        if self.csv and invocation.as_json and self.to in (None, STDOUT):
            raise UsageProblem(
                "--csv and --json both use stdout", hint="give one of them, or --output FILE"
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

        def write_to_stdout(stream: TextIO) -> ExitCode:
            write_csv(stream, columns, items)
            return exit_code

        if self.to in (None, STDOUT):
            return OwnFormat(write_to_stdout)
        with new_file(str(self.to), name) as path:
            fill = partial(write_csv_file, columns=columns, items=items)
            publication.prepare_with(fill, path).publish(path.name)
        return Report({"file": str(path)}, (Line(f"wrote {path}"),), exit_code)


def write_csv(stream: TextIO, columns: Sequence[str], items: Iterable[Mapping[str, Any]]) -> None:
    """Write the members of each item that are columns, in UTF-8 with CR LF on any stream."""
    if isinstance(stream, TextIOWrapper):
        stream.reconfigure(encoding="utf-8", newline="")
    import csv

    rows = csv.writer(stream, quoting=csv.QUOTE_NONNUMERIC, lineterminator="\r\n")
    rows.writerow(columns)
    rows.writerows([_cell(item[name]) for name in columns] for item in items)
    stream.flush()


def write_csv_file(path: Path, columns: Sequence[str], items: Iterable[Mapping[str, Any]]) -> None:
    """Write a file as `write_csv` does, with a BOM."""
    with path.open("w", encoding="utf-8", newline="") as stream:
        stream.write(BOM)
        write_csv(stream, columns, items)


def _cell(value: object) -> str | int:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int):
        return value
    if isinstance(value, list):
        return for_spreadsheet("; ".join(map(str, value)))
    if isinstance(value, dict):
        import json

        return for_spreadsheet(json.dumps(value, ensure_ascii=False))
    return "" if value is None else for_spreadsheet(str(value))
