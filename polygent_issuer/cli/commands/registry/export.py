"""`polygent-issue registry export`: the current licenses as rows that `apply` reads."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from polygent_issuer import files
from polygent_issuer.batch import export as exporting
from polygent_issuer.cli.context import Invocation
from polygent_issuer.cli.output import streams
from polygent_issuer.cli.output.files import STDOUT
from polygent_issuer.cli.output.model import Block, Line
from polygent_issuer.cli.output.result import Result
from polygent_issuer.errors import OutputExists, UsageProblem
from polygent_issuer.text import escape


@dataclass(frozen=True, kw_only=True, slots=True)
class Exported(Result):
    """What was exported; `rows` only where stdout is to carry them as JSON."""

    path: Path | None
    count: int
    rows: tuple[Mapping[str, Any], ...] | None = None

    @property
    def text_to_stderr(self) -> bool:
        """Stdout carries the TOML."""
        return self.path is None

    def to_json(self) -> Mapping[str, Any]:
        """The `licenses`, or the `file` that they are in, and their `count`."""
        if self.rows is not None:
            return {"licenses": iter(self.rows), "count": self.count}
        return {"file": str(self.path), "count": self.count}

    def blocks(self) -> Iterable[Block]:
        """How many, and where."""
        where = "stdout" if self.path is None else str(self.path)
        noun = "license" if self.count == 1 else "licenses"
        yield Line(f"exported {self.count} current {noun} to {where}", "good")


_NAME = "licenses.toml"

Row = Mapping[str, Any]


def export(
    invocation: Invocation,
    *,
    to: Annotated[
        str | None,
        typer.Option("--output", "-o", metavar="FILE|DIR", help="Where it goes; else stdout."),
    ] = None,
) -> Exported:
    """Write the current licenses as TOML that apply reads: a row for each customer and machine.

    Terms are read from the signed files. Customers that are archived are left out. The file is
    confidential, and nothing is written over.
    """
    if to == STDOUT and invocation.as_json:
        raise UsageProblem("--json and --output - both want stdout", hint="--output FILE")
    with invocation.registry.reading() as db:
        rows = tuple(exporting.rows(db))
    if to is None and invocation.as_json:
        exported = Exported(path=None, count=len(rows), rows=rows)
    else:
        toml = exporting.toml(rows, now=invocation.now, registry_id=invocation.registry.id)
        path = None
        if to in (None, STDOUT):
            streams.write_bytes(b"".join(toml))
        else:
            path = _to_file(Path(str(to)).absolute(), toml)
        exported = Exported(path=path, count=len(rows))
    _warn(invocation, rows)
    return exported


def _to_file(target: Path, toml: Iterable[bytes]) -> Path:
    path = target / _NAME if target.is_dir() else target

    def fill(temp: Path) -> None:
        with temp.open("r+b") as stream:
            stream.writelines(toml)

    try:
        return files.prepare_with(fill, path).publish(path.name)
    except OutputExists:
        raise OutputExists(
            f"{escape(str(path))} exists already", hint="name another file with --output"
        ) from None


def _warn(invocation: Invocation, rows: Iterable[Row]) -> None:
    counts = Counter((row["customer"], row.get("machine")) for row in rows)
    for (customer, machine), count in counts.items():
        if count == 1:
            continue
        what = "without a machine" if machine is None else f"for the machine {machine}"
        invocation.warn(
            f"{customer} has {count} current licenses {what}; apply cannot tell which of them a "
            f"row means that is changed: polygent-issue customer show {customer}"
        )
