"""How an export looks."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from polygent_issuer.cli.blocks import Block, Line
from polygent_issuer.cli.output import Result


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
