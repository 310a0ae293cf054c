"""`polygent-issue config show`: show the settings and the source of each."""

from collections.abc import Iterable
from typing import Annotated, Any

from polygent_issuer.cli import candidates
from polygent_issuer.cli.context import Invocation
from polygent_issuer.cli.options.common import argument
from polygent_issuer.cli.output.model import Block, Line, Table
from polygent_issuer.cli.output.result import Report
from polygent_issuer.errors import HomeProblem
from polygent_issuer.hints import run
from polygent_issuer.home.settings import KEYS, Entry, Loaded, Where, settings_path


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

    Each setting is shown with its meaning. The environment overrides the file, and the file
    overrides the defaults. The settings in a team's registry override those in the file.
    """
    path, loaded = settings_path(invocation.home), _loaded(invocation)
    entries = tuple(loaded.entries.values()) if key is None else loaded.entries_of(key)
    members = entries_json(entries)
    for entry in entries:
        members[entry.key]["about"] = entry.about
    text = [Line(f"settings file: {path}", "dim")]
    if loaded.overridden:
        names = ", ".join(loaded.overridden)
        text.append(Line(f"overridden by the registry, so without effect there: {names}", "dim"))
    return Report(
        {"path": str(path), "overridden": list(loaded.overridden), "settings": members},
        [*text, *_tables(entries, explained=key is not None)],
    )


def _loaded(invocation: Invocation) -> Loaded:
    """Return the settings; those of the home alone if the registry cannot be read."""
    try:
        return invocation.loaded
    except HomeProblem as problem:
        own = invocation.own_settings
        invocation.warn(f"settings in the registry are not shown: {problem.message}")
        return own


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


def _tables(entries: tuple[Entry, ...], *, explained: bool) -> Iterable[Block]:
    """Yield the settings; meanings of stores and plans only with `explained`."""
    if not entries:
        yield Line("no such setting is set", "dim")
    single = tuple(each for each in entries if explained or each.key in KEYS)
    if single:
        yield _table(single, explained=True)
    if len(single) < len(entries):
        others = tuple(each for each in entries if each not in single)
        plan = others[-1].key.rpartition(".")[0]
        yield Line(f"for the meanings in a plan: {run('config', 'show', plan)}", "dim")
        yield _table(others, explained=False)


def _table(entries: tuple[Entry, ...], *, explained: bool) -> Table:
    rows = ((each.key, _origin(each), _cell(each), each.about) for each in entries)
    columns = 4 if explained else 3
    return Table(
        ("setting", "from", "value", "meaning")[:columns],
        tuple(row[:columns] for row in rows),
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
