"""`polygent-issue config show`: each setting, and where it comes from."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from polygent_issuer.cli.completion import candidates
from polygent_issuer.cli.context import Invocation
from polygent_issuer.cli.options.common import argument
from polygent_issuer.cli.output.model import Block, Line, Table
from polygent_issuer.cli.output.result import Result
from polygent_issuer.home.settings import Entry, Where, settings_path


@dataclass(frozen=True, kw_only=True, slots=True)
class Configuration(Result):
    """The settings in force."""

    path: Path
    entries: tuple[Entry, ...]

    def to_json(self) -> Mapping[str, Any]:
        """`settings` by dotted key: value, origin, and which file or variable that is."""
        return {"path": str(self.path), "settings": entries_json(self.entries)}

    def blocks(self) -> Iterable[Block]:
        """A table, and the file that it is of."""
        yield Line(f"settings file: {self.path}", "dim")
        if not self.entries:
            yield Line("nothing is set there", "dim")
            return
        yield Table(
            ("setting", "from", "value"),
            tuple((each.key, _origin(each), display_value(each.value)) for each in self.entries),
            tuple(
                "dim" if each.origin.where is Where.DEFAULT else "plain" for each in self.entries
            ),
        )


def show(
    invocation: Invocation,
    key: Annotated[
        str | None,
        argument("[KEY]", "Only this one, or only plans.trial.", complete=candidates.settings),
    ] = None,
) -> Configuration:
    """Show the settings in force and where each comes from.

    The environment counts more than the file, the file more than the default.
    """
    path, loaded = settings_path(invocation.home), invocation.loaded
    entries = loaded.entries if key is None else loaded.entries_of(key)
    return Configuration(path=path, entries=entries)


def entries_json(entries: Iterable[Entry]) -> dict[str, Any]:
    """Settings for programs, by dotted key."""
    return {
        entry.key: {
            "value": entry.value,
            "origin": str(entry.origin.where),
            "detail": entry.origin.detail or None,
        }
        for entry in entries
    }


def display_value(value: str | None) -> str:
    """A value as people read it; an empty one is an empty list."""
    return "not set" if value is None else value or "none"


def _origin(entry: Entry) -> str:
    where = entry.origin.where
    return entry.origin.detail if where is Where.ENVIRONMENT else str(where)
