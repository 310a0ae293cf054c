"""The settings in the registry, which all homes of a team share; `SHARED` lists them.

A registry has all of them, or none. The first command that sets one there adds the others as they
are in its home. From then on those in a home's file do not count, so that every operator signs with
the same issuer and plans. A registry's row has the TOML value of a setting as JSON.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from polygent_issuer.errors import InvalidSettings
from polygent_issuer.home.setting_types import invalid, plan_toml
from polygent_issuer.home.settings import KEYS, Loaded, Team, Where, load_text
from polygent_issuer.home.settings_editing import changed_table, typed_value
from polygent_issuer.registry import Reading, Registry, Writing
from polygent_issuer.registry.errors import Place, display_place
from polygent_issuer.registry.reading import SHARED
from polygent_issuer.text import escape

CHANGED: Final = "settings-changed"
"""The journal event; its details have the old and the new text by key (`changes`)."""
_PLANS: Final = "plans"

Changes = Mapping[str, list[str | None]]
"""The old and the new text of each key, as `config show` prints it; None if it is not set."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TeamChange:
    """A change of the settings in a registry: the rows before and after it; none for no change."""

    before: Mapping[str, str]
    after: Mapping[str, str]
    changes: Changes


def is_shared(dotted_key: str) -> bool:
    """Return whether a registry can have a setting."""
    return dotted_key.partition(".")[0] in SHARED


def read(registry: Registry) -> Team | None:
    """Return the settings of a registry; None if it has none.

    Raises:
        RegistryDamaged: (`registry_damaged`) when one was changed by an edit.
    """
    with registry.reading(checked=False) as db:
        return team_of(db.team_settings(), registry.place)


def team_of(rows: Mapping[str, str], place: Place) -> Team | None:
    """Return the settings of the rows of a registry; None without any."""
    if not rows:
        return None
    shown = display_place(place)
    try:
        table = {name: json.loads(text) for name, text in rows.items()}
    except (ValueError, RecursionError):
        raise InvalidSettings(f"{shown}: a setting is not JSON") from None
    return Team(place=shown, table=table)


def decide(
    db: Reading, place: Place, file: tuple[str, Path], dotted_key: str, text: str
) -> TeamChange:
    """Decide a change of one setting in a registry.

    Args:
        place: of the registry.
        file: the text and the path of the home's settings.
        dotted_key, text: as for `settings_editing.set_value`; an empty text removes the setting.

    Raises:
        InvalidSettings, NotFound: as `settings_editing.set_value`.
    """
    before = db.team_settings()
    present = load_text(*file, team_of(before, place))
    table = table_of(present)
    value = typed_value(dotted_key, text, lambda: present.settings)
    changed = changed_table(table, dotted_key.split("."), value)
    after = Team(place=display_place(place), table=changed)
    changes = _differences(_texts(present), _texts(load_text(*file, after)))
    rows = _rows(changed) if changes else before
    return TeamChange(before=before, after=rows, changes=changes)


def write(db: Writing, change: TeamChange) -> None:
    """Write a change with its journal row."""
    if change.changes:
        db.write_team_settings(change.before, change.after)
        db.record(CHANGED, details={"changes": change.changes})


def filling(table: Mapping[str, Any]) -> Callable[[Writing], Mapping[str, object]]:
    """Return the function with which `Registry.create` puts settings into a new registry.

    Args:
        table: from `table_of`.
    """
    after = load_text("", Path(), Team(place="", table=table))

    def fill(db: Writing) -> Mapping[str, object]:
        db.write_team_settings({}, _rows(table))
        return {"changes": _differences({}, _texts(after))}

    return fill


def require_same(team: Team, values: Mapping[str, str | None]) -> None:
    """Refuse settings for a new home that differ from those of the registry that it joins.

    Args:
        values: settings by key, as `config set` takes them; None is not given.

    Raises:
        InvalidSettings: (`invalid_settings`) for the first that differs.
    """
    present = load_text("", Path(), team).texts
    for name, text in values.items():
        if name not in SHARED or text is None:
            continue
        kind = KEYS[name].kind
        if kind.text(kind.read(kind.typed(text, name), name)) != present[name]:
            raise invalid(
                name,
                f"the registry that this home joins has {escape(present[name] or 'none')}",
                "leave the option out; config set changes the setting for all homes",
            )


def table_of(loaded: Loaded) -> dict[str, Any]:
    """Return the settings for a registry as a TOML document: those that are set, and all plans."""
    table = {
        name: KEYS[name].kind.typed(entry.value, name)
        for name in SHARED
        if (entry := loaded.entries.get(name))
        and entry.where is not Where.DEFAULT
        and entry.value is not None
    }
    plans = {plan.name: plan_toml(plan) for plan in loaded.settings.plans.values()}
    return {**table, _PLANS: plans}


def _rows(table: Mapping[str, Any]) -> dict[str, str]:
    return {name: json.dumps(value, ensure_ascii=False) for name, value in table.items()}


def _texts(loaded: Loaded) -> dict[str, str | None]:
    """Return the texts of the settings that a registry has."""
    entries = loaded.entries.values()
    return {entry.key: entry.value for entry in entries if entry.where is Where.REGISTRY}


def _differences(old: Mapping[str, str | None], new: Mapping[str, str | None]) -> Changes:
    keys = dict.fromkeys((*old, *new))
    return {key: [old.get(key), new.get(key)] for key in keys if old.get(key) != new.get(key)}
