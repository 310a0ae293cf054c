"""`polygent-issue init`: create a home folder with settings and registry."""

import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Final

from polygent_issuer import store_uri
from polygent_issuer.cli import candidates, prompts
from polygent_issuer.cli.context import Invocation
from polygent_issuer.cli.flows.home_setup import make_home
from polygent_issuer.cli.options.common import OptionGroup, option
from polygent_issuer.cli.output.blocks import Fields, Line, at_home
from polygent_issuer.cli.output.result import Report
from polygent_issuer.errors import InputRefused
from polygent_issuer.home import create
from polygent_issuer.home.create import CreatedHome
from polygent_issuer.home.setting_types import duration_text
from polygent_issuer.home.settings import Settings, Team, settings_path
from polygent_issuer.home.settings_editing import default_text
from polygent_issuer.home.team_settings import is_shared
from polygent_issuer.keys.signer import Presence
from polygent_issuer.keys.stores import presence
from polygent_issuer.registry import Registry, keys
from polygent_issuer.registry.postgres.roles import Role
from polygent_issuer.text import Hint, escape, run

_FOLDERS: Final = ("key_backup_folder", "output")
_NOTHING: Final = {
    "operator": "none",
    "upload_window": "unknown",
    "key_backup_folder": "none",
    "output": "none",
    "mail_from": "none",
}
_QUESTIONS: Final = {
    "issuer": ("issuer name, written into every license", Settings().issuer),
    "operator": ("your name in the journal (none: your account's name)", "none"),
    "upload_window": (
        "how long after issue servers accept a file (7d, 36h, or unknown)",
        "unknown",
    ),
    "store": ("key store for private keys (keyring:, file:PATH or pkcs11:URI)", ""),
    "key_backup_folder": (
        "folder for key backups, best on another disk (or none)",
        "~/polygent-key-backup",
    ),
    "output": ("folder for license files (none: the current folder)", "~/licenses"),
    "mail_from": ("address that mail drafts are sent from (none: the mail program's)", "none"),
}
"""Prompt and default of each setting; the default store depends on the machine."""
_KEYRING_TIMEOUT: Final = timedelta(seconds=3)


@dataclass(frozen=True, kw_only=True, slots=True)
class NewSettings(OptionGroup):
    """The settings of a new home, as typed; None without the option."""

    issuer: str | None = option(
        "--issuer", "NAME", "Set the issuer name written into every license."
    )
    operator: str | None = option("--operator", "NAME", "Set your name in the journal (or none).")
    upload_window: str | None = option(
        "--upload-window", "7d", "Set how long after issue servers accept a file (or unknown)."
    )
    store: str | None = option(
        "--store", "URI", "Set the key store: keyring:, file:PATH or pkcs11:URI.", candidates.stores
    )
    key_backup_folder: str | None = option(
        "--key-backup-folder", "DIR", "Set the folder for key backups (or none)."
    )
    output: str | None = option(
        "--output", "DIR", "Set the folder for license files (or none).", short="-o"
    )
    mail_from: str | None = option(
        "--mail-from", "ADDRESS", "Set the sender of mail drafts (or none)."
    )
    registry: str | None = option(
        "--registry", "URI", "Keep the registry in this PostgreSQL database, for a team."
    )


def init(invocation: Invocation, *, settings: NewSettings) -> Report:
    """Create a home folder with settings and registry.

    On a terminal it prompts for missing settings; otherwise it uses the defaults. An existing
    home is never changed. If its creation was interrupted, it is completed.

    With --registry, issuer, upload window and plans are settings of the registry: the first home
    puts them there, and a further one uses them.
    """
    answers = asdict(settings)
    home = invocation.home_path
    create.require_room(home)
    values = _as_settings(answers)
    if invocation.interactive and not settings_path(home).exists():
        values = _as_settings(_ask(answers, home, create.team_to_join(settings.registry)))
    folders = tuple(folder for key in _FOLDERS if (folder := _create_folder(key, values[key])))
    created = make_home(invocation, values)
    effective = invocation.settings
    next_words = _next_in_team(invocation.registry) if effective.registry else ()
    return _report(created, effective, folders, next_words or _first_key(effective))


def _next_in_team(registry: Registry) -> tuple[str, ...]:
    """Return the next command of a home that joins a registry with keys; empty without a key."""
    with registry.reading(checked=False) as db:
        key = keys.active(db)
    if key is None:
        return ()
    if registry.allows(Role.ISSUER):
        return "config", "set", f"stores.{key.kid}", "URI"
    return ("doctor",)


