"""`polygent-issue registry export`: the current licenses as rows that `apply` reads."""

import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Annotated, Any

import typer

from polygent_issuer import files
from polygent_issuer.batch import export as exporting
from polygent_issuer.cli import streaming
from polygent_issuer.cli.context import Invocation
from polygent_issuer.cli.kept import Kept
from polygent_issuer.cli.registry.export_view import Exported
from polygent_issuer.cli.written import STDOUT
from polygent_issuer.errors import OutputExists, UsageProblem
from polygent_issuer.text import shown

_IN_MEMORY = 1024 * 1024
_NAME = "licenses.toml"

Key = tuple[str, str | None]


@dataclass(slots=True)
class _Seen:
    """How many rows went by; `more` of a key that others before them had, which are adjacent."""

    count: int = 0
    last: Key | None = None
    more: Counter[Key] = field(default_factory=Counter)

    def note(self, key: Key) -> None:
        """Count a row."""
        if key == self.last:
            self.more[key] += 1
        self.count, self.last = self.count + 1, key


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
    seen = _Seen()
    if to is None and invocation.as_json:
        rows = Kept(_rows(invocation, seen))
        _warn(invocation, seen)
        return Exported(path=None, count=seen.count, rows=rows)
    path = None if to in (None, STDOUT) else _to_file(invocation, Path(str(to)).absolute(), seen)
    if path is None:
        _to_stdout(invocation, seen)
    _warn(invocation, seen)
    return Exported(path=path, count=seen.count)


def _rows(invocation: Invocation, seen: _Seen) -> Iterator[Mapping[str, Any]]:
    with invocation.registry.reading() as db:
        for row in exporting.rows(db):
            seen.note((row["customer"], row.get("machine")))
            yield row


def _write(invocation: Invocation, stream: IO[bytes], seen: _Seen) -> None:
    registry_id = invocation.registry.id
    rows = _rows(invocation, seen)
    stream.writelines(exporting.toml(rows, now=invocation.now, registry_id=registry_id))


def _to_file(invocation: Invocation, target: Path, seen: _Seen) -> Path:
    path = target / _NAME if target.is_dir() else target

    def fill(temp: Path) -> None:
        with temp.open("r+b") as stream:
            _write(invocation, stream, seen)

    try:
        return files.prepare_with(fill, path).publish(path.name)
    except OutputExists:
        raise OutputExists(
            f"{shown(str(path))} exists already", hint="name another file with --output"
        ) from None


def _to_stdout(invocation: Invocation, seen: _Seen) -> None:
    # Whoever reads stdout may take his time, and the registry shall not wait for him.
    with tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY) as spooled:
        _write(invocation, spooled, seen)
        spooled.seek(0)
        for chunk in iter(lambda: spooled.read(_IN_MEMORY), b""):
            streaming.write_bytes(chunk)


def _warn(invocation: Invocation, seen: _Seen) -> None:
    for (customer, machine), more in seen.more.items():
        what = "without a machine" if machine is None else f"for the machine {machine}"
        invocation.warn(
            f"{customer} has {more + 1} current licenses {what}; apply cannot tell which of them a "
            f"row means that is changed: polygent-issue customer show {customer}"
        )
