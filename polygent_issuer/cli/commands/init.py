"""`polygent-issue init`: the home, before anything else."""

import os
from collections.abc import Mapping
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Annotated, Final

from polygent_issuer import store_uri
from polygent_issuer.cli import prompts
from polygent_issuer.cli.completion import candidates
from polygent_issuer.cli.context import Invocation
from polygent_issuer.cli.flows.home_setup import make_home
from polygent_issuer.cli.options.common import option
from polygent_issuer.cli.output.json_text import at_home
from polygent_issuer.cli.output.model import Fields, Line
from polygent_issuer.cli.output.result import Report
from polygent_issuer.errors import InputRefused
from polygent_issuer.hints import run
from polygent_issuer.home import create
from polygent_issuer.home.create import CreatedHome
from polygent_issuer.home.setting_types import duration_text
from polygent_issuer.home.settings import Settings, settings_path
from polygent_issuer.home.settings_editing import default_text
from polygent_issuer.keys.signer import Presence
from polygent_issuer.keys.signing import presence
from polygent_issuer.text import escape

_FOLDERS: Final = ("key_backup_folder", "output")
_NOTHING: Final = {"upload_window": "unknown", "key_backup_folder": "none", "output": "none"}
_QUESTIONS: Final = {
    "issuer": ("who issues? it stands in every license", Settings().issuer),
    "upload_window": (
        "how long after its issue does a server take a file? 7d, 36h, or unknown",
        "unknown",
    ),
    "store": ("where are private keys kept? keyring:, file:PATH or pkcs11:URI", ""),
    "key_backup_folder": (
        "where do key backups go? best another disk, or none",
        "~/polygent-key-backup",
    ),
    "output": ("where do license files go? none is the folder you are in", "~/licenses"),
}
"""By key, with what is proposed; the store depends on what this machine has."""
_KEYRING_TIMEOUT: Final = timedelta(seconds=3)


def init(
    invocation: Invocation,
    *,
    issuer: Annotated[
        str | None, option("--issuer", "NAME", "Who issues; stands in every license.")
    ] = None,
    operator: Annotated[
        str | None, option("--operator", "NAME", "Who you are in the journal.")
    ] = None,
    upload_window: Annotated[
        str | None,
        option(
            "--upload-window",
            "7d",
            "How long after its issue the server takes a file; unknown if you cannot tell.",
        ),
    ] = None,
    store: Annotated[
        str | None,
        option("--store", "URI", "keyring:, file:PATH or pkcs11:URI.", candidates.stores),
    ] = None,
    key_backup_folder: Annotated[
        str | None, option("--key-backup-folder", "DIR", "Where key backups go, or none.")
    ] = None,
    output: Annotated[
        str | None, option("--output", "DIR", "Where licenses go, or none.", short="-o")
    ] = None,
) -> Report:
    """Make the home: a folder with the settings and an empty registry.

    On a terminal it asks for what is not given; elsewhere the defaults are taken. A home that
    exists is never changed; one whose making was interrupted is completed.
    """
    answers = {
        "issuer": issuer,
        "operator": operator,
        "upload_window": upload_window,
        "store": store,
        "key_backup_folder": key_backup_folder,
        "output": output,
    }
    home = invocation.home_path
    create.require_room(home)
    values = _as_settings(answers)
    if invocation.interactive and not settings_path(home).exists():
        values = _as_settings(_ask(answers, home))
    folders = tuple(folder for key in _FOLDERS if (folder := _made(key, values[key])))
    return _report(make_home(invocation, values), invocation.settings, folders)


def _report(home: CreatedHome, settings: Settings, folders: tuple[Path, ...]) -> Report:
    """Return where the home is, the settings that `init` asks for, and the next command."""
    file, window = str(settings_path(home.folder)), settings.upload_window
    backup: tuple[str, ...] = () if settings.key_backup_folder else ("--backup", "FILE")
    if store_uri.is_token_uri(settings.store):
        backup = ("--no-backup",)
    following = str(at_home(run("key", "generate", *backup)))
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
        "next": following,
    }
    assumed = "" if window else " (assumed, until config set upload_window tells)"
    fields = Fields(
        (
            ("issuer", settings.issuer),
            ("operator", settings.operator),
            ("upload window", f"{duration_text(settings.upload_window_or_assumed)}{assumed}"),
            ("key store", settings.store),
            ("key backups", backups or "nowhere yet"),
            ("licenses", output or "the folder you are in"),
            ("folders made", ", ".join(map(str, folders)) or None),
        )
    )
    done = Line(f"{'completed' if home.completed else 'made'} a home at {home.folder}", "good")
    change = Line(f"change them: edit {file}, or config set", "dim")
    return Report(members, [done, fields, change, Line(f"next: {following}")])


def _made(key: str, folder: str | None) -> Path | None:
    """The folder, if it had to be made; backups are for nobody else's eyes."""
    if folder is None:
        return None
    mode = 0o700 if key == "key_backup_folder" else 0o777
    return Path(folder) if create.ensure_folder(Path(folder), mode=mode) else None


def _ask(answers: Mapping[str, str | None], home: Path) -> Mapping[str, str | None]:
    """Ask for what was not given; return takes what is proposed."""
    asked = dict(answers)
    for key, (question, proposed) in _QUESTIONS.items():
        if answers[key] is None:
            default = proposed or _proposed_store(home)
            asked[key] = prompts.text(question, default=default, check=partial(_check, key))
    return asked


def _as_settings(answers: Mapping[str, str | None]) -> dict[str, str | None]:
    """Return the values that the settings take: None for the words that mean it, whole paths."""
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


def _proposed_store(home: Path) -> str:
    """A folder, where no keyring answers: few servers have one."""
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
            f"no folder can be at {escape(text) or 'an empty name'}: the one above it is missing",
            hint="check the path, or make the folder above it first",
        )
    return folder


def _text(path: Path | None) -> str | None:
    return None if path is None else str(path)
