"""`polygent-issue init`: the home, before anything else."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from polygent_issuer.cli.commands.init_answers import FOLDERS, Answers, as_settings, ask
from polygent_issuer.cli.completion import candidates
from polygent_issuer.cli.context import Invocation
from polygent_issuer.cli.flows.home_setup import make_home
from polygent_issuer.cli.output.json_text import at_home
from polygent_issuer.cli.output.model import Block, Fields, Line
from polygent_issuer.cli.output.result import Result
from polygent_issuer.hints import run
from polygent_issuer.home import create
from polygent_issuer.home.create import CreatedHome
from polygent_issuer.home.setting_types import duration_text
from polygent_issuer.home.settings import Settings, settings_path
from polygent_issuer.store_uri import is_token_uri


@dataclass(frozen=True, kw_only=True, slots=True)
class Initialised(Result):
    """A home that was made.

    Attributes:
        settings: that are in force in it.
        folders: those of the settings that had to be made, too.
    """

    founded: CreatedHome
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


def init(
    invocation: Invocation,
    *,
    issuer: Annotated[
        str | None,
        typer.Option("--issuer", metavar="NAME", help="Who issues; stands in every license."),
    ] = None,
    operator: Annotated[
        str | None, typer.Option("--operator", metavar="NAME", help="Who you are in the journal.")
    ] = None,
    upload_window: Annotated[
        str | None,
        typer.Option(
            "--upload-window",
            metavar="7d",
            help="How long after its issue the server takes a file; unknown if you cannot tell.",
        ),
    ] = None,
    store: Annotated[
        str | None,
        typer.Option(
            "--store",
            metavar="URI",
            autocompletion=candidates.stores,
            help="keyring:, file:PATH or pkcs11:URI.",
        ),
    ] = None,
    key_backup_folder: Annotated[
        str | None,
        typer.Option("--key-backup-folder", metavar="DIR", help="Where key backups go, or none."),
    ] = None,
    output: Annotated[
        str | None,
        typer.Option("--output", "-o", metavar="DIR", help="Where licenses go, or none."),
    ] = None,
) -> Initialised:
    """Make the home: a folder with the settings and an empty registry.

    On a terminal it asks for what is not given; elsewhere the defaults are taken. A home that
    exists is never changed; one whose making was interrupted is completed.
    """
    answers: Answers = {
        "issuer": issuer,
        "operator": operator,
        "upload_window": upload_window,
        "store": store,
        "key_backup_folder": key_backup_folder,
        "output": output,
    }
    home = invocation.home_path
    create.require_room(home)
    values = as_settings(answers)
    if invocation.interactive and not settings_path(home).exists():
        values = as_settings(ask(answers, home))
    folders = tuple(folder for key in FOLDERS if (folder := _made(key, values[key])))
    return Initialised(
        founded=make_home(invocation, values),
        settings=invocation.settings,
        folders=folders,
    )


def _made(key: str, folder: str | None) -> Path | None:
    """The folder, if it had to be made; backups are for nobody else's eyes."""
    if folder is None:
        return None
    mode = 0o700 if key == "key_backup_folder" else 0o777
    return Path(folder) if create.ensure_folder(Path(folder), mode=mode) else None
