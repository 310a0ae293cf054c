"""Create a home: its folder, its settings and its registry, in this order.

The registry is created last, so a home with a registry is complete. If the creation is interrupted,
the next one completes the home. A complete home is never changed here.
"""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from polygent_issuer import registry_uri
from polygent_issuer.errors import HomeMissing, HomeProblem, OutputExists, OutputProblem
from polygent_issuer.files import publication
from polygent_issuer.files.disk import is_folder
from polygent_issuer.home import folder as home_folder
from polygent_issuer.home import settings, settings_editing, team_settings
from polygent_issuer.registry import Actor, Registry
from polygent_issuer.registry.errors import RegistryMissing
from polygent_issuer.text import Hint, escape, run

if TYPE_CHECKING:
    from polygent_issuer.home.settings import Settings


@dataclass(frozen=True, kw_only=True, slots=True)
class CreatedHome:
    """A home that was created, or completed after an interrupted creation."""

    folder: Path
    completed: bool


def is_complete(folder: Path) -> bool:
    """Return whether a home exists and has a registry.

    Raises:
        HomeProblem: (`unsafe_home`, `home_problem`, `registry_damaged`, …) for an unusable home.
    """
    try:
        home_folder.require(folder)
    except HomeMissing:
        return False
    return _has_registry(settings.registry_place(folder))


def require_room(folder: Path) -> None:
    """Refuse a folder that is a home already, before the operator is asked for settings.

    Raises:
        HomeProblem: (`registry_exists`) for a complete home; (`registry_lost`) for a home whose
            registry is missing, because an empty one would hide that; and as `is_complete`.
    """
    _require_incomplete(folder)
    stores = settings.load(folder, {}).settings.stores
    if stores:
        raise HomeProblem(
            f"the registry of the home {escape(str(folder))} is missing, but its settings list "
            f"{len(stores)} key{'s' if len(stores) > 1 else ''}",
            hint=Hint(
                run("registry", "restore", "BACKUP"),
                "; without a backup, rebuild it from the license files: ",
                run("registry", "import", "FOLDER", "--public-key", "FILE"),
            ),
            code="registry_lost",
        )


def _require_incomplete(folder: Path) -> None:
    if is_complete(folder):
        raise HomeProblem(
            f"the home {escape(str(folder))} already exists; nothing was changed",
            hint=Hint(
                run("config", "set", "KEY", "VALUE"),
                " changes a setting; --home DIR creates another home",
            ),
            code="registry_exists",
        )


def write_default_settings(folder: Path, text: str | None = None) -> bool:
    """Create the folder of a home and its settings; existing settings are not changed.

    Return whether the settings were created. `text` is their content; default: the defaults.

    Raises:
        HomeProblem, OutputProblem: (`output_failed`) when the folder or the file cannot be created.
    """
    home_folder.create(folder)
    path = settings.settings_path(folder)
    if os.path.lexists(path):
        return False
    text = settings_editing.default_text() if text is None else text
    try:
        publication.write_private(text.encode(), path)
    except OutputExists:
        return False
    return True


def create_home(
    folder: Path,
    values: Mapping[str, str | None],
    *,
    now: datetime,
    registry_id: str,
    actor: Callable[["Settings"], Actor],
    environ: Mapping[str, str],
    lost: bool = False,
) -> CreatedHome:
    """Create a home, or complete one after an interrupted creation.

    Args:
        values: settings by key, as `config set` takes them; None leaves the default, or the value
            that an interrupted creation wrote.
        registry_id: the permanent id of the registry.
        actor: returns the operator, given the new settings.
        lost: the registry is known to be missing, and the caller is about to rebuild it.

    Raises:
        InvalidSettings: (`invalid_settings`) before anything is created, also if the registry that
            the home joins has other settings.
        HomeProblem: (`registry_exists`, `registry_lost`), or as the creation of folder and
            registry.
        OutputProblem: (`output_failed`) when the settings cannot be written.
    """
    text = settings_editing.default_text(**values)
    team = team_to_join(values.get("registry"))
    if team is not None:
        team_settings.require_same(team, values)
    if lost:
        _require_incomplete(folder)
    else:
        require_room(folder)
    completed = not write_default_settings(folder, text)
    if completed:
        for key, value in values.items():
            if value is not None:
                settings_editing.set_value(folder, key, value)
    loaded, place = settings.load(folder, environ), settings.registry_place(folder)
    new = partial(
        Registry.create, place, now=now, actor=actor(loaded.settings), registry_id=registry_id
    )
    if isinstance(place, Path):
        new().close()
    elif not _has_registry(place):
        new(fill=team_settings.filling(team_settings.table_of(loaded))).close()
    return CreatedHome(folder=folder, completed=completed)


def team_to_join(uri: str | None) -> settings.Team | None:
    """Return the settings in the registry that a new home joins; None if it joins none.

    Raises:
        InvalidSettings: (`invalid_settings`) for an invalid URI.
        HomeProblem: (`registry_failed`, …) when the server cannot be reached.
    """
    if uri is None:
        return None
    try:
        with Registry.open(registry_uri.parse(uri)) as registry:
            return team_settings.read(registry)
    except RegistryMissing:
        return None


def _has_registry(place: Path | str) -> bool:
    try:
        Registry.open(place).close()
    except RegistryMissing:
        return False
    return True


def ensure_folder(folder: Path, *, mode: int = 0o777) -> bool:
    """Create a folder for a setting; return whether it did not exist.

    Its parent folder must exist, so that a mistyped path or a disconnected disk is noticed.

    Raises:
        OutputProblem: (`output_failed`) when it cannot be created, or is not a folder.
    """
    try:
        folder.mkdir(mode=mode)
    except FileExistsError:
        if is_folder(folder):
            return False
        reason = "a file with this name exists"
    except (OSError, ValueError) as problem:
        reason = (getattr(problem, "strerror", None) or "invalid path").lower()
    else:
        return True
    raise OutputProblem(
        f"cannot create the folder {escape(str(folder))}: {reason}",
        hint="create its parent folder first, or choose another folder",
    )
