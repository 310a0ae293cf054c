"""What `init` is told, by options or at a terminal, and the settings that it means."""

import os
from collections.abc import Mapping
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Final

from polygent_issuer import store_uri
from polygent_issuer.cli import prompts
from polygent_issuer.errors import InputRefused
from polygent_issuer.home.settings import Settings
from polygent_issuer.home.settings_editing import default_text
from polygent_issuer.keys.signer import Presence
from polygent_issuer.keys.signing import presence
from polygent_issuer.text import escape

Answers = Mapping[str, str | None]
"""By the key of the setting; None when nobody said anything."""

FOLDERS: Final = ("key_backup_folder", "output")
UNKNOWN: Final = "unknown"
NONE: Final = "none"

_NOTHING: Final = {"upload_window": UNKNOWN, "key_backup_folder": NONE, "output": NONE}
_QUESTIONS: Final = {
    "issuer": "who issues? it stands in every license",
    "upload_window": f"how long after its issue does a server take a file? 7d, 36h, or {UNKNOWN}",
    "store": "where are private keys kept? keyring:, file:PATH or pkcs11:URI",
    "key_backup_folder": f"where do key backups go? best another disk, or {NONE}",
    "output": f"where do license files go? {NONE} is the folder you are in",
}
_A_MOMENT: Final = timedelta(seconds=3)


def ask(given: Answers, home: Path) -> Answers:
    """Ask for what was not given; return takes what is proposed."""
    answers = dict(given)
    for key, question in _QUESTIONS.items():
        if answers[key] is None:
            proposed = _proposed(key, home)
            answers[key] = prompts.text(question, default=proposed, check=partial(_check, key))
    return answers


def as_settings(answers: Answers) -> dict[str, str | None]:
    """The values that the settings take: nothing for the words that mean it, whole paths.

    Raises:
        InputRefused: (`input_refused`) for a folder whose own folder does not exist.
        InvalidStore: (`invalid_store`) for what is no key store.
        InvalidSettings: (`invalid_settings`) for any other value that is refused.
    """
    values = {key: None if value == _NOTHING.get(key) else value for key, value in answers.items()}
    store = values.get("store")
    if store is not None:
        values["store"] = store_uri.parse(store).uri
    for key in FOLDERS:
        folder = values.get(key)
        if folder is not None:
            values[key] = str(_folder(folder))
    default_text(**values)
    return values


def _check(key: str, answer: str) -> None:
    as_settings({key: answer})


def _proposed(key: str, home: Path) -> str:
    if key == "store":
        return store_uri.KEYRING if _has_keyring() else f"{store_uri.FILE}{home / 'keys'}{os.sep}"
    proposals = {
        "issuer": Settings().issuer,
        "upload_window": UNKNOWN,
        "key_backup_folder": "~/polygent-key-backup",
        "output": "~/licenses",
    }
    return proposals[key]


def _has_keyring() -> bool:
    """Whether a keyring answers here; few servers have one."""
    return presence(Settings(keyring_timeout=_A_MOMENT), "any") is not Presence.UNAVAILABLE


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
