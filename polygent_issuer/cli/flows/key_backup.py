"""The backup of a key: its place is decided before the key is made."""

import os
from pathlib import Path
from typing import Final

from polygent_issuer import store_uri
from polygent_issuer.cli import prompts
from polygent_issuer.cli.context import Invocation
from polygent_issuer.cli.flows.key_storage import KeepingOptions
from polygent_issuer.cli.output.streams import note
from polygent_issuer.errors import (
    InputRefused,
    MissingInput,
    OutputExists,
    OutputProblem,
    UsageProblem,
)
from polygent_issuer.hints import Hint, run
from polygent_issuer.home.settings import Settings
from polygent_issuer.keys.pkcs11_rules import backup_impossible_new, is_in_token
from polygent_issuer.text import escape

_NONE: Final = "none"


def backup_place(invocation: Invocation, held: Settings, options: KeepingOptions) -> Path | None:
    """Where the backup goes, decided by somebody: None is a decision, too.

    Raises:
        UsageProblem: (`usage`) when both options are given.
        MissingInput: (`missing_input`) when nobody says and there is nobody to ask.
        InputRefused: (`input_refused`) for a name that no backup can have.
        OutputExists, OutputProblem: (`output_exists`, `output_failed`) when the file is there
            already, or its folder is not.
    """
    require_sound(options)
    if options.no_backup:
        return None
    if options.backup is not None:
        return backup_file(options.backup)
    if held.key_backup_folder is not None:
        return _present(held.key_backup_folder)
    if not invocation.interactive:
        raise MissingInput(
            "nothing says where the key's backup goes",
            hint=Hint(
                "add --backup FILE or --no-backup; or once for all: ",
                run("config", "set", "key_backup_folder", "DIR"),
            ),
        )
    question = f"a file or folder for the key's backup? best on another disk, or {_NONE}"
    answer = prompts.text(question, check=_check)
    return None if answer == _NONE else backup_file(answer)


def require_sound(options: KeepingOptions) -> None:
    """Refuse early what can be known to be wrong before anybody is asked anything.

    Raises:
        UsageProblem: (`usage`) when both options are given.
        InputRefused, OutputExists, OutputProblem: as `backup_file`.
    """
    if options.backup is not None and options.no_backup:
        raise UsageProblem("--backup and --no-backup contradict each other", hint="give one")
    if options.backup is not None:
        backup_file(options.backup)


def backup_file(text: str) -> Path:
    """The file or folder that was named; a file is new, and its folder is there.

    Raises:
        InputRefused: (`input_refused`) for the empty name, stdout, or a `~` of nobody.
        OutputExists, OutputProblem: (`output_exists`, `output_failed`) when the file is there
            already, or its folder is not.
    """
    if text in ("", "-"):
        raise InputRefused("a backup is a file of its own", hint="name a file for it")
    try:
        place = store_uri.file_location(Path(text).expanduser())
    except RuntimeError:
        raise InputRefused(
            f"whose home that is cannot be found out: {escape(text)}", hint="name a whole path"
        ) from None
    path = place.path
    if place.folder:
        return path
    if os.path.lexists(path):
        raise OutputExists(f"{escape(str(path))} exists already", hint="name another file")
    _present(path.parent)
    return path


def _check(answer: str) -> None:
    if answer != _NONE:
        try:
            backup_file(answer)
        except OutputProblem as refused:
            raise InputRefused(refused.message, hint=refused.hint) from None


def _present(folder: Path) -> Path:
    if folder.is_dir():
        return folder
    raise OutputProblem(
        f"the folder for the backup is not there: {escape(str(folder))}",
        hint="connect its disk, or make it first; or name another with --backup FILE",
    )


def backup_place_of_made(
    invocation: Invocation, held: Settings, options: KeepingOptions, store: str
) -> Path | None:
    """Where the backup of a key that is made here goes: in a token it has none, and that is said.

    Raises:
        MissingInput: (`missing_input`) when a backup is not possible and nobody has agreed.
        Declined: (`declined`) when somebody has not.
        IssuerError: else as `backup_place`.
    """
    if not is_in_token(store):
        return backup_place(invocation, held, options)
    if options.no_backup:
        return None
    refusal = backup_impossible_new(store)
    if not invocation.interactive:
        raise MissingInput(refusal.message, hint=refusal.hint)
    note("warning", refusal.message)
    prompts.go_ahead("make it all the same?")
    return None


def require_none_in_token(store: str, options: KeepingOptions) -> None:
    """Refuse a backup of a key that is made in a token, before anybody is asked anything.

    Raises:
        NotExtractable: (`not_extractable`) likewise.
    """
    if options.backup is not None and is_in_token(store):
        raise backup_impossible_new(store)
