"""Making a home: its folder, its settings, its registry, in this order.

The registry comes last, so its presence says that a home is complete; a making that broke off
before that is completed by the next one. What is complete is never changed here.
"""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from polygent_issuer import files
from polygent_issuer.errors import HomeMissing, HomeProblem, OutputExists, OutputProblem
from polygent_issuer.files.disk import is_folder
from polygent_issuer.hints import Hint, run
from polygent_issuer.home import folder as home_folder
from polygent_issuer.home import settings, settings_editing
from polygent_issuer.registry import REGISTRY_FILE, Actor, Registry
from polygent_issuer.registry.errors import RegistryMissing
from polygent_issuer.text import escape

if TYPE_CHECKING:
    from polygent_issuer.home.settings import Settings


@dataclass(frozen=True, kw_only=True, slots=True)
class CreatedHome:
    """A home that was made, or completed where an earlier making had broken off."""

    folder: Path
    completed: bool


def is_complete(folder: Path) -> bool:
    """Return whether a home is there, registry and all.

    Raises:
        HomeProblem: (`unsafe_home`, `home_problem`, `registry_damaged`, …) for what cannot be used.
    """
    try:
        home_folder.require(folder)
        Registry.open(folder / REGISTRY_FILE).close()
    except (HomeMissing, RegistryMissing):
        return False
    return True


def require_room(folder: Path) -> None:
    """Refuse a place where a home is, before anybody is asked anything.

    Raises:
        HomeProblem: (`registry_exists`) when a complete home is there; (`registry_lost`) when one
            is there that has lost its registry: an empty one would hide that; and as `is_complete`.
    """
    _require_incomplete(folder)
    stores = settings.load(folder, {}).settings.stores
    if stores:
        raise HomeProblem(
            f"the home {escape(str(folder))} has lost its registry: its settings name "
            f"{len(stores)} key{'s' if len(stores) > 1 else ''} that it held",
            hint=Hint(
                run("registry", "restore", "BACKUP"),
                "; without a backup, from the license files: ",
                run("registry", "import", "FOLDER", "--public-key", "FILE"),
            ),
            code="registry_lost",
        )


def _require_incomplete(folder: Path) -> None:
    if is_complete(folder):
        raise HomeProblem(
            f"there is a home at {escape(str(folder))} already; nothing was changed",
            hint=Hint(
                run("config", "set", "KEY", "VALUE"),
                " changes a setting; --home DIR makes another home",
            ),
            code="registry_exists",
        )


def write_default_settings(folder: Path, text: str | None = None) -> bool:
    """Make the folder of a home and its settings; those that are there already stay.

    Return whether the settings, the defaults without `text`, had to be made.

    Raises:
        HomeProblem, OutputProblem: (`output_failed`) when the folder or the file cannot be made.
    """
    home_folder.create(folder)
    path = settings.settings_path(folder)
    if os.path.lexists(path):
        return False
    text = settings_editing.default_text() if text is None else text
    try:
        files.write_private(text.encode(), path)
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
    """Make a home, or complete one.

    Args:
        values: settings by key, as `config set` takes them; None leaves the default, or what a
            making that broke off has written.
        registry_id: what tells the registry from any other, for ever.
        actor: who makes it, by the settings that are then in force.
        lost: whether it is known that the home has lost its registry, and what it held is about
            to be rebuilt.

    Raises:
        InvalidSettings: (`invalid_settings`) before anything is made.
        HomeProblem: (`registry_exists`, `registry_lost`), or as the making of folder and registry.
        OutputProblem: (`output_failed`) when the settings cannot be written.
    """
    text = settings_editing.default_text(**values)
    if lost:
        _require_incomplete(folder)
    else:
        require_room(folder)
    completed = not write_default_settings(folder, text)
    if completed:
        for key, value in values.items():
            if value is not None:
                settings_editing.set_value(folder, key, value)
    loaded = settings.load(folder, environ).settings
    Registry.create(
        folder / REGISTRY_FILE, now=now, actor=actor(loaded), registry_id=registry_id
    ).close()
    return CreatedHome(folder=folder, completed=completed)


def ensure_folder(folder: Path, *, mode: int = 0o777) -> bool:
    """Make a folder that the settings are to name; return whether it had to be made.

    The folder above it must be there: a mistyped path or a disk that is not connected is not
    papered over.

    Raises:
        OutputProblem: (`output_failed`) when it cannot be made, or something else has its name.
    """
    try:
        folder.mkdir(mode=mode)
    except FileExistsError:
        if is_folder(folder):
            return False
        reason = "something else has its name"
    except (OSError, ValueError) as problem:
        reason = (getattr(problem, "strerror", None) or "no such path").lower()
    else:
        return True
    raise OutputProblem(
        f"the folder {escape(str(folder))} cannot be made: {reason}",
        hint="make the folder above it first, or name another",
    )
