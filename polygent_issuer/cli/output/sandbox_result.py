"""The end of `polygent-issue sandbox`."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from polygent_issuer.cli.output.model import Block, Line
from polygent_issuer.cli.output.result import Result


@dataclass(frozen=True, kw_only=True, slots=True)
class Stopped(Result):
    """The sandbox has come to its end; nothing of it is left."""

    url: str

    @property
    def in_lines(self) -> bool:
        """The address was a line before."""
        return True

    def to_json(self) -> Mapping[str, Any]:
        """That it has."""
        return {"stopped": self.url}

    def blocks(self) -> Iterable[Block]:
        """That it has."""
        yield Line("the sandbox has ended, and nothing of it is left", "dim")
