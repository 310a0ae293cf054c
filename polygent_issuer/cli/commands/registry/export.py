"""`polygent-issue registry export`: the current licenses as rows that `apply` reads."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from polygent_issuer import files
from polygent_issuer.batch import export as exporting
from polygent_issuer.cli.context import Invocation
from polygent_issuer.cli.options.common import option
from polygent_issuer.cli.output import result
from polygent_issuer.cli.output.files import STDOUT
from polygent_issuer.cli.output.model import Block, Line
from polygent_issuer.cli.output.result import Result
from polygent_issuer.errors import OutputExists, UsageProblem
from polygent_issuer.files import disk


@dataclass(frozen=True, kw_only=True, slots=True)
class RegistryExport(Result):
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


def export(
    invocation: Invocation,
    *,
    to: Annotated[
        str | None, option("--output", "FILE|DIR", "Where it goes; else stdout.", short="-o")
    ] = None,
) -> RegistryExport:
    """Write the current licenses as TOML that apply reads: a row for each customer and machine.

    Terms are read from the signed files. Customers that are archived are left out. The file is
    confidential, and nothing is written over.
    """
    if to == STDOUT and invocation.as_json:
        raise UsageProblem("--json and --output - both want stdout", hint="--output FILE")
    with invocation.registry.reading() as db:
        rows = tuple(exporting.rows(db))
    path = None
    in_json = to is None and invocation.as_json
    if not in_json:
        registry_id = invocation.registry.id
        toml = b"".join(exporting.toml(rows, now=invocation.now, registry_id=registry_id))
        if to is None or to == STDOUT:
            result.write_bytes(toml)
        else:
            path = _write_file(Path(to).absolute(), toml)
    counts = Counter((row["customer"], row.get("machine")) for row in rows)
    for (customer, machine), count in counts.items():
        if count > 1:
            what = "without a machine" if machine is None else f"for the machine {machine}"
            invocation.warn(
                f"{customer} has {count} current licenses {what}; apply cannot tell which of them "
                f"a row means that is changed: polygent-issue customer show {customer}"
            )
    return RegistryExport(path=path, count=len(rows), rows=rows if in_json else None)


def _write_file(target: Path, toml: bytes) -> Path:
    try:
        return files.write_private(toml, target / _NAME if disk.is_folder(target) else target)
    except OutputExists as exists:
        raise OutputExists(exists.message, hint="name another file with --output") from None
