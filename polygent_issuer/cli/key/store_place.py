"""Whether a store could take a key, before anybody is asked anything; else what to type."""

import shlex
from dataclasses import dataclass

from polygent_issuer.cli.key.keeping import KeepingOptions
from polygent_issuer.cli.passphrase import PassphraseOptions
from polygent_issuer.keystore import location, open_store, passphrases
from polygent_issuer.keystore.errors import KeyringAbsent
from polygent_issuer.settings import Settings


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

    def with_store(self, uri: str) -> str:
        """The whole command; the argument comes last, since it may begin with a hyphen."""
        given = {
            "--label": self.label,
            "--backup": self.keeping.backup,
            "--passphrase-fd": self.passphrases.passphrase_fd,
            "--passphrase-file": self.passphrases.passphrase_file,
            # Not as it was typed: it may hold what is nobody's business.
            "--passphrase-command": self.passphrases.passphrase_command and "COMMAND",
        }
        words = [f"polygent-issue {self.command} --store {uri}"]
        words += [f"{name} {shlex.quote(str(v))}" for name, v in given.items() if v is not None]
        words += ["--no-backup"] if self.keeping.no_backup else []
        words += ["--"] if self.argument.startswith("-") and self.argument != "-" else []
        return " ".join([*words, shlex.quote(self.argument)])


def require_store(held: Settings, uri: str, again: Again) -> None:
    """Refuse a store that could not take a key; there is no prompt.

    Args:
        held: the settings in force.
        uri: the store that is used.
        again: the command, for the hint.

    Raises:
        InvalidStore: (`invalid_store`) for what is no key store.
        KeyringAbsent: (`keyring_absent`) when no keyring answers that may hold a key.
        KeyUnavailable, OutputProblem: each code of a store that has no room for it.
    """
    nobody = passphrases.absent()
    try:
        open_store(
            uri, passphrase=nobody, timeout=held.keyring_timeout, warn=lambda _: None
        ).require_room()
    except KeyringAbsent as absent:
        raise KeyringAbsent(
            absent.message,
            hint=f"keep it in an encrypted file: {again.with_store(location.EXAMPLE)}",
        ) from None
