"""`polygent-issue config show`: show the settings and the source of each."""

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
        str | None,
        argument(
            "[KEY]", "Show only this setting, or a group such as plans.trial.", candidates.settings
        ),
    ] = None,
) -> Report:
    """Show the settings and the source of each.

    The environment overrides the file, and the file overrides the defaults.
    """
    path, loaded = settings_path(invocation.home), invocation.loaded
    entries = tuple(loaded.entries.values()) if key is None else loaded.entries_of(key)
    members = {"path": str(path), "settings": entries_json(entries)}
    return Report(members, [Line(f"settings file: {path}", "dim"), _table(entries)])


def entries_json(entries: Iterable[Entry]) -> dict[str, Any]:
    """Return the JSON members of settings by dotted key."""
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
        return Line("no such setting is set", "dim")
    return Table(
        ("setting", "from", "value"),
        tuple((each.key, _origin(each), _cell(each)) for each in entries),
        tuple("dim" if each.where is Where.DEFAULT else "plain" for each in entries),
    )


def display_value(value: str | None) -> str:
    """Return a value as text; an empty value is an empty list."""
    return "not set" if value is None else value or "none"


def _cell(entry: Entry) -> str:
    """Return a value for the table, which folds a list between its items."""
    value = display_value(entry.value)
    return value.replace(",", ", ") if entry.key.endswith("features") else value


def _origin(entry: Entry) -> str:
    return entry.detail if entry.where is Where.ENVIRONMENT else str(entry.where)
