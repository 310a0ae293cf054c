"""How a new home looks, and what comes next."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from polygent_issuer.cli.blocks import Block, Fields, Line
from polygent_issuer.cli.hint_json import at_home
from polygent_issuer.cli.output import Result
from polygent_issuer.founding import Founded
from polygent_issuer.hints import run
from polygent_issuer.settings import Settings, duration_text, settings_path
from polygent_issuer.settings.token_uri import is_token_uri


@dataclass(frozen=True, kw_only=True, slots=True)
class Initialised(Result):
    """A home that was made.

    Attributes:
        settings: that are in force in it.
        folders: those of the settings that had to be made, too.
    """

    founded: Founded
    settings: Settings
    folders: tuple[Path, ...]

    @property
    def following(self) -> str:
        """The next command, as it is typed."""
        backup: tuple[str, ...] = ("--backup", "FILE")
        if self.settings.key_backup_folder:
            backup = ()
        if is_token_uri(self.settings.store):
            backup = ("--no-backup",)
        return str(at_home(run("key", "generate", *backup)))

    def to_json(self) -> Mapping[str, Any]:
        """The places, the settings that `init` asks for, and `next`."""
        held = self.settings
        window = held.upload_window
        return {
            "home": str(self.founded.folder),
            "settings": str(settings_path(self.founded.folder)),
            "completed": self.founded.completed,
            "folders_made": [str(folder) for folder in self.folders],
            "issuer": held.issuer,
            "operator": held.operator,
            "upload_window": None if window is None else duration_text(window),
            "store": held.store,
            "key_backup_folder": _text(held.key_backup_folder),
            "output": _text(held.output),
            "next": self.following,
        }

    def blocks(self) -> Iterable[Block]:
        """Where it is, what its settings say, and the next command."""
        held = self.settings
        done = "completed" if self.founded.completed else "made"
        yield Line(f"{done} a home at {self.founded.folder}", "good")
        assumed = "" if held.upload_window else " (assumed, until config set upload_window tells)"
        yield Fields(
            (
                ("issuer", held.issuer),
                ("operator", held.operator),
                ("upload window", duration_text(held.upload_window_or_assumed) + assumed),
                ("key store", held.store),
                ("key backups", _text(held.key_backup_folder) or "nowhere yet"),
                ("licenses", _text(held.output) or "the folder you are in"),
                ("folders made", ", ".join(map(str, self.folders)) or None),
            )
        )
        yield Line(f"change them: edit {settings_path(self.founded.folder)}, or config set", "dim")
        yield Line(f"next: {self.following}")


def _text(path: Path | None) -> str | None:
    return None if path is None else str(path)
