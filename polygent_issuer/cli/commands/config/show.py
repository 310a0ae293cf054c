"""`polygent-issue config show`: each setting, and where it comes from."""

from collections.abc import Iterable
from typing import Annotated, Any

from polygent_issuer.cli.completion import candidates
from polygent_issuer.cli.context import Invocation
from polygent_issuer.cli.options.common import argument
from polygent_issuer.cli.output.model import Block, Line, Table
from polygent_issuer.cli.output.result import Report
from polygent_issuer.home.settings import Entry, Where, settings_path


def show(
    invocation: Invocation,
    key: Annotated[
        str | None, argument("[KEY]", "Only this one, or only plans.trial.", candidates.settings)
    ] = None,
) -> Report:
    """Show the settings in force and where each comes from.

    The environment counts more than the file, the file more than the default.
    """
    path, loaded = settings_path(invocation.home), invocation.loaded
    entries = tuple(loaded.entries.values()) if key is None else loaded.entries_of(key)
    members = {"path": str(path), "settings": entries_json(entries)}
    return Report(members, [Line(f"settings file: {path}", "dim"), _table(entries)])


def entries_json(entries: Iterable[Entry]) -> dict[str, Any]:
    """Settings for programs, by dotted key."""
    return {
        entry.key: {
            "value": entry.value,
            "origin": str(entry.where),
            "detail": entry.detail or None,
        }
        for entry in entries
    }


def _table(entries: tuple[Entry, ...]) -> Block:
    if not entries:
        return Line("nothing is set there", "dim")
    return Table(
        ("setting", "from", "value"),
        tuple((each.key, _origin(each), display_value(each.value)) for each in entries),
        tuple("dim" if each.where is Where.DEFAULT else "plain" for each in entries),
    )


def display_value(value: str | None) -> str:
    """A value as people read it; an empty one is an empty list."""
    return "not set" if value is None else value or "none"


def _origin(entry: Entry) -> str:
    return entry.detail if entry.where is Where.ENVIRONMENT else str(entry.where)
