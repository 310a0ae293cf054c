"""`polygent-issue config path`: where the settings are."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from polygent_issuer.cli.context import Invocation
from polygent_issuer.cli.output.model import Block, Line
from polygent_issuer.cli.output.result import Result
from polygent_issuer.home.settings import settings_path


@dataclass(frozen=True, kw_only=True, slots=True)
class SettingsPath(Result):
    """The path of the settings file, which need not exist."""

    path: Path

    def to_json(self) -> Mapping[str, Any]:
        """`path`."""
        return {"path": str(self.path)}

    def blocks(self) -> Iterable[Block]:
        """The path alone."""
        yield Line(str(self.path))


def path(invocation: Invocation) -> SettingsPath:
    """Print the path of the settings file, to be opened in an editor."""
    return SettingsPath(path=settings_path(invocation.home))
