"""The backups of private keys: their places, and whether they are still there.

The settings have the files with the backups of each key, by kid, since this tool wrote them. The
registry records only the time of the newest one: a file's path belongs to one operator's machine.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from polygent_issuer import store_uri
from polygent_issuer.errors import InputRefused, IssuerError
from polygent_issuer.home import settings as home_settings
from polygent_issuer.home import settings_editing
from polygent_issuer.home.settings import Settings
from polygent_issuer.keys.file_store import FileStore
from polygent_issuer.keys.passphrases import NoPassphrase, Passphrase
from polygent_issuer.keys.rotation import label_words
from polygent_issuer.keys.signer import Presence
from polygent_issuer.keys.stores import place_of
from polygent_issuer.registry import KeyRecord
from polygent_issuer.store_uri import FileLocation
from polygent_issuer.text import Hint, escape, run


@dataclass(frozen=True, kw_only=True, slots=True)
class Backup:
    """A recorded backup of a key, as far as it can be seen without its passphrase.

    Attributes:
        path: of the file.
        presence: whether the file is there and has the key.
        same_disk: whether it is on the disk of the private key, so that both can fail together.
    """

    path: Path
    presence: Presence
    same_disk: bool

    @property
    def risk(self) -> str | None:
        """Why it may not help when the key is lost, as the end of a sentence; None if it will."""
        if self.presence is Presence.ABSENT:
            return "is gone"
        if self.presence is not Presence.PRESENT:
            return "cannot be read"
        return (
            "is on the disk of the private key, so both can fail together"
            if self.same_disk
            else None
        )


def recorded(settings: Settings, home: Path, kid: str) -> tuple[Backup, ...]:
    """Return the recorded backups of a key, without a prompt."""
    return tuple(inspect(settings, home, kid, path) for path in settings.backups.get(kid, ()))


def inspect(settings: Settings, home: Path, kid: str, path: Path) -> Backup:
    """Return a file as a backup of a key, without a prompt."""
    disk = _disk_of_key(settings, home, kid)
    return Backup(
        path=path,
        presence=store(path).presence(kid),
        same_disk=disk is not None and _device(path) == disk,
    )


def store(
    path: Path,
    *,
    passphrase: Passphrase = NoPassphrase(),  # noqa: B008 -- it has no state
    warn: Callable[[str], None] = lambda _: None,
) -> FileStore:
    """Return the file of a backup as a key store, which can be opened but not signed with."""
    place = FileLocation(path=path, folder=False)
    return FileStore(place, passphrase=passphrase, warn=warn, backup=True)


def require_another_file(settings: Settings, key: KeyRecord, path: Path) -> None:
    """Check that a file is not the key file, which cannot be its own backup.

    Raises:
        InputRefused: (`input_refused`) it is, by this name or another one.
    """
    place = store_uri.parse(place_of(settings, key.kid))
    if not isinstance(place, FileLocation):
        return
    key_file = FileStore(place, passphrase=NoPassphrase(), warn=lambda _: None)
    if key_file.has_file(key.kid, path):
        raise InputRefused(
            f"{escape(str(path))} is the key file of {escape(key.label)}, not a backup",
            hint=Hint("write one: ", run("key", "backup", *label_words(key.label), "FILE")),
        )


def remember(home: Path, kid: str, path: Path) -> None:
    """Record the place of a backup in the settings; it becomes the newest.

    A name that the settings cannot have, because it is not printable, is not recorded.

    Raises:
        InvalidSettings, OutputProblem: (`invalid_settings`, `output_failed`) as `set_value`.
    """
    known = home_settings.load(home, {}).settings.backups.get(kid, ())
    if escape(str(path)) == str(path):
        replace(home, kid, (*(other for other in known if other != path), path))


def replace(home: Path, kid: str, paths: tuple[Path, ...]) -> None:
    """Record these places of a key's backups instead of the present ones."""
    text = settings_editing.toml_literal([str(path) for path in paths]) if paths else ""
    settings_editing.set_value(home, f"backups.{kid}", text)


def try_to_remember(home: Path, key: KeyRecord, path: Path, warn: Callable[[str], None]) -> None:
    """Record the place of a backup that exists already; warn if that is not possible."""
    try:
        remember(home, key.kid, path)
    except IssuerError as problem:
        warn(f"the place of the backup {escape(str(path))} cannot be recorded: {problem.message}")


def reason(problem: IssuerError) -> str:
    """Return why a backup cannot be opened, in a sentence about it."""
    reasons = {
        "no_such_key": "it is out of reach",
        "wrong_passphrase": "it has another passphrase, or is damaged",
        "key_mismatch": "it has another key",
    }
    return reasons.get(problem.code, problem.message)


def _disk_of_key(settings: Settings, home: Path, kid: str) -> int | None:
    """Return the disk of a private key; for a keyring it is the disk of the home."""
    uri = place_of(settings, kid)
    if store_uri.stays(uri):
        return None
    place = store_uri.parse(uri)
    path = place.path if isinstance(place, FileLocation) else home
    return _device(path) or _device(path.parent)


def _device(path: Path) -> int | None:
    try:
        return os.stat(path).st_dev  # noqa: PTH116 -- as for every kind of path
    except (OSError, ValueError):
        return None
