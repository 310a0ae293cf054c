"""The places of a key and of its backup, checked before the key is made or anybody is asked."""

import os
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Final

from polygent_issuer import store_uri
from polygent_issuer.cli import prompts
from polygent_issuer.cli.context import Invocation
from polygent_issuer.cli.flows.key_storage import StorageOptions
from polygent_issuer.cli.options.common import PassphraseOptions
from polygent_issuer.cli.output.result import note
from polygent_issuer.errors import (
    InputRefused,
    KeyUnavailable,
    MissingInput,
    OutputExists,
    OutputProblem,
    UsageProblem,
)
from polygent_issuer.files import disk
from polygent_issuer.hints import Hint, run
from polygent_issuer.home.settings import Settings
from polygent_issuer.keys.pkcs11_store import backup_impossible_new, is_in_token
from polygent_issuer.keys.signing import open_store
from polygent_issuer.text import escape

_NONE: Final = "none"
_ELSEWHERE: Final = "nothing is written over, not even what an interrupted command left; elsewhere"


@dataclass(frozen=True, kw_only=True, slots=True)
class RetryCommand:
    """The command as it was typed, to be repeated with another store or backup.

    Attributes:
        command: its words, without the program.
        argument: its one argument.
        label: the value of `--label`, if it was there.
        storage: where key and backup go.
        passphrases: where the passphrase comes from.
    """

    command: str
    argument: str
    label: str | None = None
    storage: StorageOptions
    passphrases: PassphraseOptions

    def with_store(self, uri: str) -> Hint:
        """Return the whole command with this store."""
        return self._hint(uri, self.storage.backup)

    def with_backup(self, path: Path) -> Hint:
        """Return the whole command with this backup."""
        return self._hint(self.storage.store, str(path))

    def _hint(self, store: str | None, backup: str | None) -> Hint:
        """The argument comes last, since it may begin with a hyphen."""
        options = {
            "--store": store,
            "--label": self.label,
            "--backup": backup,
            "--passphrase-fd": self.passphrases.passphrase_fd,
            "--passphrase-file": self.passphrases.passphrase_file,
            # Not as it was typed: it may contain a secret.
            "--passphrase-command": self.passphrases.passphrase_command and "COMMAND",
        }
        words = self.command.split()
        words += [word for name, v in options.items() if v is not None for word in (name, str(v))]
        words += ["--no-backup"] if self.storage.no_backup else []
        words += ["--"] if self.argument.startswith("-") and self.argument != "-" else []
        return run(*words, self.argument)


def require_store(settings: Settings, uri: str, retry: RetryCommand) -> None:
    """Check without a prompt that a store can take a key.

    Args:
        settings: the settings in force.
        uri: of the store.
        retry: the command, for the hint.

    Raises:
        InvalidStore: (`invalid_store`) for another text than a store URI.
        OutputExists: (`output_exists`) when the name of a key's file is taken.
        KeyUnavailable, OutputProblem: each code of a store that has no room for it.
    """
    try:
        store = open_store(settings, uri)
        store.require_room()
    except KeyUnavailable as refused:
        if refused.code != "keyring_absent":
            raise
        in_file = retry.with_store(store_uri.EXAMPLE_FILE_URI)
        hint = Hint("keep it in an encrypted file: ", in_file)
        raise KeyUnavailable(refused.message, hint=hint, code=refused.code) from None
    except OutputExists as exists:
        if not store.uri.startswith(store_uri.FILE):
            raise
        free = free_path(Path(store.uri.removeprefix(store_uri.FILE)))
        hint = Hint(_ELSEWHERE, ": ", retry.with_store(f"{store_uri.FILE}{free}"))
        raise OutputExists(exists.message, hint=hint) from None


def require_backup(retry: RetryCommand) -> None:
    """Check without a prompt that the backup can be written.

    Args:
        retry: the command, with its options for the backup.

    Raises:
        UsageProblem, InputRefused, OutputExists, OutputProblem: as `require_sound`.
    """
    try:
        require_sound(retry.storage)
    except OutputExists as exists:
        free = free_path(Path(retry.storage.backup or "").expanduser())
        hint = Hint(_ELSEWHERE, ": ", retry.with_backup(free))
        raise OutputExists(exists.message, hint=hint) from None


def free_path(path: Path) -> Path:
    """Return the first of NAME-2, NAME-3 … in the same folder that does not exist."""
    numbered = (path.with_name(f"{path.stem}-{number}{path.suffix}") for number in count(2))
    return next(free for free in numbered if not os.path.lexists(free))


def require_sound(options: StorageOptions) -> None:
    """Check the options for the backup.

    Raises:
        UsageProblem: (`usage`) when both options are given.
        InputRefused, OutputExists, OutputProblem: as `backup_file`.
    """
    if options.backup is not None and options.no_backup:
        raise UsageProblem("--backup and --no-backup contradict each other", hint="give one")
    if options.backup is not None:
        backup_file(options.backup)


def backup_path(invocation: Invocation, settings: Settings, options: StorageOptions) -> Path | None:
    """Return where the backup goes, by the options, the settings, or the answer at a terminal.

    Returns:
        None for no backup, which somebody has decided.

    Raises:
        MissingInput: (`missing_input`) when nothing decides it and nobody can be asked.
        IssuerError: as `require_sound`.
    """
    require_sound(options)
    if options.no_backup:
        return None
    if options.backup is not None:
        return backup_file(options.backup)
    if settings.key_backup_folder is not None:
        return _existing(settings.key_backup_folder)
    if not invocation.interactive:
        raise MissingInput(
            "nothing says where the key's backup goes",
            hint=Hint(
                "add --backup FILE or --no-backup; or once for all: ",
                run("config", "set", "key_backup_folder", "DIR"),
            ),
        )
    question = f"a file or folder for the key's backup? best on another disk, or {_NONE}"
    answer = prompts.text(question, check=_check_answer)
    return None if answer == _NONE else backup_file(answer)


def backup_path_of_new(
    invocation: Invocation, settings: Settings, options: StorageOptions, store: str
) -> Path | None:
    """Return where the backup of a new key goes; without one in a token, which needs consent.

    Raises:
        MissingInput: (`missing_input`) when a backup is not possible and nobody has agreed.
        Declined: (`declined`) when somebody has not.
        IssuerError: else as `backup_path`.
    """
    if not is_in_token(store):
        return backup_path(invocation, settings, options)
    if options.no_backup:
        return None
    refusal = backup_impossible_new(store)
    if not invocation.interactive:
        raise MissingInput(refusal.message, hint=refusal.hint)
    note("warning", refusal.message)
    prompts.require_yes("make it all the same?")
    return None


def backup_file(text: str) -> Path:
    """Return a backup's path: an existing folder, or a new file in an existing folder.

    Raises:
        InputRefused: (`input_refused`) for the empty name, stdout, or a `~` of an unknown user.
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
    _existing(path.parent)
    return path


def _check_answer(answer: str) -> None:
    if answer != _NONE:
        try:
            backup_file(answer)
        except OutputProblem as refused:
            raise InputRefused(refused.message, hint=refused.hint) from None


def _existing(folder: Path) -> Path:
    if disk.is_folder(folder):
        return folder
    raise OutputProblem(
        f"the folder for the backup is not there: {escape(str(folder))}",
        hint="connect its disk, or make it first; or name another with --backup FILE",
    )