def _first_key(settings: Settings) -> tuple[str, ...]:
    if store_uri.is_service(settings.store):
        return "key", "import", settings.store
    if store_uri.stays(settings.store):
        return "key", "generate", "--no-backup"
    return "key", "generate", *(() if settings.key_backup_folder else ("--backup", "FILE"))


def _report(
    home: CreatedHome, settings: Settings, folders: tuple[Path, ...], next_words: tuple[str, ...]
) -> Report:
    file, window = str(settings_path(home.folder)), settings.upload_window
    next_command = run(*next_words)
    backups, output = _text(settings.key_backup_folder), _text(settings.output)
    members = {
        "home": str(home.folder),
        "settings": file,
        "completed": home.completed,
        "folders_made": list(map(str, folders)),
        "issuer": settings.issuer,
        "operator": settings.operator,
        "upload_window": None if window is None else duration_text(window),
        "store": settings.store,
        "key_backup_folder": backups,
        "output": output,
        "mail_from": settings.mail_from,
        "registry": settings.registry,
        "next": at_home(next_command),
    }
    assumed = Hint(" (assumed); to set yours: ", run("config", "set", "upload_window", "7d"))
    shown = duration_text(settings.upload_window_or_assumed)
    fields = Fields(
        (
            ("issuer", settings.issuer),
            ("operator", settings.operator),
            ("upload window", shown if window else Hint(shown, assumed)),
            ("key store", settings.store),
            ("key backups", backups or "no folder set"),
            ("licenses", output or "the current folder"),
            ("mail sender", settings.mail_from),
            ("registry", settings.registry),
            ("folders created", ", ".join(map(str, folders)) or None),
        )
    )
    done = Line(f"{'completed' if home.completed else 'created'} a home at {home.folder}", "good")
    change = Line(Hint(f"to change them: edit {file}, or ", run("config", "set")), "dim")
    return Report(members, [done, fields, change, Line(Hint("next: ", next_command))])


def _create_folder(key: str, folder: str | None) -> Path | None:
    """Create a folder and return it; None if it exists. Only the owner can read key backups."""
    if folder is None:
        return None
    mode = 0o700 if key == "key_backup_folder" else 0o777
    return Path(folder) if create.ensure_folder(Path(folder), mode=mode) else None


def _ask(
    answers: Mapping[str, str | None], home: Path, team: Team | None
) -> Mapping[str, str | None]:
    """Prompt for each missing setting, except for those of the registry that the home joins."""
    complete = dict(answers)
    for key, (question, proposed) in _QUESTIONS.items():
        if answers[key] is None and not (team and is_shared(key)):
            default = proposed or _default_store(home)
            complete[key] = prompts.text(question, default=default, check=partial(_check, key))
    return complete


def _as_settings(answers: Mapping[str, str | None]) -> dict[str, str | None]:
    """Return the values for the settings: absolute paths, and None for `none` or `unknown`."""
    values = {key: None if value == _NOTHING.get(key) else value for key, value in answers.items()}
    if (store := values.get("store")) is not None:
        values["store"] = store_uri.parse(store).uri
    for key in _FOLDERS:
        if (folder := values.get(key)) is not None:
            values[key] = str(_folder(folder))
    default_text(**values)
    return values


def _check(key: str, answer: str) -> None:
    _as_settings({key: answer})


def _default_store(home: Path) -> str:
    """Return the keyring, or a folder if no keyring answers, as on most servers."""
    keyring = presence(Settings(keyring_timeout=_KEYRING_TIMEOUT), "any")
    if keyring is Presence.UNAVAILABLE:
        return f"{store_uri.FILE}{home / 'keys'}{os.sep}"
    return store_uri.KEYRING


def _folder(text: str) -> Path:
    try:
        folder = Path(text).expanduser().absolute()
        reachable = bool(text) and (folder.is_dir() or folder.parent.is_dir())
    except (RuntimeError, OSError, ValueError):
        reachable = False
    if not reachable:
        raise InputRefused(
            f"cannot create the folder {escape(text)}: its parent folder does not exist"
            if text
            else "the folder name is empty",
            hint="check the path, or create the parent folder first",
        )
    return folder


def _text(path: Path | None) -> str | None:
    return None if path is None else str(path)
