"""Whether a store could take a key, before anybody is asked anything; else what to type."""

import os
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Final

from polygent_issuer import store_uri
from polygent_issuer.cli.flows.key_backup import require_sound
from polygent_issuer.cli.flows.key_storage import KeepingOptions
from polygent_issuer.cli.options.passphrase import PassphraseOptions
from polygent_issuer.errors import OutputExists
from polygent_issuer.hints import Hint, run
from polygent_issuer.home.settings import Settings
from polygent_issuer.keys import passphrases
from polygent_issuer.keys.errors import KeyringAbsent
from polygent_issuer.keys.stores import open_store

LEFT: Final = "nothing is written over, not even what an interrupted command left; elsewhere"
"""The beginning of the hint where a key file's name is taken; a whole command follows."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Again:
    """A command as it was typed, to be typed again with another store.

    Attributes:
        command: its words, without the program.
        argument: the one that it takes.
        label: what `--label` said, if it was there.
        keeping: what was said of the backup.
        passphrases: where the passphrase comes from.
    """

    command: str
    argument: str
    label: str | None = None
    keeping: KeepingOptions
    passphrases: PassphraseOptions

    def with_store(self, uri: str) -> Hint:
        """The whole command with this store."""
        return self._typed(uri, self.keeping.backup)

    def with_backup(self, path: Path) -> Hint:
        """The whole command with this backup."""
        return self._typed(self.keeping.store, str(path))

    def _typed(self, store: str | None, backup: str | None) -> Hint:
        """The argument comes last, since it may begin with a hyphen."""
        given = {
            "--store": store,
            "--label": self.label,
            "--backup": backup,
            "--passphrase-fd": self.passphrases.passphrase_fd,
            "--passphrase-file": self.passphrases.passphrase_file,
            # Not as it was typed: it may hold what is nobody's business.
            "--passphrase-command": self.passphrases.passphrase_command and "COMMAND",
        }
        words = self.command.split()
        words += [word for name, v in given.items() if v is not None for word in (name, str(v))]
        words += ["--no-backup"] if self.keeping.no_backup else []
        words += ["--"] if self.argument.startswith("-") and self.argument != "-" else []
        return run(*words, self.argument)


def require_backup(again: Again) -> None:
    """Refuse a backup that could not be written there; there is no prompt.

    Args:
        again: the command, with what it says of the backup, and for the hint.

    Raises:
        UsageProblem, InputRefused, OutputExists, OutputProblem: as `require_sound`.
    """
    try:
        require_sound(again.keeping)
    except OutputExists as exists:
        other = free_beside(Path(again.keeping.backup or "").expanduser())
        raise OutputExists(
            exists.message, hint=Hint(LEFT, ": ", again.with_backup(other))
        ) from None


def require_store(held: Settings, uri: str, again: Again) -> None:
    """Refuse a store that could not take a key; there is no prompt.

    Args:
        held: the settings in force.
        uri: the store that is used.
        again: the command, for the hint.

    Raises:
        InvalidStore: (`invalid_store`) for what is no key store.
        KeyringAbsent: (`keyring_absent`) when no keyring answers that may hold a key.
        OutputExists: (`output_exists`) when the name of a key's file is taken.
        KeyUnavailable, OutputProblem: each code of a store that has no room for it.
    """
    nobody = passphrases.absent()
    try:
        store = open_store(
            uri, passphrase=nobody, timeout=held.keyring_timeout, warn=lambda _: None
        )
        store.require_room()
    except KeyringAbsent as absent:
        raise KeyringAbsent(
            absent.message,
            hint=Hint(
                "keep it in an encrypted file: ", again.with_store(store_uri.EXAMPLE_FILE_URI)
            ),
        ) from None
    except OutputExists as exists:
        if not store.uri.startswith(store_uri.FILE):
            raise
        taken = Path(store.uri.removeprefix(store_uri.FILE))
        other = again.with_store(f"{store_uri.FILE}{free_beside(taken)}")
        raise OutputExists(exists.message, hint=Hint(LEFT, ": ", other)) from None


def free_beside(path: Path) -> Path:
    """The first of NAME-2, NAME-3 … in the same folder that is not there."""
    numbered = (path.with_name(f"{path.stem}-{number}{path.suffix}") for number in count(2))
    return next(free for free in numbered if not os.path.lexists(free))
