"""How a setting looks that was changed."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from polygent_issuer.cli.blocks import Block, Line
from polygent_issuer.cli.config.show import told
from polygent_issuer.cli.output import Result


@dataclass(frozen=True, kw_only=True, slots=True)
class Changed(Result):
    """One setting, before and after.

    Attributes:
        old: as the file and the defaults had it; `None` when nothing was set.
        mended: the file could not be read before.
    """

    path: Path
    key: str
    old: str | None
    new: str | None
    mended: bool

    def to_json(self) -> Mapping[str, Any]:
        """`key`, `old` and `new`."""
        return {"path": str(self.path), "key": self.key, "old": self.old, "new": self.new}

    def blocks(self) -> Iterable[Block]:
        """Old → new."""
        new = told(self.new)
        if self.mended:
            yield Line(f"{self.key}: {new} (the file could not be read before)", "good")
        elif self.old == self.new:
            yield Line(f"{self.key}: {new}, as before", "dim")
        else:
            yield Line(f"{self.key}: {told(self.old)} → {new}", "good")
