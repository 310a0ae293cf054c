"""`polygent-issue init`: the home, before anything else."""

from pathlib import Path
from typing import Annotated

import typer

from polygent_issuer import founding
from polygent_issuer.cli.completion import candidates
from polygent_issuer.cli.context import Invocation
from polygent_issuer.cli.home_making import make_home
from polygent_issuer.cli.init_answers import FOLDERS, Answers, as_settings, ask
from polygent_issuer.cli.init_view import Initialised
from polygent_issuer.settings import settings_path


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
    founding.require_room(home)
    values = as_settings(answers)
    if invocation.interactive and not settings_path(home).exists():
        values = as_settings(ask(answers, home))
    folders = tuple(folder for key in FOLDERS if (folder := _made(key, values[key])))
    return Initialised(
        founded=make_home(invocation, **values),
        settings=invocation.settings,
        folders=folders,
    )


def _made(key: str, folder: str | None) -> Path | None:
    """The folder, if it had to be made; backups are for nobody else's eyes."""
    if folder is None:
        return None
    mode = 0o700 if key == "key_backup_folder" else 0o777
    return Path(folder) if founding.ensure_folder(Path(folder), mode=mode) else None
